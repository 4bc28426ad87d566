//! dom0 on our own hypervisor: the same kernel, the same userland, and its devices through us.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use tests::{Boot, Case, Dom0, Outcome, run_group};

const CASES: &[Case] = &[
    ("it_says_what_it_is", it_says_what_it_is),
    ("the_services_are_online", the_services_are_online),
    ("tools_see_the_host", tools_see_the_host),
    ("its_log_is_read", its_log_is_read),
    ("devices_interrupt_dom0", devices_interrupt_dom0),
    ("what_is_written_is_read_back", what_is_written_is_read_back),
    ("a_thousand_processes_come_and_go", a_thousand_processes_come_and_go),
    ("memory_is_its_own", memory_is_its_own),
    ("bad_programs_harm_only_themselves", bad_programs_harm_only_themselves),
    ("the_clock_is_right", the_clock_is_right),
];

const LONG: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    run_group("hypervisor", &Boot::default(), CASES)
}

fn it_says_what_it_is(dom0: &mut Dom0) -> Outcome {
    ensure!(dom0.ok("cat /proc/xen/capabilities")? == "control_d\n");
    ensure!(dom0.ok("cat /sys/hypervisor/version/major")? == "4\n");
    let extra = dom0.ok("cat /sys/hypervisor/version/extra")?;
    ensure!(extra.contains("escalus"), "{extra}");
    ensure!(dom0.console()?.contains("(XEN) Dom0 kernel: linux"));
    Ok(())
}

fn the_services_are_online(dom0: &mut Dom0) -> Outcome {
    for service in
        ["filesystem/local", "console-login", "store", "xenbackendd", "xend", "xvm/console"]
    {
        dom0.wait_until_online(service)?;
    }
    Ok(())
}

fn tools_see_the_host(dom0: &mut Dom0) -> Outcome {
    let info = dom0.ok("xm info")?;
    for line in ["xen_caps               : xen-3.0-x86_64", "total_memory           : 2047"] {
        ensure!(info.contains(line), "{info}");
    }
    let list = dom0.ok("xm list")?;
    ensure!(list.contains("Domain-0                                     0   768     1"), "{list}");
    Ok(())
}

fn its_log_is_read(dom0: &mut Dom0) -> Outcome {
    let log = dom0.ok("xm dmesg")?;
    ensure!(log.contains("(XEN) Command line: ") && log.contains("MiB for domain 0"), "{log}");
    dom0.ok("xm dmesg -c")?;
    let log = dom0.ok("xm dmesg")?;
    ensure!(!log.contains("Command line"), "{log}");
    Ok(())
}

fn devices_interrupt_dom0(dom0: &mut Dom0) -> Outcome {
    let count = "awk '/virtio0-req.0/ { print $2 }' /proc/interrupts";
    let number = |text: String| text.trim().parse::<u64>().context(text);
    let before = number(dom0.ok(count)?)?;
    dom0.ok("echo 3 > /proc/sys/vm/drop_caches; md5sum /var/log/xen/xend.log; sync")?;
    ensure!(number(dom0.ok(count)?)? > before);
    Ok(())
}

fn what_is_written_is_read_back(dom0: &mut Dom0) -> Outcome {
    let sums = dom0.run_within(
        "dd if=/dev/urandom of=/var/data bs=1M count=128 2>/dev/null && md5sum < /var/data && sync \
         && echo 3 > /proc/sys/vm/drop_caches && md5sum < /var/data; rm /var/data",
        LONG,
    )?;
    let lines: Vec<&str> = sums.stdout.lines().collect();
    ensure!(lines.len() == 2 && lines[0] == lines[1], "{sums}");
    Ok(())
}

fn a_thousand_processes_come_and_go(dom0: &mut Dom0) -> Outcome {
    let command = "i=0; while [ $i -lt 1000 ]; do /bin/true || exit 1; i=$((i+1)); done; echo $i";
    let output = dom0.run_within(command, LONG)?;
    ensure!(output.stdout == "1000\n", "{output}");
    Ok(())
}

/// Pages are taken, filled, compared and given back, more than once, by several at a time.
fn memory_is_its_own(dom0: &mut Dom0) -> Outcome {
    let output = dom0.run_within(
        "for n in 1 2 3; do ( f=/tmp/m.$n; for i in 1 2; do \
         yes $n | head -c 8388608 > $f; [ $(tr -d \"$n\\n\" < $f | wc -c) = 0 ] || exit 1; \
         rm $f; done; echo good ) & done; wait",
        LONG,
    )?;
    ensure!(output.stdout == "good\ngood\ngood\n", "{output}");
    Ok(())
}

/// What an ordinary program may not do ends it, nothing else.
fn bad_programs_harm_only_themselves(dom0: &mut Dom0) -> Outcome {
    // A jump to the hypervisor's addresses, a privileged instruction, a port, a hypercall.
    let bodies: [(&str, &[u8]); 5] = [
        ("hypervisor", b"\x48\xb8\x00\x00\x10\x80\xd0\x82\xff\xff\xff\xe0"),
        ("read", b"\x48\xb8\x00\x00\x00\x00\x00\x83\xff\xff\x48\x8b\x00"),
        ("hlt", b"\xf4"),
        ("port", b"\xe4\x21"),
        ("wrmsr", b"\xb9\x80\x00\x00\xc0\x0f\x30"),
    ];
    const SEGMENTATION_FAULT: i32 = 128 + 11;
    for (name, code) in bodies {
        let hex: String = program(code).iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let file = format!("/tmp/{name}");
        dom0.ok(&format!("printf '{hex}' > {file} && chmod +x {file}"))?;
        let output = dom0.run(&file)?;
        ensure!(output.status == SEGMENTATION_FAULT, "{output}");
    }
    dom0.ok("true")?;
    Ok(())
}

/// A static ELF file of that code (System V ABI, AMD64 supplement): one segment at 4 MiB.
fn program(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [0_u16, 0, 64, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let length = HEADERS + code.len() as u64;
    file.extend([1_u32, 5].into_iter().flat_map(u32::to_le_bytes));
    file.extend([0, BASE, BASE, length, length, 4096].into_iter().flat_map(u64::to_le_bytes));
    file.extend(code);
    file
}

fn the_clock_is_right(dom0: &mut Dom0) -> Outcome {
    let here = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let there: u64 = dom0.ok("date +%s")?.trim().parse()?;
    ensure!(there.abs_diff(here) < 3600, "{there} there, {here} here");
    Ok(())
}
