//! After each event: stops and starts until nothing changes any more. Only those are looked at that
//! changed, and those that are concerned by it.

use std::collections::BTreeSet;
use std::path::Path;

use super::vertex::Vertex;
use super::{
    Action, Dependency, Engine, Grouping, Method, Model, RestartOn, Satisfaction, StopReason,
};
use crate::fmri::Fmri;
use crate::state::State;

impl Engine {
    pub(super) fn settle(&mut self, exists: &dyn Fn(&Path) -> bool) {
        self.wake();
        self.redraw();
        self.check_cycles();
        loop {
            // What a change means is known everywhere before anything is done about it.
            while let Some(fmri) = self.dirty.pop_first() {
                self.reconsider(&fmri, exists);
                self.due.insert(fmri);
            }
            match self.due.pop_first() {
                Some(fmri) => self.step(&fmri),
                None if self.break_circle() => {}
                None => return,
            }
        }
    }

    /// Those whose time has come are looked at again.
    fn wake(&mut self) {
        while let Some((at, _)) = self.timers.first()
            && *at <= self.now
        {
            self.dirty.extend(self.timers.pop_first().map(|(_, fmri)| fmri));
        }
    }

    /// Does one thing for an instance, if there is one to do.
    fn step(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if vertex.delegate.is_some() {
            return self.step_delegated(fmri);
        }
        if vertex.is_busy() {
            return;
        }
        match vertex.state {
            State::Online | State::Degraded => match vertex.stop {
                Some(reason) => self.try_stop(fmri, reason),
                None if vertex.refresh => {
                    vertex.refresh = false;
                    self.run(fmri, Method::Refresh);
                }
                None => {}
            },
            State::Offline if vertex.is_wanted() => self.try_start(fmri),
            _ => {}
        }
    }

    pub(super) fn try_start(&mut self, fmri: &Fmri) {
        let now = self.now;
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if vertex.satisfaction() != Satisfaction::Yes {
            return;
        }
        if let Some(at) = vertex.not_before.filter(|at| now < *at) {
            self.timers.insert((at, fmri.clone()));
            return;
        }
        let too_old = |at: &u64| now.saturating_sub(*at) > vertex.config.failure_period;
        while vertex.faults.front().is_some_and(too_old) {
            vertex.faults.pop_front();
        }
        let is_child = vertex.config.model == Model::Child;
        if !is_child && vertex.faults.len() > vertex.config.failure_count {
            self.log(fmri, "Restarting too quickly, changing state to maintenance.");
            self.enter(fmri, State::Maintenance, "restarting_too_quickly");
            return;
        }
        vertex.started = Some(now);
        vertex.not_before = None;
        vertex.stop = None;
        self.run(fmri, Method::Start);
        self.stop_excluding(fmri);
    }

    /// Stops those that mind that an instance starts.
    pub(super) fn stop_excluding(&mut self, fmri: &Fmri) {
        let excludes = |_: &Vertex, group: &Dependency| {
            group.grouping == Grouping::ExcludeAll && group.restart_on != RestartOn::None
        };
        self.stop_dependents(fmri, StopReason::Dependency, excludes);
    }

    fn run(&mut self, fmri: &Fmri, method: Method) {
        if let Some(vertex) = self.change(fmri) {
            vertex.method = Some(method);
            if vertex.delegate.is_some() {
                return self.order_method(fmri, method);
            }
            self.actions.push(Action::Run(fmri.clone(), method));
            self.actions.push(Action::Changed(fmri.clone()));
        }
    }

    pub(super) fn try_stop(&mut self, fmri: &Fmri, reason: StopReason) {
        if reason.leaves_first() && self.waits_for_dependents(fmri) {
            return;
        }
        if self.vertices[fmri].failures_of(Method::Stop) == 0 {
            self.log(fmri, reason.message());
            self.propagate(fmri, reason.class());
        }
        if let StopReason::Abandon(by) = reason
            && self.delegate(fmri).is_none()
        {
            return self.abandon(fmri, by);
        }
        self.run(fmri, Method::Stop);
    }

    /// Whether dependents have to stop before an instance that is being disabled; has them stop.
    fn waits_for_dependents(&mut self, fmri: &Fmri) -> bool {
        if !self.vertices[fmri].waits_for.is_empty() {
            return true;
        }
        let relies = |dependent: &Vertex, group: &Dependency| match group.grouping {
            Grouping::ExcludeAll => false,
            // When everything goes down, nobody is left alone.
            _ if dependent.barred => true,
            Grouping::OptionalAll => false,
            _ => group.restart_on >= RestartOn::Restart,
        };
        let mut dependents = self.stop_dependents(fmri, StopReason::Withdrawn, relies);
        // Whose restarter has gone isn't going to stop.
        dependents.retain(|dependent| Self::is_reachable(&self.vertices[dependent]));
        for dependent in &dependents {
            self.holding.entry(dependent.clone()).or_default().insert(fmri.clone());
        }
        let Some(vertex) = self.vertices.get_mut(fmri) else { return false };
        vertex.waits_for = dependents;
        !vertex.waits_for.is_empty()
    }

    /// An instance has stopped, and those that waited for it need not any longer.
    pub(super) fn release(&mut self, fmri: &Fmri) {
        for waiting in self.holding.remove(fmri).into_iter().flatten() {
            if let Some(vertex) = self.vertices.get_mut(&waiting)
                && vertex.waits_for.remove(fmri)
                && vertex.waits_for.is_empty()
            {
                self.dirty.insert(waiting);
            }
        }
    }

    /// Services that run may depend on each other in a circle. When they wait for each other to
    /// stop, one goes first. Returns whether there was one.
    fn break_circle(&mut self) -> bool {
        let circle = self.busy.is_empty().then(|| self.holding.values().next()).flatten();
        let Some(fmri) = circle.and_then(|waiting| waiting.first()).cloned() else { return false };
        if let Some(vertex) = self.change(&fmri) {
            vertex.stop = Some(StopReason::Dependency);
        }
        self.wait_no_more(&fmri);
        true
    }

    /// It need not wait for its dependents to stop.
    pub(super) fn wait_no_more(&mut self, fmri: &Fmri) {
        let vertex = self.vertices.get_mut(fmri);
        let waits_for = vertex.map(|vertex| std::mem::take(&mut vertex.waits_for));
        for dependent in waits_for.into_iter().flatten() {
            if let Some(waiting) = self.holding.get_mut(&dependent) {
                waiting.remove(fmri);
                if waiting.is_empty() {
                    self.holding.remove(&dependent);
                }
            }
        }
    }

    /// Stops the dependents that an event of this class concerns.
    pub(super) fn propagate(&mut self, fmri: &Fmri, class: RestartOn) {
        let is_fault = class == RestartOn::Error;
        let reason = if is_fault { StopReason::DependencyFault } else { StopReason::Dependency };
        self.stop_dependents(fmri, reason, |_, group| {
            group.grouping != Grouping::ExcludeAll && group.restart_on >= class
        });
    }

    /// Wants those stopped that are up, or on their way, and have a group that `counts` and names
    /// `fmri`; returns who they are.
    fn stop_dependents(
        &mut self,
        fmri: &Fmri,
        reason: StopReason,
        counts: impl Fn(&Vertex, &Dependency) -> bool,
    ) -> BTreeSet<Fmri> {
        let concerned = self.named_by(fmri).filter(|(dependent, group)| {
            let vertex = &self.vertices[*dependent];
            *dependent != fmri && vertex.is_active() && counts(vertex, group)
        });
        let dependents: BTreeSet<Fmri> =
            concerned.map(|(dependent, _)| dependent.clone()).collect();
        for dependent in &dependents {
            if let Some(vertex) = self.change(dependent) {
                vertex.want_stop(reason);
            }
        }
        dependents
    }
}
