//! The hypervisor's keys at the serial line, and what is printed when it can't go on.

use std::process::ExitCode;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_group};

const KEYS: &[Case] = &[
    ("keys_are_the_hypervisors_when_it_is_asked", keys_are_the_hypervisors_when_it_is_asked),
    ("keys_show_its_state", keys_show_its_state),
    ("unknown_options_are_reported", unknown_options_are_reported),
    ("a_crash_shows_who_called_whom", a_crash_shows_who_called_whom),
];

fn main() -> ExitCode {
    let boot =
        Boot { hypervisor_options: "frobnicate=yes loglvl=all", ends: true, ..Boot::default() };
    run_group("crash", &boot, KEYS)
}

fn keys_are_the_hypervisors_when_it_is_asked(dom0: &mut Dom0) -> Outcome {
    dom0.type_at_console("\x01\x01\x01")?;
    dom0.wait_for_console("*** Serial input to the hypervisor")?;
    dom0.type_at_console("h")?;
    dom0.wait_for_console("(XEN)  key 'C' => crash, with a report")
}

fn keys_show_its_state(dom0: &mut Dom0) -> Outcome {
    dom0.type_at_console("0")?;
    dom0.wait_for_console("(XEN) d0v0:")?;
    dom0.type_at_console("e")?;
    dom0.wait_for_console("(XEN) Event channels of domain 0:")?;
    dom0.type_at_console("i")?;
    dom0.wait_for_console("'i' pressed -> show interrupts")?;
    dom0.type_at_console("m")?;
    dom0.wait_for_console("(XEN) d0: ")?;
    dom0.type_at_console("~")?;
    dom0.wait_for_console("'~' pressed: no such key")?;
    ensure!(dom0.ok("echo still there")? == "still there\n");
    Ok(())
}

fn unknown_options_are_reported(dom0: &mut Dom0) -> Outcome {
    ensure!(dom0.console()?.contains("(XEN) unknown option 'frobnicate=yes' ignored"));
    Ok(())
}

/// The report names functions, from the one that crashed up to where the guest came in.
fn a_crash_shows_who_called_whom(dom0: &mut Dom0) -> Outcome {
    dom0.type_at_console("C")?;
    dom0.wait_for_end()?;
    let console = dom0.console()?;
    let report = console.split("----[ Escalus").nth(1).unwrap_or_default();
    for part in ["Call trace:", "escalus::keys::press+", "Panic on CPU 0:", "by key"] {
        ensure!(report.contains(part), "no {part:?} in: {report}");
    }
    // Whoever looked at what is typed, and whoever called that, up to where the guest came in.
    let callers = report.lines().filter(|line| line.contains("[<ffff82d0") && line.contains("::"));
    ensure!(callers.count() >= 4, "{report}");
    Ok(())
}
