//! A machine whose virtual time is counted instructions, and the figures that a program in it prints.
//!
//! A virtual nanosecond is half an instruction, so that two runs of the same bytes agree and the
//! host's speed counts nothing. When nobody runs, the time leaps to the next timer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::qemu::tail;

const PATIENCE: Duration = Duration::from_secs(1800);
const COUNTED: &[&str] = &[
    "-icount",
    "shift=1,sleep=off",
    "-seed",
    "1",
    "-rtc",
    "base=2026-01-01,clock=vm",
    "-nic",
    "none",
    "-cpu",
    "qemu64",
];

/// Names and values.
pub type Figures = BTreeMap<String, f64>;

/// The emulator with one processor, `memory` MiB, and nothing to boot from yet.
pub fn machine(memory: &str) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg", "-m", memory, "-smp", "1", "-nodefaults"]).args(COUNTED);
    command.args(["-display", "none", "-monitor", "none", "-no-reboot"]);
    command.args(["-serial", "file:console.log"]);
    command
}

/// Boots in `folder`, and reads what the program says until it says `bench end`.
pub fn measure(name: &str, mut command: Command, folder: &Path) -> Result<Figures> {
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().context("cannot run qemu-system-x86_64")?;
    let log = folder.join("console.log");
    let end = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        let is_over = read(&log).contains_key("end") || Instant::now() > end;
        if is_over {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let figures = read(&log);
    if !figures.contains_key("end") {
        bail!("{name} did not get to its end; its console's last lines:\n{}", tail(&log));
    }
    Ok(figures)
}

/// Lines like `bench fork 12345.6`, anywhere in a console's log.
fn read(log: &Path) -> Figures {
    parse(&String::from_utf8_lossy(&fs::read(log).unwrap_or_default()))
}

/// The same in a text.
pub fn parse(text: &str) -> Figures {
    let figure = |line: &str| {
        let (name, value) = line.trim_end().strip_prefix("bench ")?.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_between_other_lines() {
        let figures = parse("(XEN) x\nbench boot 24000\r\nbench fork 10.5\nbench odd\n");
        assert_eq!((figures["boot"], figures["fork"], figures.len()), (24000.0, 10.5, 2));
    }
}
