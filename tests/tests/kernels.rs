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
            ("programs_enter_as_on_stock_xen", programs_enter_as_on_stock_xen),
            ("vcpus_are_made_as_on_stock_xen", vcpus_are_made_as_on_stock_xen),
            ("the_books_menu_is_obeyed", the_books_menu_is_obeyed),
            ("random_calls_break_nothing", random_calls_break_nothing),
            (
                "random_calls_of_vcpus_at_once_break_nothing",
                random_calls_of_vcpus_at_once_break_nothing,
            ),
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
    compare(&Boot::default()).map(drop)
}

/// On a processor of Intel's, on which programs have one way more. It is one of those that programs can
/// look through, and has its buffers emptied, which it needs to be told.
fn programs_enter_as_on_stock_xen() -> Outcome {
    let options = "spec-ctrl=md-clear loglvl=info";
    let ours =
        compare(&Boot { words: "entries".to_owned(), cpu: "Nehalem", options, ..Boot::default() })?;
    for line in ["VERW yes", "(Meltdown)"] {
        ensure!(ours.contains(line), "no {line:?} in:\n{ours}");
    }
    Ok(())
}

/// One vcpu makes another one.
fn vcpus_are_made_as_on_stock_xen() -> Outcome {
    let options = "dom0_max_vcpus=2";
    compare(&Boot { words: "vcpus".to_owned(), options, ..Boot::default() }).map(drop)
}

/// Compares what the two say to some parts of the checks, or to all. Gives all that ours said.
fn compare(boot: &Boot) -> anyhow::Result<String> {
    let run = |hypervisor| Boot { hypervisor, ..boot.clone() }.run(TIMEOUT);
    let (ours, xens) = (run(Hypervisor::Escalus)?, run(Hypervisor::Xen)?);
    let (our_lines, xens_lines) = (lines(&ours)?, lines(&xens)?);
    let mut part = "";
    // Those that this run has nothing to do with are no matter.
    let is_part = |line: &&str| !line.contains(": ");
    let run: Vec<&str> = our_lines.iter().copied().filter(is_part).map(part_name).collect();
    let is_used = |difference: &Difference| !run.contains(&difference.part);
    let mut used: Vec<bool> = DIFFERENCES.iter().map(is_used).collect();
    let mut unexpected = Vec::new();
    for (number, (ours, xens)) in our_lines.iter().zip(&xens_lines).enumerate() {
        if !ours.contains(": ") {
            part = part_name(ours);
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
    Ok(ours)
}

/// The part of the checks that a line begins.
fn part_name(line: &str) -> &str {
    line.strip_prefix("part ").unwrap_or(line)
}

/// What the kernel printed, without what the hypervisor did.
fn lines(text: &str) -> anyhow::Result<Vec<&str>> {
    let (_, rest) = text.split_once("checks begin\n").with_context(|| text.to_owned())?;
    let (checks, _) = rest.split_once("checks end\n").with_context(|| text.to_owned())?;
    Ok(checks.lines().filter(|line| !line.starts_with("(XEN)")).collect())
}

/// A menu of GRUB's first version as NetBSD's guide has it: `dom0_mem` counts KiB, `com1` is the
/// console by itself, and the kernel gets its own words as they are.
fn the_books_menu_is_obeyed() -> Outcome {
    const MENU: &str = "default 0\ntimeout 0\ntitle Xen\n\
        kernel /xen.gz dom0_mem=65536 com1=115200,8n1 frobnicate=1\n\
        module /XEN3_DOM0 root=sd0a ro console=ttyS0\n";
    let boot = Boot { kernel: "says", ..Boot::default() };
    let text = boot.run_from_menu(MENU, TIMEOUT)?;
    for line in [
        "(XEN) unknown option 'frobnicate=1' ignored\n",
        "(XEN) 64 MiB for domain 0",
        "memory: 65536 KiB\n",
        // GRUB 2 leaves the file's name before what is behind it, as its first version did.
        " root=sd0a ro console=ttyS0\n",
    ] {
        ensure!(text.contains(line), "no {line:?} in:\n{text}");
    }
    Ok(())
}

fn random_calls_break_nothing() -> Outcome {
    fuzz("seed=1 calls=300000", 1)
}

/// What comes of it is never the same twice; what was asked for is.
fn random_calls_of_vcpus_at_once_break_nothing() -> Outcome {
    fuzz("seed=2 calls=60000 racers=1", 2)
}

fn fuzz(words: &str, cpus: u32) -> Outcome {
    let boot = Boot { kernel: "fuzz", words: words.to_owned(), cpus, ..Boot::default() };
    let text = boot.run(TIMEOUT)?;
    let complaint = fuzz_complaint(&text);
    ensure!(complaint.is_none(), "{}:\n{text}", complaint.unwrap_or_default());
    // All that fails shows nothing.
    let idle = text.contains("\n0 succeeded") || cpus > 1 && text.contains("\n0 of ");
    ensure!(!idle, "no call succeeded:\n{text}");
    Ok(())
}
