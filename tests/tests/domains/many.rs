//! Many guests at once.

use anyhow::ensure;
use tests::{Dom0, Outcome};

use crate::{LONG, alone};

const COUNT: usize = 30;

/// With 24 MiB for each, in a machine of 2 GiB. All are there before the first is asked; then all
/// are asked at a time, at their consoles, what the store says that their names are.
pub fn thirty_at_once_answer(dom0: &mut Dom0) -> Outcome {
    alone(dom0)?;
    let before = dom0.occupied()?;
    for number in 1..=COUNT {
        dom0.create_small(&format!("small{number}"), "")?;
    }
    let output = dom0.run_within(
        &format!(
            "for n in $(seq {COUNT}); do \
             {{ printf 'read name\\n'; i=0; \
                until grep -q '^answer: ' /tmp/said.$n || [ $i = 60 ]; do sleep 1; i=$((i+1)); done; \
                printf '\\035'; }} | xm console small$n >/tmp/said.$n & \
             done; wait; sed -n 's/\\r//; s/^answer: //p' /tmp/said.*"
        ),
        LONG,
    )?;
    let mut names: Vec<&str> = output.stdout.lines().collect();
    let mut wanted: Vec<String> = (1..=COUNT).map(|number| format!("small{number}")).collect();
    names.sort_unstable();
    wanted.sort_unstable();
    ensure!(names == wanted, "{output}");
    dom0.run_within(&format!("for n in $(seq {COUNT}); do xm destroy small$n; done"), LONG)?;
    let after = dom0.occupied()?;
    ensure!(after == before, "left behind:\n{after}\nbefore it was:\n{before}");
    Ok(())
}
