//! Much work at a time, and whether all of it comes out right.

use std::time::Duration;

use anyhow::ensure;
use tests::compiler::{COMPILE, VOLUME, checksum};
use tests::{Case, Dom0, Outcome};

pub const CASES: &[Case] = &[
    ("loaded::a_thousand_forks", a_thousand_forks),
    ("loaded::everything_at_once", everything_at_once),
    ("loaded::a_copied_gigabyte_is_the_same", a_copied_gigabyte_is_the_same),
    ("loaded::what_is_compiled_is_the_same_as_here", what_is_compiled_is_the_same_as_here),
    ("loaded::what_is_compiled_works", what_is_compiled_works),
];

const HOUR: Duration = Duration::from_secs(3600);

/// A thousand processes that are alive at the same time, each forked by the one before.
fn a_thousand_forks(dom0: &mut Dom0) -> Outcome {
    let output = dom0.run_within(
        "i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i + 1)); done; \
         pidof sleep | wc -w; kill $(jobs -p); wait 2>/dev/null; pidof sleep | wc -w",
        HOUR,
    )?;
    ensure!(output.stdout == "1000\n0\n", "{output}");
    Ok(())
}

/// Processors, memory, the disk, pipes and forks, each by several programs, with known results.
fn everything_at_once(dom0: &mut Dom0) -> Outcome {
    const WORK: &str = "
        compute() { i=0; s=0; while [ $i -lt 20000 ]; do i=$((i + 1)); s=$((s + i * i % 7)); done; \
            echo compute $s; }
        memory() { f=/tmp/m.$1; for i in 1 2 3; do yes $1 | head -c 16777216 > $f; \
            [ $(tr -d \"$1\\n\" < $f | wc -c) = 0 ] || echo bad; rm $f; done; echo memory; }
        disk() { f=/var/d.$1; for i in 1 2 3; do yes $1$i | head -c 8388608 > $f; sync; \
            yes $1$i | head -c 8388608 | md5sum > $f.sum; \
            md5sum < $f | diff - $f.sum > /dev/null || echo bad; rm $f $f.sum; done; echo disk; }
        pipes() { yes | head -c 20000000 | cat | cat | md5sum; }
        forks() { i=0; while [ $i -lt 200 ]; do /bin/true || echo bad; i=$((i + 1)); done; \
            echo forks; }
        for n in 1 2 3; do for what in compute memory disk pipes forks; do $what $n & done; done; wait";
    let output = dom0.run_within(WORK, HOUR)?;
    let mut lines: Vec<&str> = output.stdout.lines().collect();
    lines.sort_unstable();
    let sum: u64 = (1..=20_000_u64).map(|i| i * i % 7).sum();
    let compute = format!("compute {sum}");
    ensure!(lines.len() == 15 && !output.stdout.contains("bad"), "{output}");
    for name in [compute.as_str(), "memory", "disk", "forks"] {
        ensure!(lines.iter().filter(|line| **line == name).count() == 3, "{output}");
    }
    let pipes: Vec<&&str> = lines.iter().filter(|line| line.ends_with("  -")).collect();
    ensure!(pipes.len() == 3 && pipes[0] == pipes[1] && pipes[1] == pipes[2], "{output}");
    Ok(())
}

fn mount(dom0: &mut Dom0) -> Outcome {
    let mount = format!("mount -t ext4 $(findfs LABEL={VOLUME}) /mnt");
    dom0.ok(&format!("grep -q ' /mnt ' /proc/mounts || {mount}")).map(drop)
}

/// More than memory holds, so that it comes from the disk again.
fn a_copied_gigabyte_is_the_same(dom0: &mut Dom0) -> Outcome {
    mount(dom0)?;
    let output = dom0.run_within(
        "cd /mnt && dd if=/dev/urandom of=a bs=1M count=1024 2>/dev/null && cp a b && sync && \
         echo 3 > /proc/sys/vm/drop_caches && md5sum < a && md5sum < b && wc -c < b; rm -f a b",
        HOUR,
    )?;
    let lines: Vec<&str> = output.stdout.lines().collect();
    ensure!(lines.len() == 3 && lines[0] == lines[1] && lines[2] == "1073741824", "{output}");
    Ok(())
}

/// A compiler on each processor; what they make is, byte by byte, what the same one makes here.
fn what_is_compiled_is_the_same_as_here(dom0: &mut Dom0) -> Outcome {
    mount(dom0)?;
    let compile = COMPILE.join(" ");
    let command = format!(
        "for n in $(seq $(nproc)); do chroot /mnt /usr/bin/{compile} $n.o & done; wait; \
         cd /mnt && md5sum *.o | cut -d ' ' -f 1 | sort | uniq -c"
    );
    let output = dom0.run_within(&command, HOUR)?;
    let found: Vec<&str> = output.stdout.split_whitespace().collect();
    ensure!(found == ["2", checksum()?.as_str()], "{output}");
    Ok(())
}

fn what_is_compiled_works(dom0: &mut Dom0) -> Outcome {
    mount(dom0)?;
    let output = dom0.run_within(
        "chroot /mnt /usr/bin/tcc -o use use.c 1.o /lib/x86_64-linux-gnu/libm.so.6 && \
         chroot /mnt /use /tmp/database",
        HOUR,
    )?;
    ensure!(output.stdout == "good\n" && output.status == 0, "{output}");
    Ok(())
}
