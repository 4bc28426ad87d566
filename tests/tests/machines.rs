//! Machines that dom0 runs on under our own hypervisor: processors, memory, chipsets, disks and
//! network cards. Each is one boot; most of them are for full runs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, run_boots};
use xtask::qemu::{Disk, Model};

#[path = "machines/load.rs"]
mod load;

const LONG: Duration = Duration::from_secs(600);

/// The cases of a machine, by its name, with so many processors and so many MiB of memory.
macro_rules! cases {
    ($machine:literal, $cpus:literal, $memory:literal) => {
        &[
            (concat!($machine, "::all_of_it_is_used"), all_of_it_is_used::<$cpus, $memory>),
            (concat!($machine, "::the_services_are_online"), the_services_are_online),
            (concat!($machine, "::the_disk_keeps_what_is_written"), the_disk_keeps),
            (concat!($machine, "::the_network_answers"), the_network_answers),
        ]
    };
}

fn main() -> ExitCode {
    let machine = |cpus: u32, memory: u32, cpu: &str, network: &'static str| Boot {
        cpus,
        memory,
        model: Model { cpu: cpu.to_owned(), network: Some(network), ..Model::default() },
        only_in_full: true,
        ..Boot::default()
    };
    let (virtio, e1000) = ("virtio-net-pci", "e1000");
    let small = Boot { only_in_full: false, ..machine(1, 512, "qemu64", virtio) };
    let mut q35 = Boot { only_in_full: false, ..machine(2, 2048, "qemu64", e1000) };
    (q35.model.chipset, q35.model.disk) = ("q35", Disk::Ahci);
    let large =
        Boot { hypervisor_options: "dom0_mem=6G,max:6G", ..machine(2, 8192, "qemu64", virtio) };
    let loaded = Boot { compiler: true, ..machine(2, 2048, "max", e1000) };
    let rows: [(&Boot, &[Case]); 10] = [
        (&small, cases!("small", 1, 512)),
        (&q35, cases!("q35", 2, 2048)),
        (&machine(2, 2048, "qemu64", e1000), cases!("two", 2, 2048)),
        (&machine(4, 2048, "qemu64", virtio), cases!("four", 4, 2048)),
        (&large, cases!("large", 2, 8192)),
        (&machine(2, 2048, "Nehalem", virtio), cases!("nehalem", 2, 2048)),
        (&machine(2, 2048, "Opteron_G5", e1000), cases!("opteron", 2, 2048)),
        (&machine(2, 2048, "EPYC", virtio), cases!("epyc", 2, 2048)),
        (&machine(2, 2048, "max", virtio), cases!("max", 2, 2048)),
        (&loaded, load::CASES),
    ];
    run_boots("machines", &rows)
}

fn all_of_it_is_used<const CPUS: usize, const MEMORY: u64>(dom0: &mut Dom0) -> Outcome {
    let info = dom0.ok("xm info")?;
    let number = |name: &str| -> Result<u64> {
        let line = info.lines().find(|line| line.split(':').next().unwrap_or("").trim() == name);
        let value = line.and_then(|line| line.split(": ").nth(1)).context(info.clone())?;
        Ok(value.trim().parse()?)
    };
    ensure!(number("nr_cpus")? == CPUS as u64, "{info}");
    ensure!(dom0.ok("nproc")? == format!("{CPUS}\n"));
    // Firmware keeps some.
    ensure!((MEMORY - 4..=MEMORY).contains(&number("total_memory")?), "{info}");
    // What dom0 has can be written to: half of what is free, at most 128 MiB, in blocks of 8 MiB.
    let fill = "n=$(awk '/^MemAvailable/ { n = int($2 / 16384); print n < 16 ? n : 16 }' \
                /proc/meminfo); mount -t tmpfs -o size=90% tmpfs /mnt; \
                dd if=/dev/urandom of=/mnt/block bs=1M count=8 2>/dev/null; \
                blocks() { for i in $(seq $n); do cat /mnt/block; done; }; \
                blocks > /mnt/f; md5sum < /mnt/f; blocks | md5sum; umount /mnt";
    let output = dom0.run_within(fill, LONG)?;
    let sums: Vec<&str> = output.stdout.lines().collect();
    ensure!(sums.len() == 2 && sums[0] == sums[1], "{output}");
    Ok(())
}

fn the_services_are_online(dom0: &mut Dom0) -> Outcome {
    dom0.wait_for("svcs -xv", LONG, |output| output.stdout.trim().is_empty())?;
    for service in ["filesystem/local", "store", "xend", "xvm/console"] {
        dom0.wait_until_online(service)?;
    }
    Ok(())
}

/// How often devices of that name (of /proc/interrupts) have interrupted.
fn interrupts(dom0: &mut Dom0, device: &str) -> Result<u64> {
    let sum = "{ for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) sum += $i } END { print sum + 0 }";
    let text = dom0.ok(&format!("awk '/{device}/ {sum}' /proc/interrupts"))?;
    text.trim().parse().context(text)
}

fn the_disk_keeps(dom0: &mut Dom0) -> Outcome {
    let mounted = dom0.ok("awk '$2 == \"/var\" { print $1 }' /proc/mounts")?;
    let device = if mounted.starts_with("/dev/vd") { "virtio0-req" } else { "ahci" };
    let before = interrupts(dom0, device)?;
    let sums = dom0.run_within(
        "dd if=/dev/urandom of=/var/data bs=1M count=32 2>/dev/null && md5sum < /var/data && sync \
         && echo 3 > /proc/sys/vm/drop_caches && md5sum < /var/data; rm /var/data",
        LONG,
    )?;
    let lines: Vec<&str> = sums.stdout.lines().collect();
    ensure!(lines.len() == 2 && lines[0] == lines[1], "{sums}");
    let after = interrupts(dom0, device)?;
    ensure!(after > before + 10, "{before} interrupts of {device} before, {after} after");
    Ok(())
}

/// The emulator's own network: it gives an address, answers pings, and counts as the card's.
fn the_network_answers(dom0: &mut Dom0) -> Outcome {
    let before = interrupts(dom0, "eth0|virtio[0-9]-input")?;
    dom0.ok("ip link set eth0 up")?;
    let lease = dom0.run("udhcpc -i eth0 -n -q -f -s /bin/true 2>&1")?;
    ensure!(lease.stdout.contains("lease of 10.0.2.15 obtained"), "{lease}");
    dom0.ok("ip addr add 10.0.2.15/24 dev eth0")?;
    let pings = dom0.ok("ping -c 20 -i 0.1 -s 1400 10.0.2.2")?;
    ensure!(pings.contains("20 packets received, 0% packet loss"), "{pings}");
    let after = interrupts(dom0, "eth0|virtio[0-9]-input")?;
    ensure!(after >= before + 10, "{before} interrupts of the card before, {after} after");
    Ok(())
}
