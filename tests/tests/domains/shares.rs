//! Who gets how much of processors, and how soon, when more want them than there are.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Dom0, Outcome};

use crate::{LONG, alone};

/// Guests that never rest, and their weights: half of them spin, half make hypercalls that are as
/// long as they can be.
const BUSY: [(&str, u32); 6] =
    [("a", 128), ("b", 128), ("c", 256), ("d", 256), ("e", 512), ("f", 512)];
const DOING: [&str; 2] = ["spin", "call"];
const WHILE: Duration = Duration::from_secs(20);
/// How far from its share a guest's time may be, of the share.
const OFF: f64 = 0.05;
/// What a capped guest may have, of one processor.
const CAP: u32 = 25;
/// How often a guest that sleeps is woken.
const ROUNDS: u32 = 200;

/// What each of the busy uses while that is done, in seconds.
fn used(dom0: &mut Dom0, command: &str) -> Result<Vec<f64>> {
    let names: Vec<&str> = BUSY.iter().map(|(name, _)| *name).collect();
    let ids = dom0.ok(&format!("for name in {}; do xm domid $name; done", names.join(" ")))?;
    let times = "/usr/lib/escalus/probe times";
    let output = dom0.run_within(&format!("{times} && {command} && {times}"), LONG)?;
    ensure!(output.status == 0 && output.stderr.is_empty(), "{output}");
    let used = |id: &str| {
        let rows = output.stdout.lines().filter_map(|row| row.split_once(' '));
        let mut times = rows.filter(|(domain, _)| *domain == id);
        let mut next = || times.next()?.1.parse().ok();
        let before: u64 = next()?;
        Some((next()? - before) as f64 / 1e9)
    };
    ids.lines().map(used).collect::<Option<_>>().with_context(|| output.to_string())
}

fn make_busy(dom0: &mut Dom0) -> Outcome {
    alone(dom0)?;
    for ((name, weight), doing) in BUSY.into_iter().zip(DOING.into_iter().cycle()) {
        dom0.create_small(name, doing)?;
        dom0.ok(&format!("xm sched-credit -d {name} -w {weight}"))?;
    }
    Ok(())
}

/// Has them leave the processors to what ends the machine.
fn end_busy(dom0: &mut Dom0) -> Outcome {
    BUSY.iter().try_for_each(|(name, _)| dom0.ok(&format!("xm destroy {name}")).map(drop))
}

/// All want more than there is, and none wants less than its share: weights alone decide.
pub fn busy_guests_share_by_weight(dom0: &mut Dom0) -> Outcome {
    make_busy(dom0)?;
    let used = used(dom0, &format!("sleep {}", WHILE.as_secs()))?;
    let total: f64 = used.iter().sum();
    let weights: u32 = BUSY.iter().map(|(_, weight)| weight).sum();
    // Domain 0 sleeps; nothing may be left over.
    ensure!(total > 1.8 * WHILE.as_secs_f64(), "{total} s used of two processors: {used:?}");
    for ((name, weight), used) in BUSY.iter().zip(&used) {
        let share = f64::from(*weight) / f64::from(weights);
        let had = used / total;
        ensure!((had / share - 1.0).abs() < OFF, "{name} had {had:.3} for {share:.3}: {used:?}");
    }
    Ok(())
}

/// Sleepers are not behind those that never sleep: each round takes two wake-ups, domain 0's and
/// the guest's. Behind a turn of 10 ms each, a round would cost 20 ms.
pub fn who_wakes_is_not_starved(dom0: &mut Dom0) -> Outcome {
    make_busy(dom0)?;
    dom0.create_small("sleeper", "pong")?;
    let log = "cat /var/log/xen/console/guest-sleeper.log";
    let said = dom0.wait_for(log, LONG, |output| output.stdout.contains("answer: "))?;
    let port = said.stdout.split("answer: ").nth(1).and_then(|rest| rest.lines().next());
    let port = port.context("no port")?.trim_end().to_owned();
    let id = dom0.ok("xm domid sleeper")?;
    let command = format!("/usr/lib/escalus/probe rounds {} {port} {ROUNDS}", id.trim_end());
    let used: f64 = used(dom0, &command)?.iter().sum();
    let most = f64::from(ROUNDS) * 0.010;
    ensure!(used < most, "others ran for {used} s during {ROUNDS} rounds");
    end_busy(dom0)
}

/// A cap holds though there is time left, which the others get.
pub fn a_cap_is_kept(dom0: &mut Dom0) -> Outcome {
    let (capped, _) = BUSY[5];
    dom0.ok(&format!("xm sched-credit -d {capped} -c {CAP}"))?;
    let used = used(dom0, &format!("sleep {}", WHILE.as_secs()))?;
    // Together they have two processors all the time.
    let allowed = used.iter().sum::<f64>() / 2.0 * f64::from(CAP) / 100.0;
    ensure!((used[5] / allowed - 1.0).abs() < OFF, "{capped} had {} s of {allowed}", used[5]);
    end_busy(dom0)
}
