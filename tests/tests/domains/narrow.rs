//! Guests of 32 bits.

use anyhow::ensure;
use tests::{Dom0, Outcome};

use crate::alone;

/// One answers at its console, and the store knows it.
pub fn a_guest_of_32_bits_answers(dom0: &mut Dom0) -> Outcome {
    alone(dom0)?;
    // The table that the first of them needs is kept for those that follow.
    answers_and_goes(dom0)?;
    let before = dom0.occupied()?;
    answers_and_goes(dom0)?;
    let after = dom0.occupied()?;
    ensure!(after == before, "left behind:\n{after}\nbefore it was:\n{before}");
    Ok(())
}

fn answers_and_goes(dom0: &mut Dom0) -> Outcome {
    dom0.create_with("small32", "narrow", "")?;
    dom0.small_answers("narrow")?;
    dom0.ok("xm destroy narrow").map(drop)
}
