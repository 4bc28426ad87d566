//! Runs the cases of a group in one dom0 and reports as libtest does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use xtask::project;

use crate::{Boot, Dom0};

/// What a case gives back.
pub type Outcome = Result<()>;

/// A case: its name, and what it does in dom0.
pub type Case = (&'static str, fn(&mut Dom0) -> Outcome);

/// Looked at when a case failed.
const EVIDENCE: &str =
    "svcs -a; tail -n 20 /var/svc/log/*.log /var/log/xen/*.log; dmesg | tail -n 20";

/// The `main` of a test program: boots once, runs all cases in order.
///
/// Later cases may build on what earlier ones did; one that fails doesn't stop the others.
pub fn run_group(group: &str, boot: &Boot, cases: &[Case]) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let chosen: Vec<&Case> = cases
        .iter()
        .filter(|(name, _)| words.is_empty() || words.iter().any(|word| name.contains(word)))
        .collect();
    if chosen.is_empty() {
        return report(0, 0);
    }
    let mut dom0 = match Dom0::boot(boot) {
        Ok(dom0) => dom0,
        Err(error) => {
            println!("{group}: no case could be run: {error:#}");
            return report(0, chosen.len());
        }
    };
    let mut failed = 0;
    for (name, case) in &chosen {
        let started = Instant::now();
        let outcome = guarded(|| case(&mut dom0));
        let took = started.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => println!("test {group}::{name} ... ok ({took:.1} s)"),
            Err(error) => {
                failed += 1;
                println!("test {group}::{name} ... FAILED ({took:.1} s)\n{error:#}");
            }
        }
    }
    if failed > 0 {
        show_evidence(group, &mut dom0);
    }
    report(chosen.len() - failed, failed)
}

/// A panic is one case's failure, not the end of the group.
fn guarded(case: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow!("panicked: {}", text.unwrap_or("(no message)")))
    })
}

fn show_evidence(group: &str, dom0: &mut Dom0) {
    match dom0.run(EVIDENCE) {
        Ok(output) => println!("--- dom0 after the failures\n{}", output.stdout),
        Err(error) => println!("--- dom0 does not answer: {error:#}"),
    }
    let kept = project::build().join(format!("console-{group}.log"));
    match dom0.console().and_then(|text| Ok(std::fs::write(&kept, text)?)) {
        Ok(()) => println!("--- the console's log: {}", kept.display()),
        Err(error) => println!("--- no console log: {error:#}"),
    }
}

fn report(passed: usize, failed: usize) -> ExitCode {
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed\n");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
