//! Guests that end, by others' hands or their own, in the middle of what they do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Dom0, Outcome};

use crate::alone;

/// How many end by themselves, one in an orderly way and the next by a crash.
const COUNT: usize = 200;
const HOUR: Duration = Duration::from_secs(3600);
/// Keeps a guest's disk busy, both ways, past its caches.
const DISK: &str = "(while :; do dd if=/dev/xvda of=/dev/null bs=64k count=400 iflag=direct; \
     dd if=/dev/zero of=/root/junk bs=64k count=100 oflag=direct; done) >/dev/null 2>&1 & true";
/// Keeps its interface busy, both ways.
const NETWORK: &str = "(yes | nc 10.0.0.3 7 >/dev/null) >/dev/null 2>&1 & true";

/// Nothing is left of what `act` made.
fn leaving_nothing(dom0: &mut Dom0, act: impl FnOnce(&mut Dom0) -> Outcome) -> Outcome {
    let before = dom0.occupied()?;
    act(dom0)?;
    let after = dom0.occupied()?;
    ensure!(after == before, "left behind:\n{after}\nbefore it was:\n{before}");
    Ok(())
}

fn wait(dom0: &mut Dom0, tenths: u32) -> Result<String> {
    dom0.ok(&format!("sleep {}.{}", tenths / 10, tenths % 10))
}

/// Each time a little further on its way to its login.
pub fn at_any_moment(dom0: &mut Dom0) -> Outcome {
    leaving_nothing(dom0, |dom0| {
        for tenths in (0..60).step_by(6) {
            dom0.ok("xm create escalus")?;
            wait(dom0, tenths)?;
            dom0.ok("xm destroy escalus")?;
        }
        Ok(())
    })
}

/// While requests of its disk and its interface are on their way.
pub fn at_work(dom0: &mut Dom0) -> Outcome {
    leaving_nothing(dom0, |dom0| {
        for (round, tenths) in [3, 7, 11, 16].into_iter().enumerate() {
            let logins =
                dom0.run("grep -c 'escalus login:' /var/log/xen/console/guest-escalus.log")?;
            let logins: usize = logins.stdout.trim().parse().unwrap_or(0);
            dom0.ok("xm create escalus")?;
            dom0.log_in("escalus", logins + 1)?;
            dom0.in_guest("escalus", DISK)?;
            dom0.ok(NETWORK)?;
            wait(dom0, tenths)?;
            dom0.ok("xm destroy escalus").with_context(|| format!("round {round}"))?;
            dom0.run("killall nc")?;
        }
        Ok(())
    })?;
    // Its journal mends what was under way; nothing else may be damaged.
    dom0.ok("mount -o loop /var/lib/xen/images/escalus.img /mnt && \
         grep -q 'Good morrow' /mnt/srv/www/index.html && rm -f /mnt/root/junk && umount /mnt")
        .map(drop)
}

/// They power off, or crash, as soon as they run.
pub fn by_themselves(dom0: &mut Dom0) -> Outcome {
    alone(dom0)?;
    leaving_nothing(dom0, |dom0| {
        let output = dom0.run_within(
            &format!(
                "file() {{ printf 'name = \"mortal\"\\nextra = \"%s\"\\nmemory = 24\\n\
                 kernel = \"/usr/lib/escalus/small\"\\non_crash = \"destroy\"\\n' $1; }}; \
                 file halt >/tmp/end0; file crash >/tmp/end1; \
                 for n in $(seq {COUNT}); do xm create -q /tmp/end$((n % 2)) || exit; \
                 while xm domid mortal >/dev/null 2>&1; do :; done; done"
            ),
            HOUR,
        )?;
        ensure!(output.status == 0, "{output}");
        Ok(())
    })
}
