//! The processes of an instance's contracts, as proc(5) shows them.

use std::fs;
use std::time::{Duration, SystemTime};

use nix::unistd::{SysconfVar, sysconf};
use svc::clock;
use svc::contract::Contracts;
use svc::host::Instance;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it was started.
    pub start: Option<SystemTime>,
    /// Its name.
    pub name: String,
    /// Its arguments, or its name in brackets if there are none.
    pub arguments: String,
}

/// The processes of `instance` that are still there, in the order of their numbers.
pub fn of(instance: &Instance) -> Vec<Process> {
    let Some(contracts) = Contracts::find() else { return Vec::new() };
    let mut pids: Vec<i32> =
        instance.contracts().into_iter().flat_map(|id| contracts.pids(id)).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().filter_map(read).collect()
}

fn read(pid: i32) -> Option<Process> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = String::from_utf8_lossy(&name).trim_end().to_owned();
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ").trim_end().to_owned();
    let arguments = if arguments.is_empty() { format!("[{name}]") } else { arguments };
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = start_ticks(&String::from_utf8_lossy(&stat));
    let start = ticks.and_then(|ticks| boot_time()?.checked_add(since_boot(ticks)?));
    Some(Process { pid, start, name, arguments })
}

/// Field 22 of /proc/PID/stat. The name in field 2 may hold anything, blanks and `)` too.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

fn since_boot(ticks: u64) -> Option<Duration> {
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    Some(Duration::from_secs(ticks.checked_div(per_second)?))
}

fn boot_time() -> Option<SystemTime> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.trim().parse().ok()?))
}

/// The line below an instance in a list.
pub fn line(process: &Process, now: SystemTime) -> String {
    let start = process.start.map_or("-".to_owned(), |start| clock::stime(start, now));
    let name: String = process.name.chars().take(16).collect();
    format!("{:15}{start:8}   {:6} {name}\n", "", process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_in_the_manual() {
        let now = SystemTime::now();
        let process =
            Process { pid: 812, start: None, name: "xend".into(), arguments: String::new() };
        assert_eq!(line(&process, now), format!("{:15}-             812 xend\n", ""));
        let long = Process { name: "a-name-that-is-too-long".into(), ..process };
        assert!(line(&long, now).ends_with(" a-name-that-is-t\n"));
    }

    #[test]
    fn the_own_process_is_read() {
        let own = read(std::process::id() as i32).unwrap();
        assert!(own.start.unwrap() <= SystemTime::now());
        assert!(!own.name.is_empty() && !own.arguments.is_empty());
        assert_eq!(read(-1), None);
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = "1 (a) b) S 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 777 0";
        assert_eq!(start_ticks(stat), Some(777));
        assert_eq!(start_ticks("1 (a"), None);
    }
}
