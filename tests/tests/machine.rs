//! The ground that all else stands on: dom0 under Xen, its disk, and the exec agent.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_group};

const CASES: &[Case] = &[
    ("output_and_status_come_back_apart", output_and_status_come_back_apart),
    ("much_output_arrives_whole", much_output_arrives_whole),
    ("a_hanging_command_is_killed", a_hanging_command_is_killed),
    ("this_is_a_control_domain", this_is_a_control_domain),
    ("folders_are_where_they_belong", folders_are_where_they_belong),
];

fn main() -> ExitCode {
    run_group("machine", &Boot::as_chosen(), CASES)
}

fn output_and_status_come_back_apart(dom0: &mut Dom0) -> Outcome {
    let output = dom0.run("echo to stdout; echo to stderr >&2; exit 3")?;
    ensure!(output.status == 3, "{output}");
    ensure!(output.stdout == "to stdout\n" && output.stderr == "to stderr\n", "{output}");
    Ok(())
}

fn much_output_arrives_whole(dom0: &mut Dom0) -> Outcome {
    let numbers = dom0.ok("seq 1 200000")?;
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    ensure!(numbers == expected, "{} bytes came back", numbers.len());
    Ok(())
}

fn a_hanging_command_is_killed(dom0: &mut Dom0) -> Outcome {
    let error = dom0.run_within("echo begun; sleep 1000", Duration::from_secs(2));
    let error = format!("{:#}", error.unwrap_err());
    ensure!(error.contains("begun") && error.contains("still ran"), "{error}");
    dom0.ok("! pidof sleep")?;
    Ok(())
}

fn this_is_a_control_domain(dom0: &mut Dom0) -> Outcome {
    ensure!(dom0.ok("cat /proc/xen/capabilities")? == "control_d\n");
    ensure!(dom0.ok("cat /sys/hypervisor/version/major")? == "4\n");
    dom0.ok("for d in evtchn gntalloc gntdev hypercall privcmd xenbus; do test -c /dev/xen/$d || exit 1; done")?;
    Ok(())
}

fn folders_are_where_they_belong(dom0: &mut Dom0) -> Outcome {
    let mounts = dom0.ok("cat /proc/mounts")?;
    for mount in
        ["/dev/vda /var ext4 rw", "etc /etc overlay rw", "cgroup2 /sys/fs/cgroup cgroup2 rw"]
    {
        ensure!(mounts.contains(mount), "no `{mount}` in:\n{mounts}");
    }
    dom0.ok("touch /etc/written && test -e /var/etc/upper/written && rm /etc/written")?;
    dom0.ok("test -e /dev/stdin && test -d /dev/fd && test -d /var/run/xenstored")?;
    Ok(())
}
