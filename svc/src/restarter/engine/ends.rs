//! What the end of a method means for its instance, and the end of its processes.

use super::vertex::{Verdict, Vertex};
use super::{ATTEMPTS, Action, Engine, Method, Model, Outcome, RestartOn, StopReason};
use crate::fmri::Fmri;
use crate::state::State;

/// What is tried again after a while.
const PENDING: &str = "retry_pending";
/// Why those are offline whom their dependencies have let start and stopped too often.
const UNSTEADY: &str = "dependencies_unsteady";
/// A child that fails more often within a second is started once a second.
const FAST_FAILURES: usize = 5;
/// What its dependencies let start and have stopped again more often, within a second each time, is
/// started once a second: services that exclude what they rely on would do nothing else.
const UNDONE: u32 = 5;
pub(super) const SECOND: u64 = 1000;

impl Engine {
    /// What had been running does not any more, or had a fault.
    pub(super) fn ended(&mut self, fmri: &Fmri, reason: StopReason) {
        if !self.is_watched(fmri) {
            return;
        }
        let now = self.now;
        let Some(vertex) = self.change(fmri) else { return };
        vertex.stop = Some(reason);
        let ran_for = now.saturating_sub(vertex.started.unwrap_or(0));
        if vertex.config.retry.is_some_and(|backoff| ran_for > backoff.limit) {
            vertex.delay = 0;
        }
        if vertex.config.model != Model::Child {
            vertex.faults.push_back(now);
            return;
        }
        if ran_for >= SECOND {
            vertex.throttled = false;
        }
        if reason == StopReason::ExitedBadly {
            vertex.faults.push_back(now);
            if vertex.faults.len() > FAST_FAILURES + 1 {
                vertex.faults.pop_front();
            }
            let oldest = vertex.faults.front().filter(|_| vertex.faults.len() > FAST_FAILURES);
            vertex.throttled |= oldest.is_some_and(|at| now.saturating_sub(*at) < SECOND);
        }
    }

    pub(super) fn done(&mut self, fmri: &Fmri, method: Method, outcome: Outcome) {
        let Some(vertex) = self.change(fmri) else { return };
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
        match outcome {
            Outcome::Ok | Outcome::NoDaemon | Outcome::Degraded => {
                vertex.failures = None;
                let degraded = outcome == Outcome::Degraded;
                self.enter(fmri, if degraded { State::Degraded } else { State::Online }, "none");
            }
            Outcome::TempDisable => {
                vertex.config.enabled = false;
                self.actions.push(Action::TempDisable(fmri.clone()));
                self.kill(fmri, Verdict::Retry);
            }
            Outcome::Fatal => self.give_up(fmri, "method_failed"),
            Outcome::Failed if vertex.config.retry.is_some() => self.kill(fmri, Verdict::Later),
            Outcome::Failed if self.may_retry(fmri, Method::Start) => {
                self.kill(fmri, Verdict::Retry);
            }
            Outcome::Failed => self.give_up(fmri, "fault_threshold_reached"),
        }
    }

    fn stopped(&mut self, fmri: &Fmri, outcome: Outcome) {
        match outcome {
            Outcome::Fatal => self.give_up(fmri, "stop_method_failed"),
            // Still running, and still to be stopped: it is tried again.
            Outcome::Failed if self.may_retry(fmri, Method::Stop) => {}
            Outcome::Failed => self.give_up(fmri, "stop_method_failed"),
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
            vertex.want_stop(StopReason::Failed);
        }
    }

    /// Counts a failure of a method; returns whether it may be tried again.
    fn may_retry(&mut self, fmri: &Fmri, method: Method) -> bool {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return false };
        let failures = 1 + vertex.failures_of(method);
        vertex.failures = Some((method, failures));
        failures < ATTEMPTS
    }

    /// Kills what is left; then it goes to maintenance, unless it is to be tried for ever.
    fn give_up(&mut self, fmri: &Fmri, why: &'static str) {
        let is_tried_for_ever = self.vertices[fmri].config.retry.is_some();
        self.kill(fmri, if is_tried_for_ever { Verdict::Later } else { Verdict::GiveUp(why) });
    }

    fn kill(&mut self, fmri: &Fmri, verdict: Verdict) {
        if let Some(vertex) = self.change(fmri) {
            vertex.dying = Some(verdict);
            self.actions.push(Action::Kill(fmri.clone()));
        }
    }

    /// The processes that were to be killed are gone.
    pub(super) fn gone(&mut self, fmri: &Fmri) {
        if let Some(verdict) = self.change(fmri).and_then(|vertex| vertex.dying.take()) {
            self.land(fmri, verdict);
        }
    }

    /// An instance without processes goes to its next state.
    fn land(&mut self, fmri: &Fmri, verdict: Verdict) {
        let Some(vertex) = self.change(fmri) else { return };
        let reason = vertex.stop.take();
        let ran = vertex.state.is_running();
        let is_wanted = vertex.is_wanted();
        let is_tried_for_ever = vertex.config.retry.is_some();
        vertex.refresh = false;
        if ran {
            vertex.failures = None;
        }
        if vertex.deleted {
            return self.forget(fmri);
        }
        match (verdict, reason) {
            (Verdict::GiveUp(why), _) if ran || is_wanted => {
                if ran {
                    self.propagate(fmri, RestartOn::Error);
                }
                self.enter(fmri, State::Maintenance, why);
            }
            (_, Some(StopReason::Maintenance(by) | StopReason::Abandon(by))) => {
                self.enter(fmri, State::Maintenance, by.name());
            }
            (_, Some(StopReason::Failed)) if !is_tried_for_ever => {
                self.enter(fmri, State::Maintenance, "method_failed");
            }
            _ if !is_wanted => self.initialize(fmri),
            (verdict, reason) => self.land_offline(fmri, verdict, reason.filter(|_| ran)),
        }
    }

    /// It is to be started again, at once or after a while.
    fn land_offline(&mut self, fmri: &Fmri, verdict: Verdict, reason: Option<StopReason>) {
        let now = self.now;
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let undone = vertex.count_undone(reason, now);
        if reason.is_some_and(StopReason::clears_history) {
            vertex.forget_failures();
        }
        vertex.undone = undone;
        let is_child = vertex.config.model == Model::Child;
        let has_failed = match reason {
            Some(StopReason::Exited) if is_child => false,
            Some(reason) => reason.is_fault() || reason == StopReason::Failed,
            None => false,
        };
        let mut auxiliary = "none";
        match vertex.config.retry {
            Some(backoff) if has_failed || verdict == Verdict::Later => {
                vertex.delay = (vertex.delay * 2).max(backoff.first).min(backoff.limit);
                vertex.not_before = Some(now + vertex.delay);
                vertex.faults.clear();
                auxiliary = PENDING;
                let seconds = vertex.delay.div_ceil(SECOND);
                self.log(fmri, &format!("Failed.  Trying again in {seconds} seconds."));
            }
            _ if vertex.undone > UNDONE => {
                vertex.not_before = Some(now + SECOND);
                auxiliary = UNSTEADY;
                let line =
                    "Stopped too often because of dependencies.  Starting again in a second.";
                match undone == UNDONE + 1 {
                    true => self.actions.push(Action::Warn(fmri.clone(), line.to_owned())),
                    false => self.log(fmri, line),
                }
            }
            None if vertex.throttled => {
                vertex.not_before = vertex.started.map(|at| at + SECOND);
            }
            _ => {}
        }
        self.enter(fmri, State::Offline, auxiliary);
        self.check_description(fmri);
    }
}

impl Vertex {
    /// How often it was stopped because of others in a row, this time included, within a second
    /// after it had started.
    fn count_undone(&self, reason: Option<StopReason>, now: u64) -> u32 {
        use StopReason::{Dependency, DependencyFault, Withdrawn};
        let is_of_others = matches!(reason, Some(Dependency | DependencyFault | Withdrawn));
        let is_soon = self.started.is_some_and(|at| now.saturating_sub(at) < SECOND);
        if is_of_others && is_soon { self.undone.saturating_add(1) } else { 0 }
    }
}
