//! Kernels made for exercising a hypervisor, as domain 0 of ours and of stock Xen: the same answers
//! to the same calls, and nothing that random calls could break.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::{Outcome, run_alone};
use xtask::images::Hypervisor;
use xtask::kernels::{Boot, fuzz_complaint};

const TIMEOUT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    run_alone(
        "kernels",
        &[
            ("answers_are_stock_xens", answers_are_stock_xens),
            ("random_calls_break_nothing", random_calls_break_nothing),
        ],
    )
}

/// Lines that may differ, and why: in which part, the line's name, what ours says, what Xen says.
struct Difference {
    part: &'static str,
    name: &'static str,
    ours: &'static str,
    xens: &'static str,
    #[allow(dead_code, reason = "for who reads this")]
    reason: &'static str,
}

include!("kernels/differences.rs");

impl Difference {
    fn covers(&self, part: &str, name: &str, ours: &str, xens: &str) -> bool {
        let matches = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        self.part == part
            && matches(self.name, name)
            && matches(self.ours, ours)
            && matches(self.xens, xens)
    }
}

fn answers_are_stock_xens() -> Outcome {
    let run = |hypervisor| {
        Boot { hypervisor, kernel: "checks", words: String::new(), cpus: 1 }.run(TIMEOUT)
    };
    let (ours, xens) = (run(Hypervisor::Escalus)?, run(Hypervisor::Xen)?);
    let (our_lines, xens_lines) = (lines(&ours)?, lines(&xens)?);
    let mut part = "";
    let mut used = vec![false; DIFFERENCES.len()];
    let mut unexpected = Vec::new();
    for (number, (ours, xens)) in our_lines.iter().zip(&xens_lines).enumerate() {
        if !ours.contains(": ") {
            part = ours.strip_prefix("part ").unwrap_or(ours);
        }
        if ours == xens {
            continue;
        }
        let (name, our_answer) = ours.split_once(": ").unwrap_or((ours, ""));
        let (xens_name, xens_answer) = xens.split_once(": ").unwrap_or((xens, ""));
        ensure!(name == xens_name, "line {number}: ours says `{ours}`, Xen `{xens}`");
        let known =
            |difference: &Difference| difference.covers(part, name, our_answer, xens_answer);
        match DIFFERENCES.iter().position(known) {
            Some(index) => used[index] = true,
            None => {
                let before = our_lines[number.saturating_sub(3)..number].join("; ");
                unexpected.push(format!(
                    "{part}: {name}: {our_answer}, on Xen {xens_answer} (after {before})"
                ));
            }
        }
    }
    ensure!(
        unexpected.is_empty(),
        "{} answers differ:\n{}",
        unexpected.len(),
        unexpected.join("\n")
    );
    ensure!(
        our_lines.len() == xens_lines.len(),
        "{} lines, Xen {}",
        our_lines.len(),
        xens_lines.len()
    );
    let unused = used.iter().zip(DIFFERENCES).find(|(used, _)| !**used);
    let unused = unused.map(|(_, difference)| format!("{}: {}", difference.part, difference.name));
    ensure!(unused.is_none(), "no longer a difference: {unused:?}");
    Ok(())
}

/// What the kernel printed, without what the hypervisor did.
fn lines(text: &str) -> anyhow::Result<Vec<&str>> {
    let (_, rest) = text.split_once("checks begin\n").with_context(|| text.to_owned())?;
    let (checks, _) = rest.split_once("checks end\n").with_context(|| text.to_owned())?;
    Ok(checks.lines().filter(|line| !line.starts_with("(XEN)")).collect())
}

fn random_calls_break_nothing() -> Outcome {
    let words = "seed=1 calls=300000".to_owned();
    let boot = Boot { hypervisor: Hypervisor::Escalus, kernel: "fuzz", words, cpus: 1 };
    let text = boot.run(TIMEOUT)?;
    let complaint = fuzz_complaint(&text);
    ensure!(complaint.is_none(), "{}:\n{text}", complaint.unwrap_or_default());
    Ok(())
}
