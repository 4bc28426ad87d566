//! Domains on both hypervisors, one after the other and many at a time: what they have, what they
//! are given and what they leave.

mod deaths;
mod ends;
mod many;
mod narrow;
mod shares;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, Output, run_boots};
use xtask::qemu::Model;

const DOMAINS: &[Case] = &[
    ("two_hundred_leave_nothing", two_hundred_leave_nothing),
    ("numbers_are_in_order", numbers_are_in_order),
    ("memory_is_empty_at_first", memory_is_empty_at_first),
    ("what_is_mapped_outlives_its_domain", what_is_mapped_outlives_its_domain),
    ("nobody_gets_more_than_there_is", nobody_gets_more_than_there_is),
    ("thirty_at_once_answer", many::thirty_at_once_answer),
];

/// On two processors.
const SHARES: &[Case] = &[
    ("busy_guests_share_by_weight", shares::busy_guests_share_by_weight),
    ("a_cap_is_kept", shares::a_cap_is_kept),
];

/// On one, where it counts how soon one is left that others want.
const WAKING: &[Case] = &[("who_wakes_is_not_starved", shares::who_wakes_is_not_starved)];

/// Debian's Xen is built without guests of 32 bits.
const NARROW: &[Case] = &[
    ("a_guest_of_32_bits_answers", narrow::a_guest_of_32_bits_answers),
    ("what_32_bits_have_works", narrow::what_32_bits_have_works),
    ("grub_of_32_bits_reads_its_disk", narrow::grub_of_32_bits_reads_its_disk),
];

const NO_NARROW: &[Case] = &[("a_kernel_of_32_bits_is_refused", narrow::a_kernel_is_refused)];

/// These talk to guests at their consoles for long.
const GUESTS: &[Case] = &[
    ("memory_goes_to_and_fro", memory_goes_to_and_fro),
    ("shares_and_places_are_set", shares_and_places_are_set),
    ("a_guest_that_crashes_is_destroyed", a_guest_that_crashes_is_destroyed),
    ("guests_that_are_destroyed_at_any_moment_leave_nothing", ends::at_any_moment),
    ("guests_that_are_destroyed_at_work_leave_nothing", ends::at_work),
    ("two_hundred_that_end_by_themselves_leave_nothing", ends::by_themselves),
    ("deaths_of_daemons_undo_or_complete", deaths::of_daemons_undo_or_complete),
];

/// As long as the slowest of these takes on a busy build host.
pub const LONG: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let [ours, stock] = Boot::default().on_each();
    let [ours_in_full, stock] = [&ours, &stock].map(|it| Boot { only_in_full: true, ..it.clone() });
    let model = Model { counts_instructions: true, ..Model::default() };
    let one = Boot { model, ..ours.clone() };
    let two = Boot { cpus: 2, ..one.clone() };
    let (ours_alone, stock_alone) = ([DOMAINS, NARROW].concat(), [DOMAINS, NO_NARROW].concat());
    let boots = [
        (&ours, &ours_alone[..]),
        (&two, SHARES),
        (&one, WAKING),
        (&ours_in_full, GUESTS),
        (&stock, &stock_alone[..]),
        (&stock, GUESTS),
    ];
    run_boots("domains", &boots)
}

/// Has no guest come and go but those that a case makes.
fn alone(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm disable -s domains").map(drop)
}

fn probe(dom0: &mut Dom0, words: &str) -> Outcome {
    let output = dom0.run_within(&format!("/usr/lib/escalus/probe {words}"), LONG)?;
    ensure!(output.status == 0 && output.stderr.is_empty(), "{output}");
    Ok(())
}

fn two_hundred_leave_nothing(dom0: &mut Dom0) -> Outcome {
    alone(dom0)?;
    probe(dom0, "cycles 200")
}

fn numbers_are_in_order(dom0: &mut Dom0) -> Outcome {
    probe(dom0, "order")
}

fn memory_is_empty_at_first(dom0: &mut Dom0) -> Outcome {
    probe(dom0, "scrub")
}

fn what_is_mapped_outlives_its_domain(dom0: &mut Dom0) -> Outcome {
    probe(dom0, "held")
}

fn nobody_gets_more_than_there_is(dom0: &mut Dom0) -> Outcome {
    probe(dom0, "limits")
}

fn memory_of(dom0: &mut Dom0, guest: &str) -> Result<u64> {
    let listed = dom0.ok(&format!("xm list {guest}"))?;
    let word = listed.lines().nth(1).and_then(|line| line.split_whitespace().nth(2));
    word.and_then(|word| word.parse().ok()).with_context(|| listed.clone())
}

/// A guest gives memory back when it is told to, and takes it again.
fn memory_goes_to_and_fro(dom0: &mut Dom0) -> Outcome {
    dom0.ok("xm create escalus on_crash=destroy")?;
    dom0.log_in("escalus", 1)?;
    for (wanted, is_there) in [(112, 112..=113), (128, 127..=128)] {
        dom0.ok(&format!("xm mem-set escalus {wanted}"))?;
        let listed = |output: &Output| {
            let word = output.stdout.split_whitespace().nth(8);
            word.and_then(|word| word.parse().ok()).is_some_and(|has: u64| is_there.contains(&has))
        };
        dom0.wait_for("xm list escalus", LONG, listed)?;
        // In large pieces: the shell's own `yes` or `seq` would write each line by itself.
        let work = "dd if=/dev/zero of=/run/filled bs=64k count=320 2>/dev/null; \
                    md5sum </run/filled; rm /run/filled";
        let (used, sum) = (dom0.in_guest("escalus", work)?, dom0.ok(work)?);
        // The guest's kernel may have something to say on the console, too.
        ensure!(used.lines().any(|line| line == sum.trim_end()), "{used}");
    }
    ensure!(memory_of(dom0, "escalus")? >= 127);
    Ok(())
}

fn shares_and_places_are_set(dom0: &mut Dom0) -> Outcome {
    dom0.ok("xm sched-credit -d escalus -w 512 -c 50")?;
    dom0.ok("xm sched-credit -d escalus -w 300")?;
    let shown = dom0.ok("xm sched-credit -d escalus")?;
    ensure!(shown.lines().nth(1).is_some_and(|row| row.ends_with("   300   50")), "{shown}");
    let all = dom0.ok("xm sched-credit")?;
    ensure!(
        all.lines().any(|row| row.starts_with("Domain-0 ") && row.ends_with("256    0")),
        "{all}"
    );
    dom0.ok("xm vcpu-pin escalus all 0")?;
    for (wrong, reason) in [
        ("xm vcpu-set escalus 9", "vcpus must be from 1 to maxvcpus = 1"),
        ("xm vcpu-pin escalus 7 0", "there is no vcpu 7"),
        ("xm mem-set escalus 100000", "memory must be from 1 to maxmem"),
        ("xm sched-credit -w 5", "Must specify a domain"),
        ("xm sched-credit -d nobody", "Domain 'nobody' does not exist"),
    ] {
        let output = dom0.run(wrong)?;
        ensure!(output.status != 0 && output.stderr.contains(reason), "{wrong}: {output}");
    }
    dom0.ok("xm sched-credit -d escalus -c 0").map(drop)
}

fn a_guest_that_crashes_is_destroyed(dom0: &mut Dom0) -> Outcome {
    let crash = "echo 1 >/proc/sys/kernel/sysrq; (sleep 1; echo c >/proc/sysrq-trigger) & true";
    dom0.in_guest("escalus", crash)?;
    let gone = |output: &Output| output.status != 0;
    dom0.wait_for("xm domid escalus", LONG, gone)?;
    let log = dom0.ok("cat /var/log/xen/xend.log")?;
    ensure!(log.contains("crash"), "xend has not noticed:\n{log}");
    Ok(())
}
