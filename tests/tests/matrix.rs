//! Every kernel under every toolstack on either hypervisor: made, its disk read and written, its
//! network used, rebooted, destroyed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, Output, run_boots};
use xtask::images::Toolstack;

const CASES: &[Case] = &[
    ("debians_kernel", debians_kernel),
    ("a_newer_kernel", a_newer_kernel),
    ("grub_and_a_kernel_from_the_disk", grub_and_a_kernel_from_the_disk),
];

const NAME: &str = "escalus";
const ADDRESS: &str = "10.0.0.3";
const IMAGE: &str = "/var/lib/xen/images/escalus.img";
const FILE: &str = "/tmp/cell";
/// What a guest has booted, a line each time: it appends to the file when it comes up.
const BOOTS: &str = "srv/www/boots";
/// What guests occupy. Of the store only their numbers: xl's hotplug script leaves a value there under
/// the name of a guest's interface.
const OCCUPIED: &str = "TOOL list | awk '{ print $1, $2, $3 }'; \
     xenstore-list /local/domain | grep '^[0-9]'; \
     cat /sys/block/loop*/loop/backing_file 2>/dev/null; \
     ls /sys/class/net; TOOL info | grep free_memory";
const LONG: Duration = Duration::from_secs(240);

fn main() -> ExitCode {
    let [ours, stock] = Boot::default().on_each();
    let rows = [
        ours.under(Toolstack::Escalus, false),
        ours.under(Toolstack::Stock, false),
        stock.under(Toolstack::Escalus, true),
        stock.under(Toolstack::Stock, true),
    ];
    let rows: Vec<_> = rows.iter().map(|row| (row, CASES)).collect();
    run_boots("matrix", &rows)
}

fn debians_kernel(dom0: &mut Dom0) -> Outcome {
    cell(dom0, "", |release| release.starts_with("6.1."))
}

fn a_newer_kernel(dom0: &mut Dom0) -> Outcome {
    let files =
        "s/vmlinuz-guest/vmlinuz-newer/; s/initrd-guest/initrd-newer/; s/^memory.*/memory = 192/";
    cell(dom0, files, |release| !release.starts_with("6.1."))
}

fn grub_and_a_kernel_from_the_disk(dom0: &mut Dom0) -> Outcome {
    let arguments = dom0.ok("sed -n 's/^extra = \"\\(.*\\)\"/\\1/p' /etc/xen/escalus")?;
    on_its_disk(
        dom0,
        &format!(
            "mkdir -p boot/grub && cp /boot/vmlinuz-guest /boot/initrd-guest boot && \
             printf '%s\\n' 'linux /boot/vmlinuz-guest root=/dev/xvda {}' \
             'initrd /boot/initrd-guest' boot >boot/grub/grub.cfg",
            arguments.trim_end()
        ),
    )?;
    let file =
        "s|^kernel.*|kernel = \"/boot/grub-x86_64-xen.bin\"|; /^ramdisk/d; /^extra/d; /^root/d";
    cell(dom0, file, |release| release.starts_with("6.1."))
}

/// One kernel under the toolstack that there is. `change` makes the guest's configuration from that
/// of Debian's kernel.
fn cell(dom0: &mut Dom0, change: &str, is_expected: fn(&str) -> bool) -> Outcome {
    // Both have it; ours has no xl.
    let tool = dom0.ok("basename $(command -v xl || command -v xm)")?;
    let tool = tool.trim_end();
    dom0.ok("svcadm disable -s domains")?;
    // What a cell before that failed has left is its own matter.
    dom0.run(&format!("{tool} destroy {NAME}"))?;
    on_its_disk(dom0, &format!("rm -f {BOOTS}"))?;
    let occupied = OCCUPIED.replace("TOOL", tool);
    let before = dom0.ok(&occupied)?;

    dom0.ok(&format!("sed '{change}' /etc/xen/{NAME} >{FILE} && {tool} create {FILE}"))?;
    comes_up(dom0, 1, is_expected)?;
    let id = dom0.ok(&format!("{tool} domid {NAME}"))?;
    dom0.ok(&format!("{tool} reboot {NAME}"))?;
    let is_another = |output: &Output| output.status == 0 && output.stdout != id;
    dom0.wait_for(&format!("{tool} domid {NAME}"), LONG, is_another)?;
    comes_up(dom0, 2, is_expected)?;
    dom0.ok(&format!("{tool} destroy {NAME}"))?;

    let is_same = |output: &Output| output.stdout == before;
    dom0.wait_for(&occupied, LONG, is_same)?;
    let kept = on_its_disk(dom0, &format!("cat {BOOTS}"))?;
    ensure!(kept.lines().count() == 2, "written to the disk: {kept}");
    Ok(())
}

/// It answers a ping, and says how often it has booted from its disk, and with which kernel.
fn comes_up(dom0: &mut Dom0, times: usize, is_expected: fn(&str) -> bool) -> Outcome {
    let page = format!("timeout 5 wget -q -O - http://{ADDRESS}/boots");
    let has_booted = |output: &Output| output.stdout.lines().count() == times;
    let releases = dom0.wait_for(&page, LONG, has_booted)?.stdout;
    ensure!(releases.lines().all(is_expected), "{releases}");
    dom0.wait_for_ping(ADDRESS)?;
    // Enough to go through all of a ring's slots, both ways.
    let sent = dom0.ok("seq 1 100000 | md5sum")?;
    let back = dom0.ok(&format!("seq 1 100000 | nc -w 5 {ADDRESS} 7 | md5sum"))?;
    ensure!(sent == back, "the echo differs");
    Ok(())
}

/// What a command says in the folder that the guest's disk, which nobody uses, is mounted on.
fn on_its_disk(dom0: &mut Dom0, command: &str) -> Result<String> {
    dom0.ok(&format!(
        "mkdir -p /mnt && mount -o loop {IMAGE} /mnt && (cd /mnt && {command}); \
         status=$?; umount /mnt && exit $status"
    ))
}
