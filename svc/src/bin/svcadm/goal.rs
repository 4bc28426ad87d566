//! What `-s` waits for, and how an instance stands to it (svcadm(8)).

use svc::fmri::Fmri;
use svc::host::{Host, Instance, RESTARTER};
use svc::restarter::engine::Satisfaction;
use svc::state::State;

use crate::options::Verb;

/// What is waited for, when the restarter has dealt with what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// That it is enabled and runs.
    Running,
    /// That it is disabled.
    Disabled,
    /// That it doesn't run, enabled or not.
    Stopped,
    /// That it is in this state.
    Marked(State),
    /// That no method runs, and that it is not in maintenance unless it was.
    AtRest { was_in_maintenance: bool },
}

/// An instance that is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) fmri: Fmri,
    pub(crate) goal: Goal,
    /// The instance that the request was written to, which the restarter must have dealt with.
    pub(crate) asked: Fmri,
}

/// How an instance stands to the goal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Reached,
    Pending,
    /// It won't be reached: the exit status and the message.
    Failed(u8, String),
}

/// Another state than the wanted one is final.
pub(crate) const FAILED: u8 = 3;
/// An administrator is needed first.
pub(crate) const STUCK: u8 = 4;

/// What to wait for after `verb` on an instance that was as `before`.
pub(crate) fn of(verb: &Verb, before: &Instance, fmri: Fmri) -> Awaited {
    let was_in_maintenance = before.state() == Some(State::Maintenance);
    let goal = match verb {
        Verb::Enable { .. } => Goal::Running,
        Verb::Disable { .. } => Goal::Disabled,
        Verb::Mark(mark) => Goal::Marked(mark.state()),
        Verb::Restart { .. } if before.state().is_some_and(State::is_running) => Goal::Running,
        Verb::Clear if before.is_enabled() => Goal::Running,
        Verb::Clear => Goal::Disabled,
        // What doesn't run isn't restarted.
        Verb::Restart { .. } | Verb::Refresh | Verb::Milestone { .. } => {
            Goal::AtRest { was_in_maintenance }
        }
    };
    Awaited { asked: fmri.clone(), fmri, goal }
}

/// How `fmri` stands to `goal`.
pub(crate) fn judge(host: &Host, fmri: &Fmri, goal: Goal) -> Verdict {
    let failed =
        |status, what: &str| Verdict::Failed(status, format!("Instance \"{fmri}\" {what}."));
    let Some(instance) = host.instances.get(fmri) else {
        return Verdict::Failed(FAILED, format!("No such instance \"{fmri}\"."));
    };
    let Some(state) = instance.state() else {
        return Verdict::Failed(STUCK, unavailable(fmri));
    };
    if state == State::Uninitialized && !has_restarter(host, instance) {
        return Verdict::Failed(STUCK, unavailable(fmri));
    }
    match goal {
        Goal::Running if !instance.is_enabled() => {
            return failed(FAILED, "has been disabled by another entity");
        }
        Goal::Disabled if instance.is_enabled() => {
            return failed(FAILED, "has been enabled by another entity");
        }
        _ => {}
    }
    let is_reached = match goal {
        Goal::Running => state.is_running(),
        Goal::Disabled => state == State::Disabled,
        Goal::Stopped => matches!(state, State::Disabled | State::Maintenance),
        Goal::Marked(wanted) => state == wanted,
        // A refresh method runs within a state.
        Goal::AtRest { .. } if instance.next_state().is_some() => return Verdict::Pending,
        Goal::AtRest { was_in_maintenance } => was_in_maintenance || state != State::Maintenance,
    };
    if !is_stable(instance) {
        // A method that runs may still end otherwise.
        return Verdict::Pending;
    }
    match (goal, state) {
        _ if is_reached => Verdict::Reached,
        (_, State::Maintenance) => failed(FAILED, "is in maintenance state"),
        (Goal::Marked(_), _) => failed(FAILED, &format!("is in the {state} state")),
        (Goal::Running, State::Offline) if host.satisfaction(instance) == Satisfaction::Never => {
            failed(STUCK, "has unsatisfied dependencies")
        }
        _ => Verdict::Pending,
    }
}

/// Whether the restarter is there, or may be soon.
fn has_restarter(host: &Host, instance: &Instance) -> bool {
    let restarter = Fmri::parse(instance.restarter()).ok();
    let Some(restarter) = restarter.and_then(|fmri| host.instances.get(&fmri)) else {
        return instance.restarter() == RESTARTER;
    };
    match restarter.state() {
        Some(State::Disabled) => restarter.is_enabled(),
        Some(State::Offline) => host.satisfaction(restarter) != Satisfaction::Never,
        state => state != Some(State::Maintenance),
    }
}

/// Why nothing is to be expected of an instance that no restarter looks after.
pub(crate) fn unavailable(fmri: &Fmri) -> String {
    format!("Restarter for instance \"{fmri}\" is unavailable.")
}

/// Whether it is not on its way to another state.
fn is_stable(instance: &Instance) -> bool {
    instance.next_state().is_none() || instance.next_state() == instance.state()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};
    use svc::value::PropType;

    fn verdict(state: &str, enabled: bool, goal: Goal) -> Verdict {
        now(Sample::default().instance("a", state, enabled), goal)
    }

    fn now(sample: Sample, goal: Goal) -> Verdict {
        judge(&sample.host(), &fmri("a"), goal)
    }

    fn status(verdict: Verdict) -> u8 {
        match verdict {
            Verdict::Failed(status, _) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn enabling_ends_when_it_runs_or_cannot() {
        assert_eq!(verdict("online", true, Goal::Running), Verdict::Reached);
        assert_eq!(verdict("degraded", true, Goal::Running), Verdict::Reached);
        assert_eq!(verdict("disabled", true, Goal::Running), Verdict::Pending);
        assert_eq!(verdict("offline", true, Goal::Running), Verdict::Pending);
        assert_eq!(status(verdict("maintenance", true, Goal::Running)), FAILED);
        assert_eq!(status(verdict("disabled", false, Goal::Running)), FAILED);
        let stuck =
            Sample::default().instance("a", "offline", true).needs("a", "require_all", "svc:/b");
        assert_eq!(status(now(stuck, Goal::Running)), STUCK);
    }

    #[test]
    fn an_instance_whose_restarter_is_away_is_not_waited_for() {
        let with = |state: &str, enabled: bool| {
            let sample = Sample::default().instance("a", "uninitialized", true);
            let sample = sample.set("a", "general", PropType::Fmri, "restarter", "svc:/r:default");
            now(sample.instance("r", state, enabled), Goal::Running)
        };
        for (state, enabled) in [("disabled", false), ("maintenance", true)] {
            assert_eq!(status(with(state, enabled)), STUCK, "{state}");
        }
        for (state, enabled) in [("disabled", true), ("offline", true), ("online", true)] {
            assert_eq!(with(state, enabled), Verdict::Pending, "{state}");
        }
    }

    #[test]
    fn disabling_ends_when_it_is_disabled_or_cannot() {
        assert_eq!(verdict("disabled", false, Goal::Disabled), Verdict::Reached);
        assert_eq!(verdict("online", false, Goal::Disabled), Verdict::Pending);
        assert_eq!(status(verdict("online", true, Goal::Disabled)), FAILED);
        assert_eq!(status(verdict("strange", false, Goal::Disabled)), STUCK);
        assert_eq!(status(verdict("maintenance", false, Goal::Disabled)), FAILED);
        assert_eq!(verdict("maintenance", true, Goal::Stopped), Verdict::Reached);
        assert_eq!(verdict("online", true, Goal::Stopped), Verdict::Pending);
    }

    #[test]
    fn marking_ends_in_the_state_or_fails() {
        let maintenance = Goal::Marked(State::Maintenance);
        assert_eq!(verdict("maintenance", true, maintenance), Verdict::Reached);
        assert_eq!(status(verdict("online", true, maintenance)), FAILED);
        assert_eq!(verdict("degraded", true, Goal::Marked(State::Degraded)), Verdict::Reached);
    }

    #[test]
    fn a_running_method_is_waited_for() {
        let next = |next: &str, goal| {
            let sample = Sample::default().instance("a", "online", true);
            now(sample.set("a", "restarter", PropType::Astring, "next_state", next), goal)
        };
        let at_rest = Goal::AtRest { was_in_maintenance: false };
        assert_eq!(next("offline", Goal::Running), Verdict::Pending);
        assert_eq!(next("online", Goal::Running), Verdict::Reached);
        assert_eq!(next("online", at_rest), Verdict::Pending, "its refresh method runs");
        assert_eq!(next("none", at_rest), Verdict::Reached);
        assert_eq!(status(verdict("maintenance", true, at_rest)), FAILED);
        let goal = Goal::AtRest { was_in_maintenance: true };
        assert_eq!(verdict("maintenance", true, goal), Verdict::Reached);
    }

    #[test]
    fn only_what_runs_is_waited_for_to_be_restarted() {
        let goal = |state: &str| {
            let host = Sample::default().instance("a", state, true).host();
            let restart = Verb::Restart { dump: false };
            of(&restart, &host.instances[&fmri("a")], fmri("a")).goal
        };
        assert_eq!(goal("online"), Goal::Running);
        assert_eq!(goal("offline"), Goal::AtRest { was_in_maintenance: false });
        assert_eq!(goal("maintenance"), Goal::AtRest { was_in_maintenance: true });
    }
}
