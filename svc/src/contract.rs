//! Contracts: all processes of an instance, known and killed as one (contract(5) of illumos).
//!
//! Where cgroup v2 is mounted and ours to use, a contract is a cgroup, which no process can leave.
//! Elsewhere (an unprivileged private root, an older host) each process carries the contract in
//! its environment, and `/proc` is searched for it; a process that clears its environment is lost
//! there. Which of the two is in use is noted in `/run/svc/contracts`, for the commands.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A contract's number.
pub type Id = u64;

/// Where cgroup v2 is mounted.
const CGROUPS: &str = "/sys/fs/cgroup";
/// The cgroup that holds all contracts.
const OURS: &str = "svc";
/// The variable by which processes are known where there are no cgroups.
const VARIABLE: &str = "SMF_CONTRACT";

/// How contracts are kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contracts {
    /// A cgroup each, below this one.
    Cgroups(PathBuf),
    /// A mark in the environment, with this text behind the number.
    Marks(String),
}

fn note() -> PathBuf {
    crate::root("/run/svc/contracts")
}

impl Contracts {
    /// Chooses how contracts are kept, and notes it. An earlier choice stands.
    pub fn open() -> io::Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let chosen = Self::choose();
        let text = match &chosen {
            Self::Cgroups(path) => format!("cgroups {}\n", path.display()),
            Self::Marks(mark) => format!("marks {mark}\n"),
        };
        if let Some(folder) = note().parent() {
            fs::create_dir_all(folder)?;
        }
        let new = note().with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, note())?;
        Ok(chosen)
    }

    /// What an earlier [`Self::open`] chose.
    pub fn find() -> Option<Self> {
        let text = fs::read_to_string(note()).ok()?;
        match text.trim_end().split_once(' ')? {
            ("cgroups", path) => Some(Self::Cgroups(path.into())),
            ("marks", mark) => Some(Self::Marks(mark.to_owned())),
            _ => None,
        }
    }

    fn choose() -> Self {
        let ours = Path::new(CGROUPS).join(OURS);
        let is_ours = std::env::var_os("SVC_ROOT").is_none_or(|root| root.is_empty())
            && Path::new(CGROUPS).join("cgroup.controllers").exists()
            && (ours.is_dir() || fs::create_dir(&ours).is_ok());
        if is_ours {
            Self::Cgroups(ours)
        } else {
            Self::Marks(crate::root("/run/svc").display().to_string())
        }
    }

    fn cgroup(base: &Path, id: Id) -> PathBuf {
        base.join(id.to_string())
    }

    /// Makes the process that `command` starts a member of contract `id`.
    pub fn join(&self, id: Id, command: &mut Command) -> io::Result<()> {
        match self {
            Self::Marks(mark) => {
                command.env(VARIABLE, format!("{id}:{mark}"));
            }
            Self::Cgroups(base) => {
                let folder = Self::cgroup(base, id);
                match fs::create_dir(&folder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                }
                let members =
                    fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?;
                let join = move || io::Write::write_all(&mut &members, b"0");
                // SAFETY: the closure makes one write(2) to a descriptor opened before the fork.
                unsafe { command.pre_exec(join) };
            }
        }
        Ok(())
    }

    /// The processes of a contract.
    pub fn pids(&self, id: Id) -> Vec<i32> {
        match self {
            Self::Cgroups(base) => {
                let text = fs::read_to_string(Self::cgroup(base, id).join("cgroup.procs"));
                text.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
            }
            Self::Marks(mark) => marked(&format!("{VARIABLE}={id}:{mark}")),
        }
    }

    /// Whether a contract has no processes.
    pub fn is_empty(&self, id: Id) -> bool {
        self.populated([id]).is_empty()
    }

    /// Those of the contracts that have processes.
    pub fn populated(&self, ids: impl IntoIterator<Item = Id>) -> BTreeSet<Id> {
        let ids = ids.into_iter();
        match self {
            Self::Cgroups(base) => {
                let lives = |id: &Id| {
                    let events = Self::cgroup(base, *id).join("cgroup.events");
                    fs::read_to_string(events).is_ok_and(|text| text.contains("populated 1"))
                };
                ids.filter(lives).collect()
            }
            Self::Marks(_) => {
                let asked: BTreeSet<Id> = ids.collect();
                if asked.is_empty() {
                    return asked;
                }
                let found: BTreeSet<Id> =
                    processes().into_iter().filter_map(|pid| self.of(pid)).collect();
                &asked & &found
            }
        }
    }

    /// The contract that a process is in.
    pub fn of(&self, pid: i32) -> Option<Id> {
        match self {
            Self::Cgroups(base) => {
                let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
                let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
                let name = base.file_name()?.to_str()?;
                let inside = path.trim_start_matches('/').strip_prefix(name)?;
                inside.trim_start_matches('/').split([' ', '/']).next()?.parse().ok()
            }
            Self::Marks(mark) => {
                let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
                let value = |line: &[u8]| {
                    let text = std::str::from_utf8(line).ok()?;
                    let (id, of) =
                        text.strip_prefix(VARIABLE)?.strip_prefix('=')?.split_once(':')?;
                    if of == mark { id.parse().ok() } else { None }
                };
                environment.split(|byte| *byte == 0).find_map(value)
            }
        }
    }

    /// Sends a signal to every process of a contract.
    pub fn signal(&self, id: Id, signal: Signal) {
        for pid in self.pids(id) {
            // It may be gone by now.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Kills every process of a contract, new ones included.
    pub fn kill(&self, id: Id) {
        if let Self::Cgroups(base) = self
            && fs::write(Self::cgroup(base, id).join("cgroup.kill"), "1").is_ok()
        {
            return;
        }
        // A process may fork while we look.
        for _ in 0..10 {
            if self.pids(id).is_empty() {
                return;
            }
            self.signal(id, Signal::SIGKILL);
        }
    }

    /// Forgets a contract without processes.
    pub fn remove(&self, id: Id) {
        if let Self::Cgroups(base) = self {
            let _ = fs::remove_dir(Self::cgroup(base, id));
        }
    }
}

/// The processes with a certain setting in their environment.
fn marked(setting: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|line| line == setting.as_bytes())
    };
    processes().into_iter().filter(has).collect()
}

/// All processes there are.
fn processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_processes_are_found_and_killed_with_their_children() {
        let contracts = Contracts::Marks(format!("/test-{}", std::process::id()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 100 & sleep 100 & wait"]);
        contracts.join(7, &mut command).unwrap();
        let mut child = command.spawn().unwrap();
        while contracts.pids(7).len() < 3 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(contracts.of(child.id() as i32), Some(7));
        assert!(contracts.pids(8).is_empty());
        contracts.kill(7);
        child.wait().unwrap();
        while !contracts.pids(7).is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// A cgroup of our own, where this host lets us have one.
    fn cgroup() -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
        let base = Path::new(mount.split(' ').nth(1)?).join(format!("svc{}", std::process::id()));
        fs::create_dir(&base).ok().map(|()| base)
    }

    #[test]
    fn a_cgroup_is_not_left_by_clearing_the_environment() {
        let Some(base) = cgroup() else { return };
        let contracts = Contracts::Cgroups(base.clone());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "env -i setsid sh -c 'sleep 100 & sleep 100 &'"]);
        contracts.join(7, &mut command).unwrap();
        let mut child = command.spawn().unwrap();
        while contracts.pids(7).len() < 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(contracts.populated([6, 7, 8]), BTreeSet::from([7]));
        assert!(contracts.pids(7).iter().all(|pid| contracts.of(*pid) == Some(7)));
        assert_eq!(contracts.of(std::process::id() as i32), None);
        contracts.kill(7);
        while !contracts.is_empty(7) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // Even then it is known whose process that was.
        assert_eq!(contracts.of(child.id() as i32), Some(7));
        child.wait().unwrap();
        contracts.remove(7);
        fs::remove_dir(base).unwrap();
    }
}
