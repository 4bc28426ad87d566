//! What goes into the engine and what comes out of it.

use std::path::PathBuf;

use super::{Manager, Order};
use crate::fmri::Fmri;
use crate::state::State;

/// How the entities of a dependency count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// All must run.
    RequireAll,
    /// One must run.
    RequireAny,
    /// Each must run, unless it can't come up by itself.
    OptionalAll,
    /// None may run.
    ExcludeAll,
}

/// Which events at a dependency stop its dependent; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RestartOn {
    /// None.
    None,
    /// Faults.
    Error,
    /// Any stop.
    Restart,
    /// A refresh, too.
    Refresh,
}

/// What a dependency is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entity {
    /// A service or one of its instances.
    Service(Fmri),
    /// A file that must be there.
    File(PathBuf),
}

/// One dependency group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The property group's name.
    pub name: String,
    /// How its entities count.
    pub grouping: Grouping,
    /// Which events stop the dependent.
    pub restart_on: RestartOn,
    /// On what.
    pub entities: Vec<Entity>,
}

impl Dependency {
    /// The services and instances among the entities.
    pub fn services(&self) -> impl Iterator<Item = &Fmri> {
        self.entities.iter().filter_map(|entity| match entity {
            Entity::Service(name) => Some(name),
            Entity::File(_) => None,
        })
    }
}

/// What running means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The contract has processes.
    Contract,
    /// The start method has succeeded.
    Transient,
    /// The start method itself runs.
    Child,
}

/// What the engine knows of an instance's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// It shall run.
    pub enabled: bool,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// What running means.
    pub model: Model,
    /// There is a refresh method.
    pub has_refresh: bool,
    /// More faults than this within the period lead to maintenance.
    pub failure_count: usize,
    /// The period, in ms.
    pub failure_period: u64,
    /// Who starts and stops it.
    pub manager: Manager,
    /// A dependency is not understood.
    pub invalid: bool,
    /// It is never given up, but tried again after a while.
    pub retry: Option<Backoff>,
}

/// How long a service waits that is tried for ever, in ms: twice as long after each failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: u64,
    /// At most. Having run for longer, it begins anew.
    pub limit: u64,
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Starts it.
    Start,
    /// Stops it.
    Stop,
    /// Has it reread its configuration.
    Refresh,
}

impl Method {
    /// Its name, which is its property group's, too.
    pub fn name(self) -> &'static str {
        match self {
            Method::Start => "start",
            Method::Stop => "stop",
            Method::Refresh => "refresh",
        }
    }
}

/// What came of a method (smf_method(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Ok,
    /// The service runs with less capacity.
    Degraded,
    /// There is no daemon to watch.
    NoDaemon,
    /// It failed, and may be tried again.
    Failed,
    /// It failed for good.
    Fatal,
    /// The service shall be disabled until the next boot.
    TempDisable,
}

/// Why an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It was disabled.
    Disable,
    /// It shall start again.
    Restart,
    /// Something that it depends on stopped, or was refreshed.
    Dependency,
    /// Something that it depends on had a fault.
    DependencyFault,
    /// Something that it depends on is being disabled, and waits for it to stop.
    Withdrawn,
    /// Its last process has ended.
    Exited,
    /// The process that is the service has ended, and said that it failed.
    ExitedBadly,
    /// One of its processes dumped core.
    Core,
    /// One of its processes was killed from outside.
    Signal,
    /// One of its processes was killed for broken memory.
    Hardware,
    /// Its check method failed too often in a row.
    Unhealthy,
    /// It said that it can't run like this, or its refresh method failed.
    Failed,
    /// It was asked to go to maintenance.
    Maintenance(Requester),
    /// It was asked to go to maintenance at once: its processes are left to themselves.
    Abandon(Requester),
}

/// Who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester {
    /// Somebody at a terminal.
    Administrator,
    /// A program.
    Service,
}

impl Requester {
    /// As in the property `auxiliary_state`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Requester::Administrator => "administrative_request",
            Requester::Service => "service_request",
        }
    }
}

impl StopReason {
    /// How the event counts for dependents.
    pub(super) fn class(self) -> RestartOn {
        match self {
            StopReason::Core | StopReason::Signal | StopReason::Hardware => RestartOn::Error,
            StopReason::Unhealthy | StopReason::Failed => RestartOn::Error,
            _ => RestartOn::Restart,
        }
    }

    /// Whether it counts as a failure of the service itself.
    pub(super) fn is_fault(self) -> bool {
        use StopReason::{Core, Exited, ExitedBadly, Hardware, Signal, Unhealthy};
        matches!(self, Exited | ExitedBadly | Core | Signal | Hardware | Unhealthy)
    }

    /// Whether the service starts with a clean record afterwards.
    pub(super) fn clears_history(self) -> bool {
        use StopReason::{Dependency, Disable, Restart, Withdrawn};
        matches!(self, Disable | Restart | Dependency | Withdrawn)
    }

    /// Whether dependents stop first.
    pub(super) fn leaves_first(self) -> bool {
        matches!(self, StopReason::Disable | StopReason::Withdrawn)
    }

    /// What the log says.
    pub(super) fn message(self) -> &'static str {
        use StopReason::{Dependency, DependencyFault, Exited, ExitedBadly, Withdrawn};
        match self {
            StopReason::Disable => "Stopping because service disabled.",
            StopReason::Restart => "Stopping because service restarting.",
            Dependency | DependencyFault | Withdrawn => {
                "Stopping because dependency activity requires stop."
            }
            Exited | ExitedBadly => "Stopping because all processes in service exited.",
            StopReason::Core => "Stopping because process dumped core.",
            StopReason::Signal => {
                "Stopping because process received fatal signal from outside the service."
            }
            StopReason::Hardware => {
                "Stopping because process killed due to uncorrectable hardware error."
            }
            StopReason::Unhealthy => "Stopping because check method failed repeatedly.",
            StopReason::Failed => "Stopping because a method failed.",
            StopReason::Maintenance(by) | StopReason::Abandon(by) => match by {
                Requester::Administrator => {
                    "Stopping for maintenance due to administrative_request."
                }
                Requester::Service => "Stopping for maintenance due to service_request.",
            },
        }
    }
}

/// How much of everything is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Milestone {
    /// All that is enabled.
    #[default]
    All,
    /// Nothing.
    Nothing,
    /// This instance and all that it depends on.
    Instance(Fmri),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An instance is new, or its description changed.
    Configure(Fmri, Config),
    /// An instance that an earlier restarter left, and how it looked.
    Adopt(Fmri, Config, Look),
    /// An instance was deleted.
    Delete(Fmri),
    /// Start it anew.
    Restart(Fmri),
    /// Have it reread its configuration; its new description was given before.
    Refresh(Fmri),
    /// Leave maintenance or degraded.
    Clear(Fmri),
    /// Go to maintenance, after the stop method.
    Maintenance(Fmri, Requester),
    /// Go to maintenance at once, and leave what runs to itself.
    Abandon(Fmri, Requester),
    /// Run with less capacity.
    Degrade(Fmri, Requester),
    /// Have its processes dump core; a restart follows.
    Dump(Fmri),
    /// A method has ended.
    Done(Fmri, Method, Outcome),
    /// What had been running does not any more, or had a fault.
    Stopped(Fmri, StopReason),
    /// What was to be killed has no processes any more.
    Gone(Fmri),
    /// A restarter is there, and knows nothing.
    Bound(Fmri),
    /// A restarter has gone.
    Unbound(Fmri),
    /// A restarter says how an instance is doing.
    Reported {
        /// The instance.
        fmri: Fmri,
        /// How it looks.
        look: Look,
        /// It left its state because of a fault.
        is_error: bool,
        /// The restarter has dealt with everything that it was told of the instance.
        is_answer: bool,
    },
    /// Run what this milestone needs, and nothing else.
    Milestone(Milestone),
    /// Stop everything, dependents first, and start nothing.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run a method, and report with [`Event::Done`].
    Run(Fmri, Method),
    /// End the method that runs; nobody waits for it any more.
    BreakOff(Fmri),
    /// Kill what is left of the instance, and report with [`Event::Gone`].
    Kill(Fmri),
    /// Have its processes dump core.
    Dump(Fmri),
    /// Forget its processes.
    Abandon(Fmri),
    /// Write a line to the instance's log.
    Log(Fmri, String),
    /// Write a line to the instance's log, and tell the administrator.
    Warn(Fmri, String),
    /// The instance looks different now.
    Changed(Fmri),
    /// Tell a restarter of an instance, and have it report.
    Add {
        /// The restarter.
        to: Fmri,
        /// The instance.
        fmri: Fmri,
        /// It shall run.
        enabled: bool,
    },
    /// Tell a restarter that an instance is none of its own any more.
    Remove {
        /// The restarter.
        to: Fmri,
        /// The instance.
        fmri: Fmri,
    },
    /// Tell a restarter what is wanted of an instance.
    Order {
        /// The restarter.
        to: Fmri,
        /// The instance.
        fmri: Fmri,
        /// What is wanted.
        order: Order,
    },
    /// Tell a restarter that it has heard of all its instances.
    Synced(Fmri),
    /// Note that the instance is disabled until the next boot.
    TempDisable(Fmri),
}

/// How an instance looks from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Where it is.
    pub state: State,
    /// Where the method that runs will bring it.
    pub next: Option<State>,
    /// Why it is there.
    pub auxiliary: String,
}
