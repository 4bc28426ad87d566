//! What the end of a method means for its instance, and the end of its processes.

use super::{ATTEMPTS, Action, Engine, Method, Outcome, RestartOn, StopReason, Verdict};
use crate::fmri::Fmri;
use crate::state::State;

impl Engine {
    pub(super) fn done(&mut self, fmri: &Fmri, method: Method, outcome: Outcome) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if vertex.method != Some(method) {
            return;
        }
        vertex.method = None;
        self.actions.push(Action::Changed(fmri.clone()));
        match method {
            Method::Start => self.started(fmri, outcome),
            Method::Stop => self.stopped(fmri, outcome),
            Method::Refresh => self.refreshed(fmri, outcome),
        }
    }

    fn started(&mut self, fmri: &Fmri, outcome: Outcome) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let verdict = match outcome {
            Outcome::Ok | Outcome::NoDaemon | Outcome::Degraded => {
                vertex.failures = None;
                let degraded = outcome == Outcome::Degraded;
                let state = if degraded { State::Degraded } else { State::Online };
                return self.enter(fmri, state, "none");
            }
            Outcome::TempDisable => {
                vertex.config.enabled = false;
                self.actions.push(Action::TempDisable(fmri.clone()));
                Verdict::Retry
            }
            Outcome::Fatal => Verdict::GiveUp("method_failed"),
            Outcome::Failed if self.may_retry(fmri, Method::Start) => Verdict::Retry,
            Outcome::Failed => Verdict::GiveUp("fault_threshold_reached"),
        };
        self.kill(fmri, verdict);
    }

    fn stopped(&mut self, fmri: &Fmri, outcome: Outcome) {
        match outcome {
            Outcome::Fatal => self.kill(fmri, Verdict::GiveUp("stop_method_failed")),
            // Still running, and still to be stopped: it is tried again.
            Outcome::Failed if self.may_retry(fmri, Method::Stop) => {}
            Outcome::Failed => self.kill(fmri, Verdict::GiveUp("stop_method_failed")),
            _ => self.land(fmri, Verdict::Retry),
        }
    }

    fn refreshed(&mut self, fmri: &Fmri, outcome: Outcome) {
        if !matches!(outcome, Outcome::Failed | Outcome::Fatal) {
            if let Some(vertex) = self.vertices.get_mut(fmri) {
                vertex.failures = None;
            }
            return self.propagate(fmri, RestartOn::Refresh);
        }
        let retry = outcome == Outcome::Failed && self.may_retry(fmri, Method::Refresh);
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        if retry {
            vertex.refresh = true;
        } else {
            vertex.stop.get_or_insert(StopReason::Failed);
        }
    }

    /// Counts a failure of a method; returns whether it may be tried again.
    fn may_retry(&mut self, fmri: &Fmri, method: Method) -> bool {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return false };
        let failures = 1 + vertex.failures_of(method);
        vertex.failures = Some((method, failures));
        failures < ATTEMPTS
    }

    fn kill(&mut self, fmri: &Fmri, verdict: Verdict) {
        if let Some(vertex) = self.vertices.get_mut(fmri) {
            vertex.dying = Some(verdict);
            self.actions.push(Action::Kill(fmri.clone()));
        }
    }

    /// The processes that were to be killed are gone.
    pub(super) fn gone(&mut self, fmri: &Fmri) {
        let verdict = self.vertices.get_mut(fmri).and_then(|vertex| vertex.dying.take());
        if let Some(verdict) = verdict {
            self.land(fmri, verdict);
        }
    }

    /// An instance without processes goes to its next state.
    fn land(&mut self, fmri: &Fmri, verdict: Verdict) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let reason = vertex.stop.take();
        let ran = vertex.state.is_running();
        vertex.refresh = false;
        if ran {
            vertex.failures = None;
        }
        if vertex.deleted {
            self.vertices.remove(fmri);
            return;
        }
        match (verdict, reason) {
            (Verdict::GiveUp(why), _) if ran || vertex.config.enabled => {
                if ran {
                    self.propagate(fmri, RestartOn::Error);
                }
                self.enter(fmri, State::Maintenance, why);
            }
            (_, Some(StopReason::Maintenance)) => {
                self.enter(fmri, State::Maintenance, "administrative_request");
            }
            (_, Some(StopReason::Failed)) => self.enter(fmri, State::Maintenance, "method_failed"),
            _ if !vertex.config.enabled => self.initialize(fmri),
            (_, reason) => {
                if ran && !reason.is_some_and(StopReason::is_fault) {
                    vertex.forget_failures();
                }
                self.enter(fmri, State::Offline, "none");
                self.check_description(fmri);
            }
        }
    }
}
