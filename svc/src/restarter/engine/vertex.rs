//! One instance in the graph: where it is, what it is doing, and what it is still to do.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;

use super::delegated::Delegate;
use super::rules::Satisfaction::{self, Never, NotYet, Yes};
use super::rules::{Standing, Tally};
use super::{Config, Grouping, Manager, Method, StopReason};
use crate::fmri::Fmri;
use crate::state::State;

/// What is to become of an instance when it has been killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may try again.
    Retry,
    /// It may try again after a while.
    Later,
    /// It goes to maintenance, for this reason.
    GiveUp(&'static str),
}

/// What an instance means to the groups that name it, by [`Grouping`].
pub(super) type Meaning = [Satisfaction; Grouping::ALL.len()];

/// A file that a dependency group names.
#[derive(Debug)]
pub(super) struct File {
    /// The number of the group.
    pub(super) group: usize,
    pub(super) path: PathBuf,
    /// What it was counted as when it was last looked for.
    pub(super) counted: Option<Satisfaction>,
}

#[derive(Debug)]
pub(super) struct Vertex {
    pub(super) config: Config,
    /// The entities of each dependency group.
    pub(super) groups: Vec<Tally>,
    /// The groups themselves.
    pub(super) together: Tally,
    pub(super) files: Vec<File>,
    /// What was last said to the groups that name it.
    pub(super) said: Option<Meaning>,
    /// Whether it is to be found out if it closes a cycle.
    pub(super) unchecked: bool,
    pub(super) state: State,
    pub(super) auxiliary: String,
    pub(super) method: Option<Method>,
    pub(super) stop: Option<StopReason>,
    /// Dependents that have to stop before it does.
    pub(super) waits_for: BTreeSet<Fmri>,
    /// What is left of it is being killed.
    pub(super) dying: Option<Verdict>,
    pub(super) refresh: bool,
    /// The method that failed last, and how often in a row.
    pub(super) failures: Option<(Method, u32)>,
    /// When it stopped without being asked to.
    pub(super) faults: VecDeque<u64>,
    pub(super) started: Option<u64>,
    /// How often in a row it was stopped because of others, soon after it had started.
    pub(super) undone: u32,
    /// It is not to be started before.
    pub(super) not_before: Option<u64>,
    /// How long it waited when it was tried again last.
    pub(super) delay: u64,
    /// It is a child that fails too fast.
    pub(super) throttled: bool,
    /// It is not to run whatever its description says: everything goes down.
    pub(super) barred: bool,
    pub(super) deleted: bool,
    /// How it stands with its restarter, if that isn't us.
    pub(super) delegate: Option<Delegate>,
    /// What it is when it has stopped for its present restarter: another's.
    pub(super) heir: Option<Box<Config>>,
}

impl Vertex {
    pub(super) fn new(config: Config) -> Self {
        let delegate = match &config.manager {
            Manager::Delegate(to) => Some(Delegate::new(to.clone())),
            Manager::Master | Manager::Nobody => None,
        };
        Self {
            config,
            delegate,
            heir: None,
            groups: Vec::new(),
            together: Tally::default(),
            files: Vec::new(),
            said: None,
            unchecked: true,
            state: State::Uninitialized,
            auxiliary: "none".to_owned(),
            method: None,
            stop: None,
            waits_for: BTreeSet::new(),
            dying: None,
            refresh: false,
            failures: None,
            faults: VecDeque::new(),
            started: None,
            undone: 0,
            not_before: None,
            delay: 0,
            throttled: false,
            barred: false,
            deleted: false,
        }
    }

    /// Whether it shall run.
    pub(super) fn is_wanted(&self) -> bool {
        self.config.enabled && !self.barred
    }

    pub(super) fn failures_of(&self, method: Method) -> u32 {
        self.failures.filter(|(failed, _)| *failed == method).map_or(0, |(_, often)| often)
    }

    pub(super) fn forget_failures(&mut self) {
        self.failures = None;
        self.faults.clear();
        self.undone = 0;
        self.started = None;
        self.not_before = None;
        self.delay = 0;
        self.throttled = false;
    }

    /// Whether a method runs, or processes are being killed.
    pub(super) fn is_busy(&self) -> bool {
        self.method.is_some()
            || self.dying.is_some()
            || self.delegate.as_ref().is_some_and(Delegate::is_busy)
    }

    /// Whether it has processes, or may have.
    pub(super) fn is_active(&self) -> bool {
        self.state.is_running()
            || self.method.is_some()
            || self.dying.is_some()
            || self.delegate.as_ref().is_some_and(Delegate::is_moving)
    }

    /// Wants it stopped, unless it is going to be anyway. Those that a disabled service waits for
    /// let their own dependents go first, too.
    pub(super) fn want_stop(&mut self, reason: StopReason) {
        use StopReason::{Abandon, Failed, Maintenance};
        let is_late = self.method == Some(Method::Stop);
        match self.stop {
            None => self.stop = Some(reason),
            Some(Maintenance(_) | Abandon(_) | Failed) => {}
            Some(before) if reason.leaves_first() && !before.leaves_first() && !is_late => {
                self.stop = Some(reason);
            }
            Some(_) => {}
        }
    }

    /// Where the method that runs brings it.
    pub(super) fn next(&self) -> Option<State> {
        if let Some(delegate) = &self.delegate {
            return delegate.next();
        }
        match (self.dying, self.method) {
            (Some(Verdict::GiveUp(_)), _) => Some(State::Maintenance),
            (Some(Verdict::Later), _) => Some(State::Offline),
            (Some(Verdict::Retry), _) | (None, Some(Method::Start)) => Some(State::Online),
            (None, Some(Method::Refresh)) => Some(self.state),
            (None, Some(Method::Stop)) => Some(match self.stop {
                Some(StopReason::Maintenance(_)) => State::Maintenance,
                Some(StopReason::Failed) if self.config.retry.is_none() => State::Maintenance,
                _ if !self.is_wanted() => State::Disabled,
                _ => State::Offline,
            }),
            (None, None) => None,
        }
    }

    /// Whether its dependencies are satisfied.
    pub(super) fn satisfaction(&self) -> Satisfaction {
        self.together.least().unwrap_or(Yes)
    }

    /// What it means to the groups that name it.
    pub(super) fn meaning(&self) -> Meaning {
        let standing = self.standing();
        let required = match standing {
            // Its dependents are stopped first; none is to start again.
            _ if self.state.is_running() && self.stop.is_some_and(StopReason::leaves_first) => {
                Never
            }
            Standing::Up => Yes,
            Standing::Moving => NotYet,
            Standing::Waiting(_) => self.satisfaction().min(NotYet),
            Standing::Down => Never,
        };
        Grouping::ALL.map(|grouping| grouping.of_instance(&standing, required))
    }

    fn standing(&self) -> Standing<'_> {
        match self.state {
            // On its way down it is not to be relied on any more.
            State::Online | State::Degraded if self.stop.is_some() => Standing::Moving,
            State::Online | State::Degraded => Standing::Up,
            State::Uninitialized => Standing::Moving,
            State::Disabled | State::Maintenance => Standing::Down,
            State::Offline if self.is_busy() => Standing::Moving,
            State::Offline => Standing::Waiting(&self.config.dependencies),
        }
    }
}
