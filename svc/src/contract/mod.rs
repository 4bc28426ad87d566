//! Contracts: all processes of an instance, known and killed as one (contract(5) of illumos).
//!
//! Where cgroup v2 is ours to use, a contract is a [`cgroup`]; elsewhere (an unprivileged private
//! root, an older host) its processes are marked and found in `/proc` ([`marks`]). Which of the
//! two is in use is noted in `/run/svc/contracts`, for the commands. [`Watch`] tells the restarter
//! when a contract becomes empty.

mod cgroup;
mod marks;
mod process;
mod watch;

use std::collections::BTreeSet;
use std::fs;
use std::io;

use nix::sys::signal::Signal;

use crate::program::Program;
use cgroup::Cgroups;
use marks::Marks;
use process::PidFd;
pub use watch::Watch;

/// A contract's number.
pub type Id = u64;

/// The cgroup that holds all contracts.
const OURS: &str = "svc";
/// `cgroups` or `marks`, for those who want the other one.
const VARIABLE: &str = "SVC_CONTRACTS";
/// How often processes that fork while they are killed are looked for again.
const ROUNDS: u32 = 100;

/// How contracts are kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contracts(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Cgroups(Cgroups),
    Marks(Marks),
}

impl From<Marks> for Contracts {
    fn from(marks: Marks) -> Self {
        Self(Kind::Marks(marks))
    }
}

fn note() -> std::path::PathBuf {
    crate::root("/run/svc/contracts")
}

impl Contracts {
    /// Chooses how contracts are kept, and notes it. An earlier choice stands.
    pub fn open() -> io::Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let chosen = Self::choose();
        let text = match &chosen.0 {
            Kind::Cgroups(cgroups) => format!("cgroups {}\n", cgroups.describe()),
            Kind::Marks(marks) => format!("marks {}\n", marks.describe()),
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
        Self::parse(&fs::read_to_string(note()).ok()?)
    }

    /// Reads the note that [`Self::open`] leaves in `/run/svc/contracts`.
    pub fn parse(note: &str) -> Option<Self> {
        match note.trim_end().split_once(' ')? {
            ("cgroups", text) => {
                let (mount, name) = text.split_once(' ')?;
                Some(Self(Kind::Cgroups(Cgroups::new(mount, name))))
            }
            ("marks", place) => Some(Marks::new(place).into()),
            _ => None,
        }
    }

    /// Cgroups if we may, but a private root leaves none behind on its host unless it is asked to.
    fn choose() -> Self {
        let place = crate::root("/run/svc").display().to_string();
        let is_private = std::env::var_os("SVC_ROOT").is_some_and(|root| !root.is_empty());
        let wish = std::env::var(VARIABLE).unwrap_or_default();
        let made = match (wish.as_str(), is_private) {
            ("marks", _) => None,
            ("cgroups", true) => Cgroups::make(&format!("{OURS}{}", place.replace('/', "-"))),
            (_, true) => None,
            (_, false) => Cgroups::make(OURS),
        };
        made.map_or_else(|| Marks::new(&place).into(), |cgroups| Self(Kind::Cgroups(cgroups)))
    }

    /// Makes the process that `program` starts in a member of contract `id`.
    pub fn join(&self, id: Id, program: &mut Program) -> io::Result<()> {
        match &self.0 {
            Kind::Cgroups(cgroups) => cgroups.join(id, program),
            Kind::Marks(marks) => {
                marks.join(id, program);
                Ok(())
            }
        }
    }

    /// Makes a process that runs a member of contract `id`, and all that it starts from now on.
    pub fn take_in(&self, id: Id, pid: i32) -> io::Result<()> {
        match &self.0 {
            Kind::Cgroups(cgroups) => cgroups.take_in(id, pid),
            Kind::Marks(marks) => marks.take_in(id, pid),
        }
    }

    /// The processes of a contract.
    pub fn pids(&self, id: Id) -> Vec<i32> {
        match &self.0 {
            Kind::Cgroups(cgroups) => cgroups.pids(id),
            Kind::Marks(marks) => {
                marks.members(&BTreeSet::from([id])).remove(&id).unwrap_or_default()
            }
        }
    }

    /// The contract that a process is in, or was in as long as it isn't collected.
    pub fn of(&self, pid: i32) -> Option<Id> {
        match &self.0 {
            Kind::Cgroups(cgroups) => cgroups.of(pid),
            Kind::Marks(marks) => marks.of(pid),
        }
    }

    /// Sends a signal to every process of a contract.
    pub fn signal(&self, id: Id, signal: Signal) {
        for pid in self.pids(id) {
            self.signal_one(id, pid, signal);
        }
    }

    /// It may be gone by now, and its number another's: so the process is held first, and then
    /// looked at once more.
    fn signal_one(&self, id: Id, pid: i32, signal: Signal) {
        if let Ok(held) = PidFd::open(pid)
            && self.of(pid) == Some(id)
        {
            let _ = held.signal(signal);
        }
    }

    /// Kills every process of a contract, new ones included.
    pub fn kill(&self, id: Id) -> io::Result<()> {
        self.kill_all(&BTreeSet::from([id]))
    }

    /// Kills every process of these contracts, new ones included.
    pub fn kill_all(&self, ids: &BTreeSet<Id>) -> io::Result<()> {
        let marks = match &self.0 {
            Kind::Cgroups(cgroups) => return ids.iter().try_for_each(|id| cgroups.kill(*id)),
            Kind::Marks(marks) => marks,
        };
        // A process may fork while we look, but not after it was killed.
        for _ in 0..ROUNDS {
            let members = marks.members(ids);
            if members.is_empty() {
                return Ok(());
            }
            for (id, pids) in members {
                pids.into_iter().for_each(|pid| self.signal_one(id, pid, Signal::SIGKILL));
            }
        }
        Err(io::Error::other("processes that can't be killed, or fork faster than they are killed"))
    }

    /// Leaves nothing of any contract on the host, once no restarter and no member runs.
    pub fn remove_all(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Cgroups(cgroups) => cgroups.remove_all(),
            Kind::Marks(_) => Ok(()),
        }
    }

    /// Forgets a contract without processes.
    pub fn remove(&self, id: Id) {
        if let Kind::Cgroups(cgroups) = &self.0 {
            cgroups.remove(id);
        }
    }
}
