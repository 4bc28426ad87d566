//! `cargo xtask test`: style, unit tests, and every group of tests that boots, with one count.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::images::Hypervisor;
use crate::{groups, host, hypervisor, project};

/// Packages that only tests need.
const NEEDED: &[host::Needed] = &[
    host::Needed { file: "busybox", package: "busybox-static" },
    host::Needed { file: "xenstore-ls", package: "xenstore-utils" },
    host::Needed { file: "/usr/include/xen/xen.h", package: "libxen-dev" },
];

/// Set for test programs in a full run.
pub const FULL: &str = "ESCALUS_TEST_FULL";
/// Tells test programs which hypervisor was chosen.
const HYPERVISOR: &str = "ESCALUS_TEST_HYPERVISOR";

/// What `cargo xtask test` was asked for.
#[derive(Debug, Default, clap::Args)]
pub struct Arguments {
    /// Also what takes long and tells little that the rest doesn't
    #[arg(long)]
    full: bool,
    /// What is under dom0 in groups that are neither about one hypervisor nor run on both
    #[arg(long, value_enum, default_value = "escalus")]
    hypervisor: Hypervisor,
    /// Only these groups of tests that boot (the files in tests/tests)
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
}

impl Arguments {
    /// Has a test program do as was asked for.
    pub(crate) fn tell(&self, program: &mut Command) {
        if self.full {
            program.env(FULL, "1");
        }
        if let Some(value) = self.hypervisor.to_possible_value() {
            program.env(HYPERVISOR, value.get_name());
        }
    }
}

/// The hypervisor that a test program was told to use: ours, if it is run by itself.
pub fn hypervisor() -> Hypervisor {
    let name = std::env::var(HYPERVISOR).unwrap_or_default();
    Hypervisor::from_str(&name, false).unwrap_or_default()
}

/// Tests that passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

/// Runs all tests, or some groups of those that boot.
pub fn test(arguments: &Arguments) -> Result<ExitCode> {
    host::install_missing(NEEDED)?;
    if !arguments.groups.is_empty() {
        return Ok(report(groups::run(&arguments.groups, arguments)?));
    }
    check(&["fmt", "--all", "--check"])?;
    check(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    println!("cargo clippy of the hypervisor's image and of the kernels that exercise it");
    for mut clippy in hypervisor::clippy()? {
        ensure!(clippy.status()?.success(), "clippy found fault with them");
    }
    let unit = cargo_test(&["--workspace", "--exclude", "tests"])?;
    Ok(report(unit + groups::run(&[], arguments)?))
}

fn report(count: Count) -> ExitCode {
    println!("\n{} passed, {} failed", count.passed, count.failed);
    if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// cargo, in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(project::root()).stdin(Stdio::null());
    cargo
}

fn check(words: &[&str]) -> Result<()> {
    println!("cargo {}", words.join(" "));
    let status = cargo().args(words).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {} found fault", words[0]);
    }
    Ok(())
}

/// Runs `cargo test`, passes on what it prints, and counts.
fn cargo_test(words: &[&str]) -> Result<Count> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--no-fail-fast"]).args(words);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut count = Count::default();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        count = count + count_results(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        // A program that was killed says nothing; the other tests are to be seen all the same.
        println!("cargo test {} could not run all tests", words.join(" "));
        count.failed = 1;
    }
    Ok(count)
}

/// Sums up the results that test programs printed.
pub(crate) fn count_results(text: &str) -> Count {
    text.lines().filter_map(result_line).fold(Count::default(), |all, count| all + count)
}

/// Reads `test result: ok. 3 passed; 0 failed; ...`.
fn result_line(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = numbers.split("; ");
    let mut number = |word: &str| parts.next()?.strip_suffix(word)?.trim().parse().ok();
    Some(Count { passed: number("passed")?, failed: number("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_libtest_and_from_our_runner() {
        let libtest = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; finished";
        assert_eq!(result_line(libtest), Some(Count { passed: 3, failed: 1 }));
        let ours = "test result: ok. 12 passed; 0 failed";
        assert_eq!(result_line(ours), Some(Count { passed: 12, failed: 0 }));
        assert_eq!(result_line("test chapter::a ... ok"), None);
    }
}
