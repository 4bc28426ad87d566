//! Runs the cases of a group in one dom0 and reports as libtest does.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use xtask::project;
use xtask::test::FULL;

use crate::{Boot, Dom0};

/// What a case gives back.
pub type Outcome = Result<()>;

/// A case: its name, and what it does in dom0.
pub type Case = (&'static str, fn(&mut Dom0) -> Outcome);

/// Looked at when a case failed.
const EVIDENCE: &str =
    "svcs -a; tail -n 20 /var/svc/log/*.log /var/log/xen/*.log; dmesg | tail -n 20";

/// A case that boots what it needs: its name, and what it does.
pub type AloneCase = (&'static str, fn() -> Outcome);

/// The `main` of a test program: boots once, runs all cases in order, powers off.
///
/// Later cases may build on what earlier ones did; one that fails doesn't stop the others.
pub fn run_group(group: &str, boot: &Boot, cases: &[Case]) -> ExitCode {
    run_boots(group, &[(boot, cases)])
}

/// As [`run_group`], with several boots one after the other; some of them in full runs only.
pub fn run_boots(group: &str, boots: &[(&Boot, &[Case])]) -> ExitCode {
    let names: BTreeSet<&str> = boots.iter().map(|(boot, _)| boot.name()).collect();
    let mut tally = Tally { group: group.to_owned(), passed: 0, failed: 0 };
    let is_full = std::env::var_os(FULL).is_some();
    for (boot, cases) in boots.iter().filter(|(boot, _)| is_full || !boot.only_in_full) {
        if names.len() > 1 {
            tally.group = format!("{group}::{}", boot.name());
        }
        let is_chosen = |name: &str| is_asked_for(&format!("{}::{name}", boot.name()));
        let cases: Vec<Case> = cases.iter().copied().filter(|(name, _)| is_chosen(name)).collect();
        if !cases.is_empty() {
            tally.boot(boot, &cases);
        }
    }
    tally.report()
}

/// As [`run_group`], for cases that boot machines of their own.
pub fn run_alone(group: &str, cases: &[AloneCase]) -> ExitCode {
    let mut tally = Tally { group: group.to_owned(), passed: 0, failed: 0 };
    for (name, case) in cases.iter().filter(|(name, _)| is_asked_for(name)) {
        tally.case(name, case);
    }
    tally.report()
}

/// Whether a case is asked for on the command line.
fn is_asked_for(name: &str) -> bool {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    words.is_empty() || words.iter().any(|word| name.contains(word))
}

struct Tally {
    /// The group, and what is under the guests if that differs.
    group: String,
    passed: usize,
    failed: usize,
}

impl Tally {
    fn report(&self) -> ExitCode {
        let word = if self.failed == 0 { "ok" } else { "FAILED" };
        println!("\ntest result: {word}. {} passed; {} failed\n", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn boot(&mut self, boot: &Boot, cases: &[Case]) {
        let mut dom0 = None;
        self.case("boot", || {
            dom0 = Some(Dom0::boot(boot)?);
            Ok(())
        });
        let Some(mut dom0) = dom0 else {
            self.failed += cases.len();
            return;
        };
        let failed_before = self.failed;
        for (name, case) in cases {
            self.case(name, || case(&mut dom0));
        }
        if self.failed > failed_before {
            show_evidence(&self.group, &mut dom0);
        }
        if !boot.ends {
            self.case("power_off", || dom0.power_off());
        }
    }

    fn case(&mut self, name: &str, case: impl FnOnce() -> Outcome) {
        let started = Instant::now();
        let outcome = guarded(case);
        let took = started.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("test {}::{name} ... ok ({took:.1} s)", self.group);
            }
            Err(error) => {
                self.failed += 1;
                println!("test {}::{name} ... FAILED ({took:.1} s)\n{error:#}", self.group);
            }
        }
    }
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
    let kept = project::build().join(format!("console-{}.log", group.replace("::", "-")));
    match dom0.console().and_then(|text| Ok(std::fs::write(&kept, text)?)) {
        Ok(()) => println!("--- the console's log: {}", kept.display()),
        Err(error) => println!("--- no console log: {error:#}"),
    }
}
