//! The dependency graph as a pure state machine (smf(7), svc.startd(8)).
//!
//! A service that could not be started, or not be stopped, is killed; only when its processes are
//! gone ([`Event::Gone`]) does it go to its next state, so that there is never a second copy.
//!
//! Every [`Event`] changes at most its own instance at first; then the graph is settled: what may
//! start is started, what must stop is stopped, in the order of the dependencies, until nothing
//! changes any more. An index leads from an instance to those that depend on it, so that no others
//! are looked at. At most one method of an instance runs at a time; a wish to stop that comes
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

mod admin;
mod contradiction;
mod cycle;
mod delegated;
mod ends;
mod index;
mod milestone;
mod rules;
mod settle;
#[cfg(test)]
mod tests;
mod types;
mod vertex;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use crate::delegate::Order;
use crate::fmri::Fmri;
use crate::state::State;
pub use delegated::Manager;
use index::Topics;
pub use rules::{Judge, Satisfaction, Services, Standing};
pub use types::{
    Action, Backoff, Config, Dependency, Entity, Event, Grouping, Look, Method, Milestone, Model,
    Outcome, Requester, RestartOn, StopReason,
};
use vertex::Vertex;

/// The graph.
#[derive(Debug, Default)]
pub struct Engine {
    vertices: BTreeMap<Fmri, Vertex>,
    topics: Topics,
    /// Those that changed, or that a change concerns.
    dirty: BTreeSet<Fmri>,
    /// Those for which there may be something to do.
    due: BTreeSet<Fmri>,
    /// Those that may close a cycle, in the order in which they came.
    unchecked: Vec<Fmri>,
    /// When to look at an instance again.
    timers: BTreeSet<(u64, Fmri)>,
    /// For instances that are to stop: who waits for that.
    holding: BTreeMap<Fmri, BTreeSet<Fmri>>,
    /// Those of which a method runs, or which are being killed.
    busy: BTreeSet<Fmri>,
    /// The restarters that are there, besides us.
    bound: BTreeSet<Fmri>,
    actions: Vec<Action>,
    milestone: Milestone,
    /// Who is inside of the milestone is known.
    is_redrawn: bool,
    now: u64,
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
                && vertex.delegate.is_none()
                && matches!(vertex.method, None | Some(Method::Refresh))
                && vertex.stop.is_none()
                && vertex.dying.is_none()
        })
    }

    /// Whether nothing runs any more.
    pub fn is_quiet(&self) -> bool {
        let is_quiet = |vertex: &Vertex| !vertex.is_busy() && !vertex.state.is_running();
        self.vertices.values().all(|vertex| is_quiet(vertex) || !Self::is_reachable(vertex))
    }

    /// Takes events in at time `now`; `exists` tells which files there are.
    pub fn handle(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        now: u64,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Vec<Action> {
        self.now = now;
        events.into_iter().for_each(|event| self.take(event));
        self.settle(exists);
        std::mem::take(&mut self.actions)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Configure(fmri, config) => self.configure(fmri, config),
            Event::Adopt(fmri, config, look) => self.adopt(fmri, config, look),
            Event::Delete(fmri) => self.delete_for_good(&fmri),
            Event::Restart(fmri) => self.restart(&fmri),
            Event::Refresh(fmri) => self.refresh(&fmri),
            Event::Clear(fmri) => self.clear(&fmri),
            Event::Maintenance(fmri, by) => {
                self.mark_maintenance(&fmri, StopReason::Maintenance(by), by);
            }
            Event::Abandon(fmri, by) => self.mark_maintenance(&fmri, StopReason::Abandon(by), by),
            Event::Degrade(fmri, by) => self.mark_degraded(&fmri, by),
            Event::Dump(fmri) => self.dump(&fmri),
            Event::Done(fmri, method, outcome) => self.done(&fmri, method, outcome),
            Event::Stopped(fmri, reason) => self.ended(&fmri, reason),
            Event::Gone(fmri) => self.gone(&fmri),
            Event::Bound(restarter) => self.bound(restarter),
            Event::Unbound(restarter) => self.unbound(&restarter),
            Event::Reported { fmri, look, is_error, is_answer } => {
                self.reported(&fmri, look, is_error, is_answer);
            }
            Event::Milestone(milestone) => self.go_to(milestone),
            Event::Shutdown => self.shut_down(),
            Event::Tick => {}
        }
    }

    fn enter(&mut self, fmri: &Fmri, state: State, auxiliary: &str) {
        if let Some(vertex) = self.change(fmri) {
            vertex.state = state;
            vertex.auxiliary = auxiliary.to_owned();
            self.actions.push(Action::Changed(fmri.clone()));
        }
    }

    fn log(&mut self, fmri: &Fmri, line: &str) {
        self.actions.push(Action::Log(fmri.clone(), line.to_owned()));
    }
}
