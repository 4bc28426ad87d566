//! Daemons that are killed while a guest is made or destroyed.

use anyhow::Context;
use tests::{Dom0, Outcome};

use crate::{LONG, alone};

/// Processes and their services.
const DAEMONS: [(&str, &str); 4] = [
    ("xend", "xend"),
    ("xenstored", "store"),
    ("xenconsoled", "console"),
    ("xenbackendd", "xenbackendd"),
];
/// A guest with a disk and an interface, whose kernel is there at once.
const FILE: &str = "/tmp/victim";

/// What is there with no guest.
fn nothing(dom0: &mut Dom0) -> anyhow::Result<String> {
    alone(dom0)?;
    dom0.ok(&format!(
        "sed 's|^name.*|name = \"victim\"|; s|^kernel.*|kernel = \"/usr/lib/escalus/small\"|; \
         s|^memory.*|memory = 24|; /^ramdisk/d; /^root/d; /^extra/d' /etc/xen/escalus >{FILE}"
    ))?;
    dom0.occupied()
}

/// Kills a daemon a moment after a command began; both are over, and the daemon is back, when this
/// returns.
fn kill_during(dom0: &mut Dom0, command: &str, daemon: (&str, &str), tenths: u32) -> Outcome {
    let (process, service) = daemon;
    dom0.run_within(
        &format!(
            "{command} >/tmp/said 2>&1 & sleep {}.{}; kill -9 $(pidof {process}); wait",
            tenths / 10,
            tenths % 10
        ),
        LONG,
    )?;
    dom0.wait_until_online(service)?;
    for (_, service) in DAEMONS {
        dom0.wait_until_online(service)?;
    }
    Ok(())
}

/// The guest is there and answers, or nothing of it is.
fn whole_or_gone(dom0: &mut Dom0, before: &str) -> Outcome {
    if dom0.run("xm domid victim")?.status == 0 {
        dom0.run("xm unpause victim")?;
        dom0.small_answers("victim")?;
        dom0.ok("xm destroy victim")?;
    }
    let clean = |output: &tests::Output| output.stdout == before;
    dom0.wait_for(Dom0::OCCUPIED, LONG, clean).map(drop)
}

/// Each operation is the next one after a death, too; the last is whole again.
fn at_moments(dom0: &mut Dom0, moments: &[u32]) -> Outcome {
    let before = nothing(dom0)?;
    for daemon in DAEMONS {
        for tenths in moments {
            let what = |doing: &str| format!("{} killed {tenths} tenths after {doing}", daemon.0);
            kill_during(dom0, &format!("xm create -q {FILE}"), daemon, *tenths)
                .and_then(|()| whole_or_gone(dom0, &before))
                .with_context(|| what("create began"))?;
            dom0.ok(&format!("xm create -q {FILE}"))?;
            kill_during(dom0, "xm destroy victim", daemon, *tenths)
                .and_then(|()| whole_or_gone(dom0, &before))
                .with_context(|| what("destroy began"))?;
        }
    }
    dom0.ok(&format!("xm create -q {FILE}"))?;
    whole_or_gone(dom0, &before)
}

pub fn of_daemons_undo_or_complete(dom0: &mut Dom0) -> Outcome {
    at_moments(dom0, &[2])
}
