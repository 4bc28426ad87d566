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
mod graph;
mod rules;
mod settle;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use crate::fmri::Fmri;
use crate::state::State;

use graph::Graph;
pub use rules::{Judge, Satisfaction, Services, Standing};
pub use types::{
    Action, Config, Dependency, Entity, Event, Grouping, Look, Method, Model, Outcome, RestartOn,
    StopReason,
};

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
    vertices: Graph,
    /// Those that may start when some time has passed.
    later: BTreeSet<Fmri>,
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
        self.vertices.iter().map(|(fmri, _)| fmri)
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
        self.vertices.iter().all(|(_, vertex)| !vertex.is_busy() && !vertex.state.is_running())
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
            Event::Stopped(..) => {}
            Event::Tick => {
                let later = std::mem::take(&mut self.later);
                later.into_iter().for_each(|fmri| self.vertices.look_again(fmri));
            }
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
        let is_new = self.vertices.get(&fmri).is_none();
        let enabled = config.enabled && !self.shutdown;
        let config = Config { enabled, ..config };
        if is_new {
            self.vertices.insert(&fmri, Vertex::new(config));
        } else {
            self.vertices.describe(&fmri, config);
        }
        if let Some(vertex) = self.vertices.get_mut(&fmri) {
            vertex.deleted = false;
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
        self.vertices.insert(&fmri, vertex);
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
        for fmri in self.instances().cloned().collect::<Vec<_>>() {
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
