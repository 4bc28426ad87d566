//! What the repository says and administrators ask for.

use super::vertex::{Verdict, Vertex};
use super::{
    Action, Config, Engine, Look, Method, Milestone, Order, Requester, RestartOn, StopReason,
};
use crate::fmri::Fmri;
use crate::state::State;

impl Engine {
    pub(super) fn configure(&mut self, fmri: Fmri, config: Config) {
        // Inside of a milestone is who is depended on; without one, nobody need be looked for.
        let is_unknown = self.milestone != Milestone::All;
        self.is_redrawn &= !is_unknown;
        let vertex = self.vertices.get_mut(&fmri);
        if let Some(vertex) = vertex.filter(|vertex| vertex.config.manager != config.manager) {
            vertex.heir = Some(Box::new(config));
            return self.delete(&fmri);
        }
        if let Some(vertex) = self.vertices.get_mut(&fmri) {
            vertex.deleted = false;
            vertex.heir = None;
            self.describe(&fmri, config);
            self.apply_enabled(&fmri);
        } else {
            let mut vertex = Vertex::new(config);
            vertex.barred = self.shutdown;
            self.insert(&fmri, vertex);
            self.add_to_restarter(&fmri);
            self.actions.push(Action::Changed(fmri.clone()));
            if is_unknown && !self.shutdown {
                return;
            }
            self.initialize(&fmri);
        }
        self.check_description(&fmri);
    }

    /// Takes over where an earlier restarter was interrupted. What it had begun is begun anew.
    pub(super) fn adopt(&mut self, fmri: Fmri, config: Config, look: Look) {
        let mut vertex = Vertex::new(config);
        (vertex.state, vertex.auxiliary) = (look.state, look.auxiliary);
        match look.next {
            _ if vertex.delegate.is_some() => {}
            Some(State::Maintenance) if look.state.is_running() => {
                vertex.stop = Some(StopReason::Maintenance(Requester::Administrator));
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
        self.insert(&fmri, vertex);
        self.actions.push(Action::Changed(fmri));
    }

    /// From uninitialized to where it belongs.
    pub(super) fn initialize(&mut self, fmri: &Fmri) {
        if self.delegate(fmri).is_some() {
            self.change(fmri);
            return;
        }
        let is_wanted = self.vertices[fmri].is_wanted();
        self.log(fmri, if is_wanted { "Enabled." } else { "Disabled." });
        self.enter(fmri, if is_wanted { State::Offline } else { State::Disabled }, "none");
    }

    pub(super) fn apply_enabled(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.change(fmri) else { return };
        match (vertex.is_wanted(), vertex.state) {
            (true, State::Disabled) => self.initialize(fmri),
            // The restarter is told when it is looked at.
            (false, State::Offline | State::Maintenance)
                if vertex.delegate.is_some() && !vertex.is_active() => {}
            (false, State::Offline) if !vertex.is_busy() => {
                vertex.forget_failures();
                self.initialize(fmri);
            }
            (false, State::Maintenance) if !vertex.is_busy() => {
                vertex.forget_failures();
                self.log(fmri, "Leaving maintenance because disable requested.");
                self.enter(fmri, State::Disabled, "none");
            }
            (false, State::Offline | State::Online | State::Degraded) => {
                vertex.forget_failures();
                vertex.want_stop(StopReason::Disable);
            }
            // Disabled and enabled again before anything was done about it.
            (true, _)
                if vertex.stop == Some(StopReason::Disable)
                    && vertex.method != Some(Method::Stop) =>
            {
                vertex.stop = None;
                self.wait_no_more(fmri);
            }
            _ => {}
        }
    }

    pub(super) fn delete_for_good(&mut self, fmri: &Fmri) {
        if let Some(vertex) = self.vertices.get_mut(fmri) {
            vertex.heir = None;
        }
        self.delete(fmri);
    }

    /// Ends an instance as it is now, as soon as it has stopped.
    fn delete(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.change(fmri) else { return };
        if vertex.is_active() && Self::is_reachable(vertex) {
            vertex.config.enabled = false;
            vertex.deleted = true;
            vertex.want_stop(StopReason::Disable);
        } else {
            self.forget(fmri);
        }
    }

    pub(super) fn restart(&mut self, fmri: &Fmri) {
        if let Some(vertex) = self.change(fmri)
            && vertex.state.is_running()
        {
            vertex.forget_failures();
            vertex.want_stop(StopReason::Restart);
        }
    }

    pub(super) fn dump(&mut self, fmri: &Fmri) {
        if self.is_watched(fmri) {
            self.actions.push(Action::Dump(fmri.clone()));
        }
    }

    pub(super) fn refresh(&mut self, fmri: &Fmri) {
        self.log(fmri, "Rereading configuration.");
        let is_ours = !self.ask_restarter(fmri, Order::AdminRefresh);
        let Some(vertex) = self.change(fmri) else { return };
        if !vertex.state.is_running() {
            return;
        }
        if vertex.config.has_refresh && is_ours {
            vertex.refresh = true;
        } else {
            if is_ours {
                self.log(fmri, "No 'refresh' method defined.  Treating as :true.");
            }
            self.propagate(fmri, RestartOn::Refresh);
        }
    }

    pub(super) fn clear(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.change(fmri) else { return };
        let is_delegated = vertex.delegate.is_some();
        match vertex.state {
            State::Maintenance if is_delegated => {
                vertex.unchecked = true;
                self.order(fmri, Order::AdminMaintOff);
            }
            State::Degraded if is_delegated => self.order(fmri, Order::AdminRestore),
            State::Maintenance if !vertex.is_busy() => {
                vertex.forget_failures();
                vertex.unchecked = true;
                self.log(fmri, "Leaving maintenance because clear requested.");
                self.initialize(fmri);
                self.check_description(fmri);
            }
            State::Degraded => self.enter(fmri, State::Online, "none"),
            _ => {}
        }
    }

    pub(super) fn mark_degraded(&mut self, fmri: &Fmri, by: Requester) {
        let is_online = |vertex: &Vertex| vertex.state == State::Online;
        if self.vertices.get(fmri).is_some_and(is_online)
            && !self.ask_restarter(fmri, Order::AdminDegraded)
        {
            self.enter(fmri, State::Degraded, by.name());
        }
    }

    /// What runs is stopped first with its method, or left to itself if `reason` says so: then a stop
    /// method that runs is broken off, which may be one that never ends.
    pub(super) fn mark_maintenance(&mut self, fmri: &Fmri, reason: StopReason, by: Requester) {
        let Some(vertex) = self.change(fmri) else { return };
        let is_ours = vertex.delegate.is_none();
        if vertex.is_active() {
            let is_stopping = vertex.method == Some(Method::Stop);
            if is_ours && is_stopping && matches!(reason, StopReason::Abandon(_)) {
                vertex.method = None;
                self.actions.push(Action::BreakOff(fmri.clone()));
                return self.abandon(fmri, by);
            }
            vertex.stop = Some(reason);
            self.wait_no_more(fmri);
        } else if vertex.state != State::Maintenance {
            self.order_maintenance(fmri, reason, by);
        }
    }

    /// Goes to maintenance, and leaves what runs to itself.
    pub(super) fn abandon(&mut self, fmri: &Fmri, by: Requester) {
        if let Some(vertex) = self.vertices.get_mut(fmri) {
            (vertex.stop, vertex.refresh, vertex.failures) = (None, false, None);
        }
        self.actions.push(Action::Abandon(fmri.clone()));
        self.enter(fmri, State::Maintenance, by.name());
    }

    pub(super) fn shut_down(&mut self) {
        self.shutdown = true;
        for fmri in self.vertices.keys().cloned().collect::<Vec<_>>() {
            let Some(vertex) = self.vertices.get_mut(&fmri) else { continue };
            vertex.barred = true;
            if vertex.state != State::Maintenance {
                self.apply_enabled(&fmri);
            }
        }
    }
}
