//! dom0 on several processors of our own hypervisor: they come and go, and all work comes out right.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::{Boot, Case, Dom0, Outcome, Output, run_boots};
use xtask::qemu::Model;

const LONG: Duration = Duration::from_secs(600);

const ON_TWO: &[Case] = &[
    ("two::every_processor_runs_a_vcpu", every_processor_runs_a_vcpu),
    ("two::all_interrupts_and_calls_arrive", all_interrupts_and_calls_arrive),
    ("two::much_at_once_comes_out_right", much_at_once_comes_out_right),
    ("two::vcpus_go_and_come_back", vcpus_go_and_come_back),
];

const ON_FOUR: &[Case] = &[
    ("four::every_processor_runs_a_vcpu", every_processor_runs_a_vcpu),
    ("four::much_at_once_comes_out_right", much_at_once_comes_out_right),
    ("four::vcpus_go_and_come_back", vcpus_go_and_come_back),
    ("four::wide_registers_are_each_programs_own", wide_registers_are_each_programs_own),
];

fn main() -> ExitCode {
    let two = Boot { cpus: 2, ..Boot::default() };
    let model = Model { cpu: "max".to_owned(), ..Model::default() };
    let four = Boot { cpus: 4, memory: 4096, model, only_in_full: true, ..two.clone() };
    run_boots("smp", &[(&two, ON_TWO), (&four, ON_FOUR)])
}

/// How many processors the machine has.
fn count(dom0: &mut Dom0) -> anyhow::Result<usize> {
    let info = dom0.ok("xm info | sed -n 's/^nr_cpus *: //p'")?;
    info.trim().parse().context(info)
}

fn every_processor_runs_a_vcpu(dom0: &mut Dom0) -> Outcome {
    let count = count(dom0)?;
    ensure!(count >= 2, "{count} processors");
    ensure!(dom0.ok("nproc")? == format!("{count}\n"));
    // As many busy programs. A list asks for one vcpu after the other, and in between they may
    // move; where they are as a rule is seen in several.
    dom0.ok("for i in $(seq $(nproc)); do (while :; do :; done) & echo $! >> /tmp/busy; done")?;
    let is_spread = |list: &Output| processors_at_work(&list.stdout) == count;
    let spread = dom0.wait_for("xm vcpu-list 0", Duration::from_secs(60), is_spread);
    dom0.ok("kill $(cat /tmp/busy); rm /tmp/busy")?;
    spread.map(drop)
}

/// How many processors run one of the listed vcpus.
fn processors_at_work(list: &str) -> usize {
    let running = list.lines().skip(1).filter(|line| line.contains("r--"));
    let processors: BTreeSet<_> = running.map(|line| line.split_whitespace().nth(3)).collect();
    processors.len()
}

/// Kernels have each other's processors forget translations, reschedule, and run functions.
fn all_interrupts_and_calls_arrive(dom0: &mut Dom0) -> Outcome {
    let counts = |dom0: &mut Dom0| dom0.ok("grep -E 'timer0|resched|callfunc' /proc/interrupts");
    let before = counts(dom0)?;
    // A pipe between two processors, and mappings that change under threads.
    dom0.ok("taskset 1 yes | taskset 2 head -c 20000000 | taskset 1 md5sum")?;
    let after = counts(dom0)?;
    for (before, after) in before.lines().zip(after.lines()) {
        ensure!(!before.contains("resched0") || before != after, "{before}\n{after}");
    }
    Ok(())
}

fn much_at_once_comes_out_right(dom0: &mut Dom0) -> Outcome {
    let output = dom0.run_within(
        "one() { f=/tmp/w.$1; yes $1 | head -c 4194304 > $f; s=$(md5sum < $f); \
         for i in 1 2 3 4 5 6 7 8; do /bin/true || exit 1; \
         [ \"$(cat $f | gzip -1 | gzip -d | md5sum)\" = \"$s\" ] || exit 1; done; \
         [ $(tr -d \"$1\\n\" < $f | wc -c) = 0 ] || exit 1; rm $f; echo good; }; \
         for n in 1 2 3 4 5 6; do one $n & done; wait",
        LONG,
    )?;
    ensure!(output.stdout == "good\n".repeat(6), "{output}");
    let forks = "for n in 1 2 3 4; do ( i=0; while [ $i -lt 60 ]; do /bin/true || exit 1; \
                 i=$((i+1)); done; echo $i ) & done; wait";
    let output = dom0.run_within(forks, LONG)?;
    ensure!(output.stdout == "60\n".repeat(4), "{output}");
    Ok(())
}

fn vcpus_go_and_come_back(dom0: &mut Dom0) -> Outcome {
    let count = count(dom0)?;
    let last = count - 1;
    for _ in 0..3 {
        dom0.ok(&format!("echo 0 > /sys/devices/system/cpu/cpu{last}/online"))?;
        ensure!(dom0.ok("nproc")? == format!("{last}\n"));
        let list = dom0.ok("xm vcpu-list 0")?;
        ensure!(list.lines().filter(|line| line.contains("--p")).count() == 1, "{list}");
        dom0.ok(&format!("echo 1 > /sys/devices/system/cpu/cpu{last}/online"))?;
        ensure!(dom0.ok("nproc")? == format!("{count}\n"));
    }
    dom0.ok(&format!("taskset -c {last} md5sum /bin/busybox"))?;
    Ok(())
}

/// Programs that use the same wide registers at the same time, more than there are processors.
fn wide_registers_are_each_programs_own(dom0: &mut Dom0) -> Outcome {
    let flags = dom0.ok("sed -n 's/^flags.*: //p' /proc/cpuinfo | head -n 1")?;
    ensure!(flags.split_whitespace().any(|flag| flag == "avx2"), "{flags}");
    ensure!(flags.split_whitespace().any(|flag| flag == "xsave"), "{flags}");
    let output = dom0.run_within(
        "for n in 1 2 3 4 5 6 7 8; do ( yes $n | head -c 8000000 | sha256sum ) & done; wait",
        LONG,
    )?;
    let mut sums: Vec<&str> = output.stdout.lines().collect();
    sums.sort_unstable();
    sums.dedup();
    ensure!(sums.len() == 8, "{output}");
    let again = dom0.run_within(
        "for n in 1 2 3 4 5 6 7 8; do yes $n | head -c 8000000 | sha256sum; done",
        LONG,
    )?;
    let mut expected: Vec<&str> = again.stdout.lines().collect();
    expected.sort_unstable();
    ensure!(sums == expected, "{output}{again}");
    Ok(())
}
