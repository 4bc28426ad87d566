//! Processes below this one: whose they are, what memory they have, and their end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Has orphans of what is started become children of this process, so that none is lost.
pub fn adopt_orphans() -> Result<()> {
    prctl::set_child_subreaper(true).context("cannot adopt orphans")
}

/// How many open files are enough for any supervisor.
const FILES: u64 = 1 << 16;

/// Lets supervisors have as many pipes to their services as this process may allow.
pub fn allow_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if setrlimit(Resource::RLIMIT_NOFILE, FILES.max(hard), FILES.max(hard)).is_ok() {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")
}

/// How many open files a process may have here.
pub fn most_files() -> Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.1)
}

/// All descendants, and their names.
pub fn descendants() -> Result<BTreeMap<i32, String>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // One that has just ended has no file any more.
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((name, parent)) = stat(&text) {
            parents.insert(pid, (parent, name));
        }
    }
    let mut ours = BTreeSet::from([std::process::id() as i32]);
    let mut found = BTreeMap::new();
    loop {
        let before = found.len();
        for (pid, (parent, name)) in &parents {
            if ours.contains(parent) && ours.insert(*pid) {
                found.insert(*pid, name.clone());
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// Name and parent, from proc_pid_stat(5).
fn stat(text: &str) -> Option<(String, i32)> {
    let (_, rest) = text.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    Some((name.to_owned(), rest.split_whitespace().nth(1)?.parse().ok()?))
}

/// The memory of processes in KiB, where shared pages count in parts (proc_pid_smaps(5), Pss).
pub fn memory(pids: impl IntoIterator<Item = i32>) -> u64 {
    let one = |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0)
    };
    pids.into_iter().map(one).sum()
}

/// Kills one process.
pub fn kill(pid: i32) -> Result<()> {
    signal::kill(Pid::from_raw(pid), Signal::SIGKILL).context("cannot kill a service")
}

/// Ends the descendants of this name.
pub fn end_named(name: &str) -> Result<()> {
    let mut found = descendants()?.into_iter().filter(|(_, found)| found == name);
    found.try_for_each(|(pid, _)| kill(pid))
}

/// Ends all descendants: parents first, for they would start their children again.
pub fn end_all() -> Result<()> {
    loop {
        let left = descendants()?;
        if left.is_empty() {
            return Ok(());
        }
        for pid in left.keys() {
            let _ = signal::kill(Pid::from_raw(*pid), Signal::SIGSTOP);
        }
        for pid in left.keys() {
            let _ = signal::kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        collect();
        sleep(Duration::from_millis(50));
    }
}

fn collect() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        assert_eq!(stat("7 (a) b) S 3 4"), Some(("a) b".to_owned(), 3)));
        assert_eq!(stat(""), None);
    }
}
