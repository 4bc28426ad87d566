//! The dependency graph as a pure state machine (smf(7), svc.startd(8)).
//!
//! A service that could not be started, or not be stopped, is killed; only when its processes are
//! gone ([`Event::Gone`]) does it go to its next state, so that there is never a second copy.
//!
//! Every [`Event`] changes at most its own instance at first; then the graph is settled: what may
//! start is started, what must stop is stopped, in the order of the dependencies, until nothing
//! changes any more. At most one method of an instance runs at a time; a wish to stop that comes
//! meanwhile is kept in `stop` and obeyed when the method has ended.
//!
//! ```text
//!                 enable, dependencies satisfied
//!   disabled <--> offline --start--> online/degraded --stop--> offline | disabled | maintenance
//!        \            \-- 3 failures, or fatal --> maintenance <--/ stop failed, marked
//!         +-----------------------------<- clear or disable -<---+
//! ```
//!
//! Times are milliseconds since any fixed moment.

mod dependency;
mod ends;
mod rules;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::fmri::Fmri;
use crate::state::State;

pub use rules::{Judge, Satisfaction, Services, Standing};

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
    /// A dependency is not understood.
    pub invalid: bool,
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
    /// Something that it depends on stopped.
    Dependency,
    /// Its last process has ended.
    Exited,
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
    /// An administrator put it in maintenance.
    Maintenance,
}

impl StopReason {
    /// How the event counts for dependents.
    fn class(self) -> RestartOn {
        match self {
            StopReason::Core | StopReason::Signal | StopReason::Hardware => RestartOn::Error,
            StopReason::Unhealthy | StopReason::Failed => RestartOn::Error,
            _ => RestartOn::Restart,
        }
    }

    fn is_fault(self) -> bool {
        use StopReason::{Core, Exited, Hardware, Signal, Unhealthy};
        matches!(self, Exited | Core | Signal | Hardware | Unhealthy)
    }

    /// What the log says.
    fn message(self) -> &'static str {
        match self {
            StopReason::Disable => "Stopping because service disabled.",
            StopReason::Restart => "Stopping because service restarting.",
            StopReason::Dependency => "Stopping because dependency activity requires stop.",
            StopReason::Exited => "Stopping because all processes in service exited.",
            StopReason::Core => "Stopping because process dumped core.",
            StopReason::Signal => {
                "Stopping because process received fatal signal from outside the service."
            }
            StopReason::Hardware => {
                "Stopping because process killed due to uncorrectable hardware error."
            }
            StopReason::Unhealthy => "Stopping because check method failed repeatedly.",
            StopReason::Failed => "Stopping because a method failed.",
            StopReason::Maintenance => "Stopping for maintenance due to administrative_request.",
        }
    }
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
    /// Go to maintenance.
    Maintenance(Fmri),
    /// A method has ended.
    Done(Fmri, Method, Outcome),
    /// What had been running does not any more, or had a fault.
    Stopped(Fmri, StopReason),
    /// What was to be killed has no processes any more.
    Gone(Fmri),
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
    /// Kill what is left of the instance, and report with [`Event::Gone`].
    Kill(Fmri),
    /// Write a line to the instance's log.
    Log(Fmri, String),
    /// The instance looks different now.
    Changed(Fmri),
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

/// What is to become of an instance when it has been killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It may try again.
    Retry,
    /// It goes to maintenance, for this reason.
    GiveUp(&'static str),
}

#[derive(Debug)]
struct Vertex {
    config: Config,
    state: State,
    auxiliary: String,
    method: Option<Method>,
    stop: Option<StopReason>,
    /// What is left of it is being killed.
    dying: Option<Verdict>,
    refresh: bool,
    /// The method that failed last, and how often in a row.
    failures: Option<(Method, u32)>,
    /// When it stopped without being asked to.
    faults: VecDeque<u64>,
    started: Option<u64>,
    deleted: bool,
}

impl Vertex {
    fn new(config: Config) -> Self {
        Self {
            config,
            state: State::Uninitialized,
            auxiliary: "none".to_owned(),
            method: None,
            stop: None,
            dying: None,
            refresh: false,
            failures: None,
            faults: VecDeque::new(),
            started: None,
            deleted: false,
        }
    }

    fn failures_of(&self, method: Method) -> u32 {
        self.failures.filter(|(failed, _)| *failed == method).map_or(0, |(_, often)| often)
    }

    fn forget_failures(&mut self) {
        self.failures = None;
        self.faults.clear();
        self.started = None;
    }

    /// Whether a method runs, or processes are being killed.
    fn is_busy(&self) -> bool {
        self.method.is_some() || self.dying.is_some()
    }

    fn next(&self) -> Option<State> {
        match (self.dying, self.method) {
            (Some(Verdict::GiveUp(_)), _) => Some(State::Maintenance),
            (Some(Verdict::Retry), _) | (None, Some(Method::Start)) => Some(State::Online),
            (None, Some(Method::Refresh)) => Some(self.state),
            (None, Some(Method::Stop)) => Some(match self.stop {
                Some(StopReason::Maintenance | StopReason::Failed) => State::Maintenance,
                _ if !self.config.enabled => State::Disabled,
                _ => State::Offline,
            }),
            (None, None) => None,
        }
    }
}

/// The graph.
#[derive(Debug, Default)]
pub struct Engine {
    vertices: BTreeMap<Fmri, Vertex>,
    actions: Vec<Action>,
    shutdown: bool,
}

/// Methods that fail this often in a row lead to maintenance.
const ATTEMPTS: u32 = 3;

impl Engine {
    /// A graph of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How an instance looks, if it is known.
    pub fn look(&self, fmri: &Fmri) -> Option<Look> {
        let vertex = self.vertices.get(fmri)?;
        let (state, next) = (vertex.state, vertex.next());
        Some(Look { state, next, auxiliary: vertex.auxiliary.clone() })
    }

    /// All instances.
    pub fn instances(&self) -> impl Iterator<Item = &Fmri> {
        self.vertices.keys()
    }

    /// Whether processes of the instance should be running, and no method is.
    pub fn is_watched(&self, fmri: &Fmri) -> bool {
        self.vertices.get(fmri).is_some_and(|vertex| {
            vertex.state.is_running()
                && matches!(vertex.method, None | Some(Method::Refresh))
                && vertex.stop.is_none()
                && vertex.dying.is_none()
        })
    }

    /// Whether nothing runs any more.
    pub fn is_quiet(&self) -> bool {
        self.vertices.values().all(|vertex| !vertex.is_busy() && !vertex.state.is_running())
    }

    /// Takes an event in at time `now`; `exists` tells which files there are.
    pub fn handle(
        &mut self,
        event: Event,
        now: u64,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Vec<Action> {
        match event {
            Event::Configure(fmri, config) => self.configure(fmri, config),
            Event::Adopt(fmri, config, look) => self.adopt(fmri, config, look),
            Event::Delete(fmri) => self.delete(&fmri),
            Event::Restart(fmri) => self.on_running(&fmri, |vertex| {
                vertex.forget_failures();
                vertex.stop.get_or_insert(StopReason::Restart);
            }),
            Event::Refresh(fmri) => self.refresh(&fmri),
            Event::Clear(fmri) => self.clear(&fmri),
            Event::Maintenance(fmri) => self.mark_maintenance(&fmri),
            Event::Done(fmri, method, outcome) => self.done(&fmri, method, outcome),
            Event::Stopped(fmri, reason) if self.is_watched(&fmri) => {
                self.on_running(&fmri, |vertex| {
                    vertex.faults.push_back(now);
                    vertex.stop = Some(reason);
                });
            }
            Event::Gone(fmri) => self.gone(&fmri),
            Event::Stopped(..) | Event::Tick => {}
            Event::Shutdown => self.shut_down(),
        }
        self.settle(now, exists);
        std::mem::take(&mut self.actions)
    }

    fn on_running(&mut self, fmri: &Fmri, change: impl FnOnce(&mut Vertex)) {
        if let Some(vertex) = self.vertices.get_mut(fmri)
            && vertex.state.is_running()
        {
            change(vertex);
        }
    }

    fn configure(&mut self, fmri: Fmri, config: Config) {
        let is_new = !self.vertices.contains_key(&fmri);
        let vertex =
            self.vertices.entry(fmri.clone()).or_insert_with(|| Vertex::new(config.clone()));
        vertex.config = config;
        vertex.deleted = false;
        if self.shutdown {
            vertex.config.enabled = false;
        }
        if is_new {
            self.initialize(&fmri);
        } else {
            self.apply_enabled(&fmri);
        }
        self.check_description(&fmri);
    }

    /// Takes over where an earlier restarter was interrupted. What it had begun is begun anew.
    fn adopt(&mut self, fmri: Fmri, config: Config, look: Look) {
        let mut vertex = Vertex::new(config);
        (vertex.state, vertex.auxiliary) = (look.state, look.auxiliary);
        match look.next {
            Some(State::Maintenance) if look.state.is_running() => {
                vertex.stop = Some(StopReason::Maintenance);
            }
            Some(State::Offline) if look.state.is_running() => {
                vertex.stop = Some(StopReason::Restart);
            }
            Some(next) if next == look.state => vertex.refresh = vertex.config.has_refresh,
            Some(_) if look.state == State::Offline => vertex.dying = Some(Verdict::Retry),
            _ => {}
        }
        if vertex.dying.is_some() {
            self.actions.push(Action::Kill(fmri.clone()));
        }
        self.vertices.insert(fmri.clone(), vertex);
        self.actions.push(Action::Changed(fmri));
    }

    /// From uninitialized to where it belongs.
    fn initialize(&mut self, fmri: &Fmri) {
        let enabled = self.vertices[fmri].config.enabled;
        self.log(fmri, if enabled { "Enabled." } else { "Disabled." });
        self.enter(fmri, if enabled { State::Offline } else { State::Disabled }, "none");
    }

    fn apply_enabled(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        match (vertex.config.enabled, vertex.state) {
            (true, State::Disabled) => self.initialize(fmri),
            (false, State::Offline) if !vertex.is_busy() => {
                vertex.forget_failures();
                self.initialize(fmri);
            }
            (false, State::Offline) => {
                vertex.stop.get_or_insert(StopReason::Disable);
            }
            (false, State::Maintenance) if !vertex.is_busy() => {
                vertex.forget_failures();
                self.log(fmri, "Leaving maintenance because disable requested.");
                self.enter(fmri, State::Disabled, "none");
            }
            (false, State::Online | State::Degraded) => {
                vertex.forget_failures();
                vertex.stop.get_or_insert(StopReason::Disable);
            }
            // Disabled and enabled again before anything was done about it.
            (true, _) if vertex.stop == Some(StopReason::Disable) && !vertex.is_busy() => {
                vertex.stop = None;
            }
            _ => {}
        }
    }

    /// A description that can't be followed leads to maintenance, unless the service runs already.
    fn check_description(&mut self, fmri: &Fmri) {
        let vertex = &self.vertices[fmri];
        if vertex.state != State::Offline || vertex.is_busy() {
            return;
        }
        if vertex.config.invalid {
            self.enter(fmri, State::Maintenance, "invalid_dependency");
        } else if let Some(path) = self.cycle_through(fmri) {
            let path: Vec<String> = path.iter().map(Fmri::to_string).collect();
            self.log(fmri, &format!("Dependency cycle: {}", path.join(" -> ")));
            self.enter(fmri, State::Maintenance, "dependency_cycle");
        }
    }

    fn delete(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if vertex.state.is_running() || vertex.is_busy() {
            vertex.config.enabled = false;
            vertex.deleted = true;
            vertex.stop.get_or_insert(StopReason::Disable);
        } else {
            self.vertices.remove(fmri);
        }
    }

    fn refresh(&mut self, fmri: &Fmri) {
        self.log(fmri, "Rereading configuration.");
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if !vertex.state.is_running() {
            return;
        }
        if vertex.config.has_refresh {
            vertex.refresh = true;
        } else {
            self.log(fmri, "No 'refresh' method defined.  Treating as :true.");
            self.propagate(fmri, RestartOn::Refresh);
        }
    }

    fn clear(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        match vertex.state {
            State::Maintenance if !vertex.is_busy() => {
                vertex.forget_failures();
                self.log(fmri, "Leaving maintenance because clear requested.");
                self.initialize(fmri);
                self.check_description(fmri);
            }
            State::Degraded => self.enter(fmri, State::Online, "none"),
            _ => {}
        }
    }

    fn mark_maintenance(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if vertex.state.is_running() || vertex.is_busy() {
            vertex.stop = Some(StopReason::Maintenance);
        } else if vertex.state != State::Maintenance {
            self.log(fmri, StopReason::Maintenance.message());
            self.enter(fmri, State::Maintenance, "administrative_request");
        }
    }

    fn shut_down(&mut self) {
        self.shutdown = true;
        for fmri in self.vertices.keys().cloned().collect::<Vec<_>>() {
            if let Some(vertex) = self.vertices.get_mut(&fmri) {
                vertex.config.enabled = false;
            }
            if self.vertices[&fmri].state != State::Maintenance {
                self.apply_enabled(&fmri);
            }
        }
    }

    fn enter(&mut self, fmri: &Fmri, state: State, auxiliary: &str) {
        if let Some(vertex) = self.vertices.get_mut(fmri) {
            vertex.state = state;
            vertex.auxiliary = auxiliary.to_owned();
            self.actions.push(Action::Changed(fmri.clone()));
        }
    }

    fn log(&mut self, fmri: &Fmri, line: &str) {
        self.actions.push(Action::Log(fmri.clone(), line.to_owned()));
    }
}
