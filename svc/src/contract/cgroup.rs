//! Contracts as cgroups (v2): no process can leave one, and the kernel kills it as a whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Id;
use crate::program::Program;

/// The cgroup that holds all contracts, each named by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroups {
    /// Where cgroup v2 is mounted.
    mount: PathBuf,
    /// The cgroup, as `/proc/PID/cgroup` names it: `/svc`.
    name: String,
}

impl Cgroups {
    pub(super) fn new(mount: &str, name: &str) -> Self {
        Self { mount: mount.into(), name: name.to_owned() }
    }

    /// Makes a cgroup called `name` inside the one that we are in; `None` where we may not.
    pub(super) fn make(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let place = fields.next()?;
            (fields.next()? == "cgroup2").then_some(place)
        })?;
        let own = path_of(std::process::id() as i32)?;
        let made = Self::new(mount, &format!("{}/{name}", own.trim_end_matches('/')));
        let base = made.base();
        // Without cgroup.kill (Linux 5.14) a process that forks could outrun us.
        let is_ours = (base.is_dir() || fs::create_dir(&base).is_ok())
            && base.join("cgroup.kill").exists()
            && fs::File::options().write(true).open(base.join("cgroup.procs")).is_ok();
        is_ours.then_some(made)
    }

    fn base(&self) -> PathBuf {
        self.mount.join(self.name.trim_start_matches('/'))
    }

    fn folder(&self, id: Id) -> PathBuf {
        self.base().join(id.to_string())
    }

    /// Where the kernel tells whether a contract has processes.
    pub(super) fn events(&self, id: Id) -> PathBuf {
        self.folder(id).join("cgroup.events")
    }

    /// The folder of a contract, which is made if need be.
    fn made(&self, id: Id) -> io::Result<PathBuf> {
        let folder = self.folder(id);
        match fs::create_dir(&folder) {
            // Somebody has tidied up around us.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir(self.base())?;
                fs::create_dir(&folder)?;
            }
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        Ok(folder)
    }

    pub(super) fn take_in(&self, id: Id, pid: i32) -> io::Result<()> {
        fs::write(self.made(id)?.join("cgroup.procs"), pid.to_string())
    }

    pub(super) fn join(&self, id: Id, program: &mut Program) -> io::Result<()> {
        program.cgroup(fs::File::open(self.made(id)?)?);
        Ok(())
    }

    pub(super) fn pids(&self, id: Id) -> Vec<i32> {
        let mut pids = Vec::new();
        members(&self.folder(id), &mut pids);
        pids
    }

    pub(super) fn is_populated(&self, id: Id) -> bool {
        fs::read_to_string(self.events(id)).is_ok_and(|text| text.contains("populated 1"))
    }

    pub(super) fn of(&self, pid: i32) -> Option<Id> {
        let path = path_of(pid)?;
        let inside = path.strip_prefix(&self.name)?.strip_prefix('/')?;
        // A cgroup that was removed before its last zombie has " (deleted)" behind its name.
        inside.split([' ', '/']).next()?.parse().ok()
    }

    pub(super) fn kill(&self, id: Id) -> io::Result<()> {
        match fs::write(self.folder(id).join("cgroup.kill"), "1") {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    pub(super) fn remove(&self, id: Id) {
        remove(&self.folder(id));
    }

    /// Removes contracts whose last process went while nobody looked; the kernel keeps the others.
    pub(super) fn sweep(&self) {
        for folder in below(&self.base()) {
            let _ = fs::remove_dir(folder);
        }
    }

    /// Removes all contracts, and what they are in; none has a process any more.
    pub(super) fn remove_all(&self) -> io::Result<()> {
        below(&self.base()).iter().for_each(|folder| remove(folder));
        fs::remove_dir(self.base())
    }

    /// As [`Self::new`] takes it.
    pub(super) fn describe(&self) -> String {
        format!("{} {}", self.mount.display(), self.name)
    }
}

/// The cgroup that a process is in.
fn path_of(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// Cgroups below this one: a service may have made its own.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn members(folder: &Path, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    below(folder).iter().for_each(|inner| members(inner, pids));
}

fn remove(folder: &Path) {
    // Few have any below them.
    if fs::remove_dir(folder).is_err() {
        below(folder).iter().for_each(|inner| remove(inner));
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;
    use crate::reap;

    #[test]
    fn a_cgroup_is_not_left_by_clearing_the_environment() {
        // Where this host lets us have one.
        let name = format!("svc-test-{}", std::process::id());
        let Some(cgroups) = Cgroups::make(&name) else { return };
        let mut program = Program::new("/bin/sh");
        program.args(["-c", "env -i setsid sh -c 'sleep 100 & sleep 100 &'"]);
        cgroups.join(7, &mut program).unwrap();
        let pid = program.spawn().unwrap();
        while cgroups.pids(7).len() < 2 {
            sleep(Duration::from_millis(5));
        }
        assert_eq!([6, 7, 8].map(|id| cgroups.is_populated(id)), [false, true, false]);
        assert!(cgroups.pids(7).iter().all(|pid| cgroups.of(*pid) == Some(7)));
        assert_eq!(cgroups.of(std::process::id() as i32), None);
        cgroups.kill(7).unwrap();
        while cgroups.is_populated(7) {
            sleep(Duration::from_millis(5));
        }
        // Even then it is known whose process that was.
        assert_eq!(cgroups.of(pid), Some(7));
        reap::wait_for(pid).unwrap();
        cgroups.kill(8).unwrap();
        cgroups.remove_all().unwrap();
    }
}
