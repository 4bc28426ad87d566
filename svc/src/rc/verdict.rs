//! How an instance stands to what a verb wants of it. Pure.

use std::time::SystemTime;

use crate::fmri::Fmri;
use crate::host::needs::Obstacle;
use crate::host::{Host, Instance};
use crate::restarter::engine::Satisfaction;
use crate::state::State;

/// What a verb waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// It runs.
    Up,
    /// It runs, and has been stopped since it was in its state since then.
    UpAgain(Option<SystemTime>),
    /// It doesn't run, and won't.
    Down,
}

/// How an instance stands to the goal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Reached,
    /// A method runs, or is about to.
    Pending,
    /// It waits for something else, as the message says, and that may take for ever.
    Blocked(String),
    /// It won't get there.
    Failed(String),
}

/// Whether an instance runs and no method is about to change that.
pub(super) fn is_up(instance: &Instance) -> bool {
    instance.state().is_some_and(State::is_running) && is_stable(instance)
}

fn is_stable(instance: &Instance) -> bool {
    instance.next_state().is_none_or(|next| Some(next) == instance.state())
}

/// Judges `fmri`, which was as in `before`, by what `host` says of it now.
pub(super) fn judge(before: &Instance, host: &Host, fmri: &Fmri, goal: Goal) -> Verdict {
    let Some(instance) = host.instances.get(fmri) else {
        return Verdict::Failed(format!("{fmri} is no more"));
    };
    let is_new = instance.since() != before.since();
    let stuck = instance.state() == Some(State::Maintenance) && is_stable(instance);
    if goal == Goal::Down {
        return match instance.state() {
            _ if instance.is_enabled() => Verdict::Failed(format!("{fmri} was enabled again")),
            Some(State::Disabled) if is_stable(instance) => Verdict::Reached,
            _ if stuck && is_new => Verdict::Failed(format!("{fmri} is in maintenance")),
            _ => Verdict::Pending,
        };
    }
    if !instance.is_enabled() {
        let why = instance.comment().map(|comment| format!(": {comment}")).unwrap_or_default();
        return Verdict::Failed(format!("{fmri} is disabled{why}"));
    }
    let begun_anew = !matches!(goal, Goal::UpAgain(since) if since == instance.since());
    match instance.state() {
        _ if is_up(instance) && begun_anew => Verdict::Reached,
        // What is being cleared still shows until the restarter has seen it.
        _ if stuck && (is_new || before.state() != Some(State::Maintenance)) => {
            Verdict::Failed(format!("{fmri} is in maintenance"))
        }
        Some(State::Offline) if instance.next_state().is_none() => waits(host, instance),
        _ => Verdict::Pending,
    }
}

/// Judges an instance that is offline while no method runs.
fn waits(host: &Host, instance: &Instance) -> Verdict {
    let satisfaction = host.satisfaction(instance);
    let Some(obstacle) = host.obstacles(instance).into_iter().next() else {
        return Verdict::Pending;
    };
    let state = |fmri| {
        let state = host.instances.get(fmri).and_then(Instance::state);
        state.unwrap_or(State::Uninitialized)
    };
    let why = match obstacle {
        Obstacle::Stopped(other) => format!("{other} is {}", state(other)),
        Obstacle::Running(other) => format!("{other} is {}, and excludes it", state(other)),
        Obstacle::Absent(other) => format!("{other} doesn't exist"),
        Obstacle::NoFile(path) => format!("{} doesn't exist", path.display()),
        Obstacle::File(path) => format!("{} exists", path.display()),
    };
    match satisfaction {
        Satisfaction::Yes => Verdict::Pending,
        Satisfaction::NotYet => Verdict::Blocked(why),
        Satisfaction::Never => Verdict::Failed(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sample::{Sample, fmri};

    fn verdict(sample: Sample, goal: Goal) -> Verdict {
        let host = sample.host();
        judge(&host.instances[&fmri("a")], &host, &fmri("a"), goal)
    }

    fn a(state: &str, enabled: bool) -> Sample {
        Sample::default().instance("a", state, enabled)
    }

    #[test]
    fn a_start_ends_when_it_runs_or_cannot() {
        assert_eq!(verdict(a("online", true), Goal::Up), Verdict::Reached);
        assert_eq!(verdict(a("degraded", true), Goal::Up), Verdict::Reached);
        assert_eq!(verdict(a("disabled", true), Goal::Up), Verdict::Pending);
        assert_eq!(verdict(a("offline", true), Goal::Up), Verdict::Pending);
        let disabled = Verdict::Failed("svc:/a:default is disabled".to_owned());
        assert_eq!(verdict(a("disabled", false), Goal::Up), disabled);
        let again = Goal::UpAgain(a("online", true).host().instances[&fmri("a")].since());
        assert_eq!(verdict(a("online", true), again), Verdict::Pending);
    }

    #[test]
    fn maintenance_counts_unless_it_is_being_cleared() {
        assert_eq!(verdict(a("maintenance", true), Goal::Up), Verdict::Pending);
        let before = a("disabled", true).host();
        let after = a("maintenance", true).host();
        let verdict = judge(&before.instances[&fmri("a")], &after, &fmri("a"), Goal::Up);
        assert_eq!(verdict, Verdict::Failed("svc:/a:default is in maintenance".to_owned()));
    }

    #[test]
    fn what_it_waits_for_is_named() {
        let needs = |sample: Sample| sample.needs("a", "require_all", "svc:/b");
        let sample = needs(a("offline", true).instance("b", "disabled", false));
        let why = "svc:/b:default is disabled".to_owned();
        assert_eq!(verdict(sample, Goal::Up), Verdict::Failed(why));
        let sample = needs(a("offline", true).instance("b", "offline", true));
        let why = "svc:/b:default is offline".to_owned();
        assert_eq!(verdict(sample, Goal::Up), Verdict::Blocked(why));
        let why = "svc:/b doesn't exist".to_owned();
        assert_eq!(verdict(needs(a("offline", true)), Goal::Up), Verdict::Failed(why));
    }

    #[test]
    fn a_stop_ends_when_it_is_disabled() {
        assert_eq!(verdict(a("online", false), Goal::Down), Verdict::Pending);
        assert_eq!(verdict(a("disabled", false), Goal::Down), Verdict::Reached);
        let again = Verdict::Failed("svc:/a:default was enabled again".to_owned());
        assert_eq!(verdict(a("online", true), Goal::Down), again);
    }
}
