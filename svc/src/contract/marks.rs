//! Contracts where there are no cgroups of ours: processes are marked, and found in `/proc`.
//!
//! A process carries its contract in its environment (`SMF_CONTRACT`, beside `SMF_FMRI`), and in
//! its limit RLIMIT_RSS, which Linux inherits and shows but hasn't obeyed since 2.4.30. A program
//! that starts with an empty environment, in a new session, and leaves its parents behind keeps
//! that limit, and a zombie shows it still. Who has neither belongs where its parent does. Only a
//! process that takes all three off on purpose is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};

use super::Id;
use super::process::{self, Stat};
use crate::program::Program;

/// The variable.
const VARIABLE: &str = "SMF_CONTRACT";
/// Marks the limit of those that were started in their contract.
const FIRST: u64 = 1 << 31;
/// How deep processes can be nested before we stop looking at their parents.
const GENERATIONS: u32 = 64;

/// How the processes of one root are marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks {
    /// Tells this root from others on the same host.
    place: String,
}

impl Marks {
    pub(super) fn new(place: &str) -> Self {
        Self { place: place.to_owned() }
    }

    pub(super) fn describe(&self) -> &str {
        &self.place
    }

    pub(super) fn join(&self, id: Id, program: &mut Program) {
        program.env(VARIABLE, format!("{id}:{}", self.place));
        let limit = self.limit(id) | FIRST;
        // Who is below another's limit can't be marked so, and has its environment left.
        let mark = move || {
            let _ = setrlimit(Resource::RLIMIT_RSS, limit, limit);
            Ok(())
        };
        // SAFETY: the step makes one system call.
        unsafe { program.before(mark) };
    }

    /// Only the limit of a process that runs can be changed; it goes before the environment. Who was
    /// started in a contract may be taken into another, once: a limit can always be lowered.
    pub(super) fn take_in(&self, id: Id, pid: i32) -> io::Result<()> {
        let limit = self.limit(id);
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: prlimit(2) reads the structure, and writes none where there is none to write to.
        let done = unsafe { libc::prlimit(pid, libc::RLIMIT_RSS, &limit, std::ptr::null_mut()) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The upper half tells the root, the lower the contract; all together no negative number.
    fn limit(&self, id: Id) -> u64 {
        (u64::from(self.salt()) << 32) | (id & (FIRST - 1))
    }

    /// FNV-1a of the place, without its highest bit.
    fn salt(&self) -> u32 {
        let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        self.place.bytes().fold(0x811c_9dc5, mix) >> 1
    }

    /// The contract of a process, of a zombie too.
    pub(super) fn of(&self, pid: i32) -> Option<Id> {
        let mut at = pid;
        for _ in 0..GENERATIONS {
            if at <= 1 {
                return None;
            }
            if let Some(id) = self.mark(at) {
                return Some(id);
            }
            at = Stat::read(at)?.parent;
        }
        None
    }

    /// What the process itself carries.
    fn mark(&self, pid: i32) -> Option<Id> {
        self.mark_in_limits(pid).or_else(|| self.mark_in_environment(pid))
    }

    fn mark_in_limits(&self, pid: i32) -> Option<Id> {
        let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Max resident set"))?;
        // The hard limit is the one that can't be raised again.
        let limit: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        (limit >> 32 == u64::from(self.salt())).then_some(limit & (FIRST - 1))
    }

    fn mark_in_environment(&self, pid: i32) -> Option<Id> {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let value = |line: &[u8]| {
            let text = std::str::from_utf8(line).ok()?;
            let (id, place) = text.strip_prefix(VARIABLE)?.strip_prefix('=')?.split_once(':')?;
            if place == self.place { id.parse().ok() } else { None }
        };
        environment.split(|byte| *byte == 0).find_map(value)
    }

    /// The living processes of these contracts, found in one walk through `/proc`.
    pub(super) fn members(&self, ids: &BTreeSet<Id>) -> BTreeMap<Id, Vec<i32>> {
        let mut parents = BTreeMap::new();
        let mut marks = BTreeMap::new();
        for pid in process::all() {
            let Some(stat) = Stat::read(pid) else { continue };
            parents.insert(pid, stat.parent);
            if stat.is_alive {
                marks.insert(pid, self.mark(pid));
            }
        }
        let contract = |pid: i32| {
            let ancestors = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
            let mut known = ancestors.take(GENERATIONS as usize).map(|pid| marks.get(&pid));
            known.find_map(|mark| mark.copied().flatten())
        };
        let mut found = BTreeMap::<Id, Vec<i32>>::new();
        for pid in marks.keys() {
            if let Some(id) = contract(*pid).filter(|id| ids.contains(id)) {
                found.entry(id).or_default().push(*pid);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread::sleep;
    use std::time::Duration;

    use nix::sys::signal::Signal;

    use super::*;
    use crate::contract::Contracts;
    use crate::reap;

    fn marks(name: &str) -> Marks {
        Marks::new(&format!("/{name}-{}", std::process::id()))
    }

    fn wait_for(marks: &Marks, id: Id, count: usize) -> Vec<i32> {
        loop {
            let found = marks.members(&BTreeSet::from([id])).remove(&id).unwrap_or_default();
            if found.len() == count {
                return found;
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn started(marks: &Marks, id: Id, script: &str) -> i32 {
        let mut program = Program::new("/bin/sh");
        program.args(["-c", script]);
        marks.join(id, &mut program);
        program.spawn().unwrap()
    }

    #[test]
    fn marked_processes_are_found_and_killed_with_their_children() {
        let marks = marks("children");
        let child = started(&marks, 7, "sleep 100 & sleep 100 & wait");
        let other = started(&marks, 8, "sleep 100 & wait");
        wait_for(&marks, 7, 3);
        let of_other = wait_for(&marks, 8, 2);
        assert_eq!(marks.of(child), Some(7));
        let contracts = Contracts::from(marks.clone());
        contracts.kill(7).unwrap();
        wait_for(&marks, 7, 0);
        // A zombie's contract is known until it is collected.
        assert_eq!(marks.of(child), Some(7));
        reap::wait_for(child).unwrap();
        assert_eq!(wait_for(&marks, 8, 2), of_other);
        contracts.kill(8).unwrap();
        reap::wait_for(other).unwrap();
    }

    #[test]
    fn one_that_is_taken_into_another_contract_is_no_longer_of_the_first() {
        let marks = marks("taken");
        let first = started(&marks, 7, "exec sleep 100");
        let second = started(&marks, 7, "sleep 100 & sleep 100 & wait");
        wait_for(&marks, 7, 4);
        marks.take_in(9, first).unwrap();
        wait_for(&marks, 7, 3);
        assert_eq!(wait_for(&marks, 9, 1), [first]);
        let contracts = Contracts::from(marks.clone());
        contracts.kill(7).unwrap();
        reap::wait_for(second).unwrap();
        assert_eq!(wait_for(&marks, 9, 1), [first]);
        contracts.kill(9).unwrap();
        reap::wait_for(first).unwrap();
        assert!(marks.take_in(9, i32::MAX).is_err());
    }

    #[test]
    fn one_that_drops_its_environment_and_its_parents_is_known() {
        let marks = marks("escape");
        let script = "env -i setsid sh -c 'sleep 100 & sleep 100 &'";
        let child = started(&marks, 7, script);
        reap::wait_for(child).unwrap();
        let found = wait_for(&marks, 7, 2);
        assert!(found.iter().all(|pid| marks.mark_in_environment(*pid).is_none()));
        Contracts::from(marks.clone()).signal(7, Signal::SIGKILL);
        wait_for(&marks, 7, 0);
    }

    #[test]
    fn one_without_any_mark_belongs_to_its_parent() {
        let marks = marks("parent");
        let mut command = Command::new("/bin/sh");
        // Only the environment of the parent tells here.
        command.args(["-c", "env -i sleep 100 & wait"]);
        command.env(VARIABLE, format!("7:{}", marks.place));
        let mut child = command.spawn().unwrap();
        let found = wait_for(&marks, 7, 2);
        assert!(found.iter().all(|pid| marks.of(*pid) == Some(7)));
        assert_eq!(Marks::new("/elsewhere").of(found[1]), None);
        Contracts::from(marks).kill(7).unwrap();
        child.wait().unwrap();
    }
}
