//! A machine whose virtual time is counted instructions, and the figures that a program in it prints.
//!
//! A virtual nanosecond is half an instruction, so that two runs of the same bytes agree and the
//! host's speed counts nothing. When nobody runs, the time leaps to the next timer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::images::BootFiles;
use crate::project;
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
/// What each of those measured has printed.
pub type All = BTreeMap<&'static str, Figures>;

/// What a bench of this kind was asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these columns: bare, xen, xen-plain, escalus, escalus-plain, where there are such
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write the table to its page in docs/, too
    #[arg(long)]
    write: bool,
}

impl Arguments {
    /// Whether a column is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Prints a table, and writes it to its page if it is to be kept and has all columns.
    pub fn show(&self, page: &str, head: &str, table: &str, is_whole: bool) -> Result<()> {
        println!("{table}");
        if self.write {
            ensure!(is_whole, "a table without some of its columns isn't kept");
            fs::write(project::root().join(page), format!("{head}{table}"))?;
        }
        Ok(())
    }
}

/// A folder with what a machine boots from. Hold the build folder's lock.
pub fn folder(files: &BootFiles) -> Result<TempDir> {
    let folder = tempfile::tempdir_in(project::build())?;
    files.put_into(folder.path())?;
    Ok(folder)
}

/// The emulator with one processor, 2 GiB, and nothing to boot from yet.
pub fn machine() -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg", "-m", "2048", "-smp", "1", "-nodefaults"]).args(COUNTED);
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
