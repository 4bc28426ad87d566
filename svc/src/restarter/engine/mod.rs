//! The dependency graph as a pure state machine (smf(7), svc.startd(8)).
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
mod settle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::fmri::Fmri;
use crate::state::State;

pub use dependency::Satisfaction;

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
    /// An administrator put it in maintenance.
    Maintenance,
}

impl StopReason {
    /// How the event counts for dependents.
    fn class(self) -> RestartOn {
        match self {
            StopReason::Core | StopReason::Signal => RestartOn::Error,
            _ => RestartOn::Restart,
        }
    }

    fn is_fault(self) -> bool {
        matches!(self, StopReason::Exited | StopReason::Core | StopReason::Signal)
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
            StopReason::Maintenance => "Stopping for maintenance due to administrative_request.",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An instance is new, or its description changed.
    Configure(Fmri, Config),
    /// An instance that an earlier restarter left, in a stable state.
    Adopt(Fmri, Config, State, String),
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

#[derive(Debug)]
struct Vertex {
    config: Config,
    state: State,
    auxiliary: String,
    method: Option<Method>,
    stop: Option<StopReason>,
    refresh: bool,
    /// Failures of the start method, in a row.
    failures: u32,
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
            refresh: false,
            failures: 0,
            faults: VecDeque::new(),
            started: None,
            deleted: false,
        }
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.faults.clear();
        self.started = None;
    }

    fn next(&self) -> Option<State> {
        match (self.method?, self.stop) {
            (Method::Start, _) => Some(State::Online),
            (Method::Refresh, _) => Some(self.state),
            (Method::Stop, Some(StopReason::Maintenance)) => Some(State::Maintenance),
            (Method::Stop, _) if !self.config.enabled => Some(State::Disabled),
            (Method::Stop, _) => Some(State::Offline),
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

/// Start methods that fail this often in a row lead to maintenance.
const START_FAILURES: u32 = 3;

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
        })
    }

    /// Whether nothing runs any more.
    pub fn is_quiet(&self) -> bool {
        self.vertices.values().all(|vertex| vertex.method.is_none() && !vertex.state.is_running())
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
            Event::Adopt(fmri, config, state, auxiliary) => {
                let vertex = Vertex { state, auxiliary, ..Vertex::new(config) };
                self.vertices.insert(fmri.clone(), vertex);
                self.actions.push(Action::Changed(fmri));
            }
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
            (false, State::Offline) if vertex.method.is_none() => {
                vertex.forget_failures();
                self.initialize(fmri);
            }
            (false, State::Offline) => {
                vertex.stop.get_or_insert(StopReason::Disable);
            }
            (false, State::Maintenance) if vertex.method.is_none() => {
                vertex.forget_failures();
                self.log(fmri, "Leaving maintenance because disable requested.");
                self.enter(fmri, State::Disabled, "none");
            }
            (false, State::Online | State::Degraded) => {
                vertex.forget_failures();
                vertex.stop.get_or_insert(StopReason::Disable);
            }
            // Disabled and enabled again before anything was done about it.
            (true, _) if vertex.stop == Some(StopReason::Disable) && vertex.method.is_none() => {
                vertex.stop = None;
            }
            _ => {}
        }
    }

    /// A description that can't be followed leads to maintenance, unless the service runs already.
    fn check_description(&mut self, fmri: &Fmri) {
        let vertex = &self.vertices[fmri];
        if vertex.state != State::Offline || vertex.method.is_some() {
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
        if vertex.state.is_running() || vertex.method.is_some() {
            vertex.config.enabled = false;
            vertex.deleted = true;
            vertex.stop.get_or_insert(StopReason::Disable);
        } else {
            self.vertices.remove(fmri);
        }
    }

    fn refresh(&mut self, fmri: &Fmri) {
        self.log(fmri, "Rereading configuration.");
        let mut runs = false;
        self.on_running(fmri, |vertex| {
            vertex.refresh = vertex.config.has_refresh;
            runs = true;
        });
        if runs {
            self.propagate(fmri, RestartOn::Refresh);
        }
    }

    fn clear(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        match vertex.state {
            State::Maintenance if vertex.method.is_none() => {
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
        if vertex.state.is_running() || vertex.method.is_some() {
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

    fn done(&mut self, fmri: &Fmri, method: Method, outcome: Outcome) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if vertex.method != Some(method) {
            return;
        }
        vertex.method = None;
        match method {
            Method::Start => self.started(fmri, outcome),
            Method::Stop => self.stopped(fmri, outcome),
            Method::Refresh if matches!(outcome, Outcome::Failed | Outcome::Fatal) => {
                self.enter(fmri, State::Maintenance, "method_failed");
            }
            Method::Refresh => self.actions.push(Action::Changed(fmri.clone())),
        }
    }

    fn started(&mut self, fmri: &Fmri, outcome: Outcome) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        match outcome {
            Outcome::Ok | Outcome::NoDaemon | Outcome::Degraded => {
                vertex.failures = 0;
                let degraded = outcome == Outcome::Degraded;
                let state = if degraded { State::Degraded } else { State::Online };
                return self.enter(fmri, state, "none");
            }
            Outcome::TempDisable => {
                vertex.config.enabled = false;
                vertex.stop = None;
                self.actions.push(Action::TempDisable(fmri.clone()));
                return self.enter(fmri, State::Disabled, "none");
            }
            Outcome::Failed => vertex.failures += 1,
            Outcome::Fatal => vertex.failures = START_FAILURES,
        }
        let stop = vertex.stop.take();
        let given_up = vertex.failures >= START_FAILURES;
        let fatal = outcome == Outcome::Fatal;
        match stop {
            Some(StopReason::Maintenance) => {
                self.enter(fmri, State::Maintenance, "administrative_request");
            }
            _ if !self.vertices[fmri].config.enabled => self.initialize(fmri),
            _ if given_up => {
                let why = if fatal { "method_failed" } else { "fault_threshold_reached" };
                self.enter(fmri, State::Maintenance, why);
            }
            _ => self.enter(fmri, State::Offline, "none"),
        }
    }

    fn stopped(&mut self, fmri: &Fmri, outcome: Outcome) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let reason = vertex.stop.take();
        vertex.refresh = false;
        if vertex.deleted {
            self.vertices.remove(fmri);
            return;
        }
        match (outcome, reason) {
            (Outcome::Failed | Outcome::Fatal, _) => {
                self.enter(fmri, State::Maintenance, "stop_method_failed");
            }
            (_, Some(StopReason::Maintenance)) => {
                self.enter(fmri, State::Maintenance, "administrative_request");
            }
            _ if !vertex.config.enabled => self.initialize(fmri),
            (_, reason) => {
                if !reason.is_some_and(StopReason::is_fault) {
                    vertex.forget_failures();
                }
                self.enter(fmri, State::Offline, "none");
                self.check_description(fmri);
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
