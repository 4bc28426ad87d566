//! Tells when contracts become empty, without looking at all of them all the time.
//!
//! Of a cgroup the kernel tells it (inotify on `cgroup.events`). Of a marked contract one process
//! is the witness, held by its pidfd: as long as it lives nothing has to be looked for; when it has
//! ended, `/proc` is searched for the next one, for all contracts that need one at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::process::PidFd;
use super::{Contracts, Id, Kind};
use crate::program::Program;

/// Searching may take one part in so many of our time.
const SHARE: u32 = 10;
/// How long after a search the next one begins at the earliest.
const REST: Duration = Duration::from_millis(5);
/// Stands for inotify among the contracts in epoll.
const INOTIFY: u64 = u64::MAX;

/// All contracts that are looked after.
pub struct Watch {
    contracts: Contracts,
    epoll: Epoll,
    inotify: Inotify,
    /// Contracts that the kernel tells us about.
    told: BTreeMap<WatchDescriptor, Id>,
    descriptors: BTreeMap<Id, WatchDescriptor>,
    witnesses: BTreeMap<Id, PidFd>,
    /// Processes whose end is an event though others are left, by contract.
    leaders: BTreeMap<Id, PidFd>,
    /// Contracts of which nothing is known at the moment.
    unsure: BTreeSet<Id>,
    /// Contracts that have processes, as far as is known.
    populated: BTreeSet<Id>,
    /// Contracts that have none any more.
    empty: BTreeSet<Id>,
    leaderless: BTreeSet<Id>,
    next_search: Instant,
    /// The limit of open files before we raised ours; services get that one.
    files: Option<(u64, u64)>,
}

impl Watch {
    /// Watches nothing yet.
    pub fn open(contracts: Contracts) -> io::Result<Self> {
        if let Kind::Cgroups(cgroups) = &contracts.0 {
            cgroups.sweep();
        }
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        epoll.add(&inotify, EpollEvent::new(EpollFlags::EPOLLIN, INOTIFY))?;
        let files = getrlimit(Resource::RLIMIT_NOFILE).ok();
        if let Some((_, hard)) = files {
            // A witness is an open file. If there are too few, we search more often.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
        Ok(Self {
            contracts,
            epoll,
            inotify,
            told: BTreeMap::new(),
            descriptors: BTreeMap::new(),
            witnesses: BTreeMap::new(),
            leaders: BTreeMap::new(),
            unsure: BTreeSet::new(),
            populated: BTreeSet::new(),
            empty: BTreeSet::new(),
            leaderless: BTreeSet::new(),
            next_search: Instant::now(),
            files,
        })
    }

    /// The contracts themselves.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// Makes the process that `program` starts in a member of contract `id`.
    pub fn join(&self, id: Id, program: &mut Program) -> io::Result<()> {
        if let Some((soft, hard)) = self.files {
            let limit = move || Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?);
            // SAFETY: the step makes one system call.
            unsafe { program.before(limit) };
        }
        self.contracts.join(id, program)
    }

    /// Looks after a contract from now on; `member` is a process that is known to be in it.
    pub fn add(&mut self, id: Id, member: Option<i32>) {
        self.populated.insert(id);
        let has_witness = match &self.contracts.0 {
            Kind::Marks(_) => member.is_some_and(|pid| self.hold_witness(id, pid)),
            Kind::Cgroups(cgroups) => {
                let flags = AddWatchFlags::IN_MODIFY;
                if let Ok(descriptor) = self.inotify.add_watch(&cgroups.events(id), flags) {
                    self.told.insert(descriptor, id);
                    self.descriptors.insert(id, descriptor);
                }
                false
            }
        };
        // A cgroup, too, is looked at once: it may have been empty before it was watched.
        if !has_witness {
            self.unsure.insert(id);
        }
    }

    /// Has the end of this member of the contract told, too, whoever is left.
    pub fn lead(&mut self, id: Id, pid: i32) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, id);
        match PidFd::open(pid) {
            // As it is held now, what is said of its number is said of it.
            Ok(held) if self.contracts.of(pid) == Some(id) => {
                if self.epoll.add(&held, event).is_ok() {
                    self.leaders.insert(id, held);
                }
            }
            _ => drop(self.leaderless.insert(id)),
        }
    }

    fn hold_witness(&mut self, id: Id, pid: i32) -> bool {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, id);
        let Ok(held) = PidFd::open(pid) else { return false };
        if self.contracts.of(pid) != Some(id) || self.epoll.add(&held, event).is_err() {
            return false;
        }
        self.witnesses.insert(id, held);
        true
    }

    /// Whether the contract has no processes, as far as is known now.
    pub fn is_empty(&self, id: Id) -> bool {
        !self.populated.contains(&id)
    }

    fn is_empty_now(&mut self, id: Id) {
        self.unsure.remove(&id);
        if self.populated.remove(&id) {
            self.empty.insert(id);
        }
    }

    /// The contracts that have no processes, or not the one any more that leads the others.
    pub fn over(&self) -> impl Iterator<Item = Id> {
        self.empty.union(&self.leaderless).copied()
    }

    /// Forgets a contract, and removes it if it is empty.
    pub fn remove(&mut self, id: Id) {
        for held in [self.witnesses.remove(&id), self.leaders.remove(&id)].iter().flatten() {
            let _ = self.epoll.delete(held);
        }
        for set in [&mut self.unsure, &mut self.populated, &mut self.empty, &mut self.leaderless] {
            set.remove(&id);
        }
        // Inotify forgets it with the cgroup, but that may have members still.
        if let Some(descriptor) = self.descriptors.remove(&id) {
            self.told.remove(&descriptor);
            let _ = self.inotify.rm_watch(descriptor);
        }
        self.contracts.remove(id);
    }

    /// Takes in what happened. Never blocks.
    pub fn look(&mut self) {
        let mut events = [EpollEvent::empty(); 64];
        while let Ok(count @ 1..) = self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            for event in &events[..count] {
                match event.data() {
                    INOTIFY => self.read_inotify(),
                    id => self.read_pidfds(id),
                }
            }
        }
        if !self.unsure.is_empty() && Instant::now() >= self.next_search {
            self.search();
        }
    }

    fn read_inotify(&mut self) {
        let Kind::Cgroups(cgroups) = &self.contracts.0 else { return };
        let events = self.inotify.read_events().unwrap_or_default();
        let lost = events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
        let told: BTreeSet<Id> = match lost {
            true => self.told.values().copied().collect(),
            false => events.iter().filter_map(|event| self.told.get(&event.wd)).copied().collect(),
        };
        let empty: Vec<Id> = told.into_iter().filter(|id| !cgroups.is_populated(*id)).collect();
        empty.into_iter().for_each(|id| self.is_empty_now(id));
    }

    /// One of the processes that are held for this contract has ended.
    fn read_pidfds(&mut self, id: Id) {
        let has_ended = |held: &PidFd| {
            poll(&mut [PollFd::new(held.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
        };
        if let Some(held) = self.witnesses.remove(&id) {
            if has_ended(&held) {
                let _ = self.epoll.delete(&held);
                self.unsure.insert(id);
            } else {
                self.witnesses.insert(id, held);
            }
        }
        if self.leaders.get(&id).is_some_and(has_ended)
            && let Some(held) = self.leaders.remove(&id)
        {
            let _ = self.epoll.delete(&held);
            self.leaderless.insert(id);
        }
    }

    /// Finds out about the contracts of which nothing is known.
    fn search(&mut self) {
        let began = Instant::now();
        let found = match &self.contracts.0 {
            Kind::Marks(marks) => marks.members(&self.unsure),
            Kind::Cgroups(cgroups) => {
                let populated = self.unsure.iter().filter(|id| cgroups.is_populated(**id));
                populated.map(|id| (*id, Vec::new())).collect()
            }
        };
        for id in std::mem::take(&mut self.unsure) {
            match found.get(&id) {
                None => self.is_empty_now(id),
                Some(pids) => {
                    let is_told = self.descriptors.contains_key(&id);
                    if !is_told && !pids.iter().any(|pid| self.hold_witness(id, *pid)) {
                        self.unsure.insert(id);
                    }
                }
            }
        }
        self.next_search = Instant::now() + REST + began.elapsed() * SHARE;
    }

    /// How long nothing has to be searched for; `None`: until there is something to read.
    pub fn pause(&self) -> Option<Duration> {
        let now = Instant::now();
        (!self.unsure.is_empty()).then(|| self.next_search.saturating_duration_since(now))
    }
}

impl AsFd for Watch {
    /// Readable when there is something for [`Self::look`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use nix::sys::signal::Signal;

    use super::*;
    use crate::contract::cgroup::Cgroups;
    use crate::contract::marks::Marks;
    use crate::contract::process::Stat;
    use crate::reap;

    /// Both kinds, where this host lets us have a cgroup.
    fn both(name: &str) -> Vec<Contracts> {
        let name = format!("svc-{name}-{}", std::process::id());
        let cgroups = Cgroups::make(&name).map(|cgroups| Contracts(Kind::Cgroups(cgroups)));
        cgroups.into_iter().chain([Marks::new(&name).into()]).collect()
    }

    fn started(watch: &Watch, id: Id, script: &str) -> i32 {
        let mut program = Program::new("/bin/sh");
        program.args(["-c", script]);
        watch.join(id, &mut program).unwrap();
        program.spawn().unwrap()
    }

    fn look_until(watch: &mut Watch, is_so: impl Fn(&Watch) -> bool) {
        while !is_so(watch) {
            watch.look();
            sleep(Duration::from_millis(5));
        }
    }

    fn clear_up(mut watch: Watch, ids: &[Id]) {
        for id in ids {
            watch.contracts().kill(*id).unwrap();
            look_until(&mut watch, |watch| watch.is_empty(*id));
            watch.remove(*id);
        }
        if let Kind::Cgroups(cgroups) = &watch.contracts.0 {
            cgroups.remove_all().unwrap();
        }
    }

    #[test]
    fn the_end_of_the_last_process_is_told_and_no_other() {
        for contracts in both("last") {
            let mut watch = Watch::open(contracts).unwrap();
            let first = started(&watch, 1, "sleep 1000 & sleep 1000 &");
            let second = started(&watch, 2, "exec sleep 1000");
            watch.add(1, Some(first));
            watch.add(2, Some(second));
            reap::wait_for(first).unwrap();
            let pids = watch.contracts().pids(1);
            let [a, b] = pids[..] else { panic!("{pids:?}") };
            watch.contracts().signal_one(1, a, Signal::SIGKILL);
            // Someone else's number is not obeyed.
            watch.contracts().signal_one(1, second, Signal::SIGKILL);
            while Stat::read(a).is_some_and(|stat| stat.is_alive) {
                sleep(Duration::from_millis(5));
            }
            watch.look();
            assert!(!watch.is_empty(1) && watch.over().next().is_none());
            watch.contracts().signal_one(1, b, Signal::SIGKILL);
            look_until(&mut watch, |watch| watch.is_empty(1));
            assert_eq!(watch.over().collect::<Vec<_>>(), [1]);
            assert!(!watch.is_empty(2) && Stat::read(second).unwrap().is_alive);
            clear_up(watch, &[1, 2]);
            reap::wait_for(second).unwrap();
        }
    }

    #[test]
    fn what_was_left_by_another_is_taken_up_and_what_has_gone_is_noticed() {
        for contracts in both("adopted") {
            let mut watch = Watch::open(contracts.clone()).unwrap();
            let lives = started(&watch, 1, "sleep 1000");
            let leads = started(&watch, 2, "sleep 1000 & exec sleep 1000");
            while contracts.pids(2).len() < 2 {
                sleep(Duration::from_millis(5));
            }
            watch.add(1, None);
            watch.add(2, None);
            watch.lead(2, leads);
            watch.add(3, None);
            look_until(&mut watch, |watch| watch.is_empty(3));
            assert!(!watch.is_empty(1) && !watch.is_empty(2));
            watch.contracts().signal_one(2, leads, Signal::SIGKILL);
            reap::wait_for(leads).unwrap();
            look_until(&mut watch, |watch| watch.over().any(|id| id == 2));
            assert!(!watch.is_empty(2));
            // A leader that isn't there is noticed at once.
            watch.lead(1, leads);
            assert!(watch.over().any(|id| id == 1));
            clear_up(watch, &[1, 2]);
            reap::wait_for(lives).unwrap();
        }
    }
}
