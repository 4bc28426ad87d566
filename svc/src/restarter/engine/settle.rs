//! After each event: stops and starts until nothing changes any more.

use std::path::Path;

use super::{
    Action, Dependency, Engine, Entity, Grouping, Method, Model, RestartOn, Satisfaction,
    StopReason,
};
use crate::fmri::Fmri;
use crate::state::State;

/// A child that ends is started again after this long at the earliest, in ms.
const CHILD_PAUSE: u64 = 1000;

impl Engine {
    pub(super) fn settle(&mut self, now: u64, exists: &dyn Fn(&Path) -> bool) {
        while let Some(fmri) = self.vertices.next() {
            self.step(&fmri, now, exists);
        }
    }

    /// Does one thing for an instance, if there is one to do. That is a change, so it is looked at
    /// again.
    fn step(&mut self, fmri: &Fmri, now: u64, exists: &dyn Fn(&Path) -> bool) {
        let Some(vertex) = self.vertices.get(fmri) else { return };
        if vertex.is_busy() {
            return;
        }
        match vertex.state {
            State::Online | State::Degraded => match vertex.stop {
                Some(reason) => self.try_stop(fmri, reason),
                None if self.is_excluded(fmri) => self.want_stop(fmri, StopReason::Dependency),
                None if vertex.refresh => self.start_refresh(fmri),
                None => {}
            },
            State::Offline if vertex.config.enabled => self.try_start(fmri, now, exists),
            _ => {}
        }
    }

    fn want_stop(&mut self, fmri: &Fmri, reason: StopReason) {
        let is_new = self.vertices.get(fmri).is_some_and(|vertex| vertex.stop.is_none());
        if is_new && let Some(vertex) = self.vertices.get_mut(fmri) {
            vertex.stop = Some(reason);
        }
    }

    /// A running instance that some other, running now, excludes.
    fn is_excluded(&self, fmri: &Fmri) -> bool {
        let groups = self.vertices[fmri].config.dependencies.iter();
        let mut groups = groups.filter(|group| {
            group.grouping == Grouping::ExcludeAll && group.restart_on != RestartOn::None
        });
        groups.any(|group| {
            group.entities.iter().any(|entity| match entity {
                Entity::Service(name) => {
                    self.named(name).any(|(_, v)| v.state.is_running() || v.is_busy())
                }
                Entity::File(_) => false,
            })
        })
    }

    fn try_stop(&mut self, fmri: &Fmri, reason: StopReason) {
        if matches!(reason, StopReason::Disable | StopReason::DisabledBelow) {
            let dependents = self.dependents_to_stop_first(fmri);
            if !dependents.is_empty() {
                let want = |other: &Fmri| self.want_stop(other, StopReason::DisabledBelow);
                return dependents.iter().for_each(want);
            }
        }
        if self.vertices[fmri].failures_of(Method::Stop) == 0 {
            self.log(fmri, reason.message());
            self.propagate(fmri, reason.class());
        }
        self.run(fmri, Method::Stop);
    }

    /// Those that run and rely on an instance that is being disabled. Those that don't mind are
    /// left alone, except when everything goes down.
    fn dependents_to_stop_first(&self, fmri: &Fmri) -> Vec<Fmri> {
        let relies = |group: &Dependency| match group.grouping {
            Grouping::ExcludeAll => false,
            Grouping::OptionalAll => self.shutdown,
            _ => self.shutdown || group.restart_on >= RestartOn::Restart,
        };
        self.dependents(fmri, relies)
    }

    /// Running instances with a group that `counts` and names `fmri`.
    fn dependents(&self, fmri: &Fmri, counts: impl Fn(&Dependency) -> bool) -> Vec<Fmri> {
        let names_it = |group: &Dependency| {
            group.entities.iter().any(|entity| match entity {
                Entity::Service(name) if name.instance.is_none() => name.service == fmri.service,
                Entity::Service(name) => name == fmri,
                Entity::File(_) => false,
            })
        };
        let relies = |other: &Fmri| {
            let vertex = &self.vertices[other];
            let mut groups = vertex.config.dependencies.iter();
            other != fmri
                && (vertex.state.is_running() || vertex.is_busy())
                && groups.any(|group| counts(group) && names_it(group))
        };
        self.vertices.citing(fmri).filter(|other| relies(other)).cloned().collect()
    }

    /// Stops the dependents that an event of this class concerns.
    pub(super) fn propagate(&mut self, fmri: &Fmri, class: RestartOn) {
        let concerned = |group: &Dependency| {
            group.grouping != Grouping::ExcludeAll && group.restart_on >= class
        };
        for dependent in self.dependents(fmri, concerned) {
            self.want_stop(&dependent, StopReason::Dependency);
        }
    }

    fn start_refresh(&mut self, fmri: &Fmri) {
        if let Some(vertex) = self.vertices.get_mut(fmri) {
            vertex.refresh = false;
        }
        self.run(fmri, Method::Refresh);
    }

    fn try_start(&mut self, fmri: &Fmri, now: u64, exists: &dyn Fn(&Path) -> bool) {
        if self.satisfaction(&self.vertices[fmri], exists) != Satisfaction::Yes {
            return;
        }
        let vertex = &self.vertices[fmri];
        let is_child = vertex.config.model == Model::Child;
        if is_child && vertex.started.is_some_and(|at| now.saturating_sub(at) < CHILD_PAUSE) {
            self.later.insert(fmri.clone());
            return;
        }
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let too_old = |at: &u64| now.saturating_sub(*at) > vertex.config.failure_period;
        while vertex.faults.front().is_some_and(too_old) {
            vertex.faults.pop_front();
        }
        if !is_child && vertex.faults.len() > vertex.config.failure_count {
            self.log(fmri, "Restarting too quickly, changing state to maintenance.");
            return self.enter(fmri, State::Maintenance, "restarting_too_quickly");
        }
        vertex.started = Some(now);
        vertex.stop = None;
        self.run(fmri, Method::Start);
    }

    fn run(&mut self, fmri: &Fmri, method: Method) {
        if let Some(vertex) = self.vertices.get_mut(fmri) {
            vertex.method = Some(method);
            self.actions.push(Action::Run(fmri.clone(), method));
            self.actions.push(Action::Changed(fmri.clone()));
        }
    }
}
