//! `-s`: waits until instances are as wanted, or it is clear that they won't be (svcadm(8)).

use svc::fmri::Fmri;
use svc::host::{Host, Instance};
use svc::repo::Repo;
use svc::restarter::engine::Satisfaction;
use svc::state::State;

use crate::Error;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Running,
    Disabled,
}

/// How an instance stands to the goal.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Reached,
    Pending,
    /// It won't be reached: the exit status and the message.
    Failed(u8, String),
}

/// Another state than the wanted one is final.
const FAILED: u8 = 3;
/// An administrator is needed first.
const STUCK: u8 = 4;

/// Waits for all of `instances`, which were as in `before`; returns the exit status, [`FAILED`]
/// before [`STUCK`].
pub(crate) fn until(
    repo: &Repo,
    before: &Host,
    mut generation: u64,
    mut instances: Vec<Fmri>,
    goal: Goal,
) -> Result<u8, Error> {
    let mut code = 0;
    loop {
        let host = Host::load(repo)?;
        instances.retain(|fmri| match judge(before, &host, fmri, goal) {
            Verdict::Pending => true,
            Verdict::Reached => false,
            Verdict::Failed(status, message) => {
                eprintln!("svcadm: {message}");
                code = if code == FAILED { FAILED } else { status };
                false
            }
        });
        if instances.is_empty() {
            return Ok(code);
        }
        generation = repo.changes_since(generation, None)?.0;
    }
}

fn judge(before: &Host, host: &Host, fmri: &Fmri, goal: Goal) -> Verdict {
    let failed =
        |status, what: &str| Verdict::Failed(status, format!("Instance \"{fmri}\" {what}."));
    let Some(instance) = host.instances.get(fmri) else {
        return Verdict::Failed(FAILED, format!("No such instance \"{fmri}\"."));
    };
    match (goal, instance.is_enabled()) {
        (Goal::Running, false) => failed(FAILED, "has been disabled by another entity"),
        (Goal::Disabled, true) => failed(FAILED, "has been enabled by another entity"),
        (Goal::Disabled, false) => match instance.state() {
            Some(State::Disabled) => reached_if_stable(instance),
            None => {
                Verdict::Failed(STUCK, format!("Restarter for instance \"{fmri}\" is unavailable."))
            }
            // Disabling leaves maintenance, unless that is what came of stopping.
            Some(State::Maintenance)
                if before.instances.get(fmri).and_then(Instance::since) != instance.since() =>
            {
                failed(FAILED, "is in maintenance state")
            }
            Some(_) => Verdict::Pending,
        },
        (Goal::Running, true) => match instance.state() {
            Some(State::Online | State::Degraded) => reached_if_stable(instance),
            Some(State::Maintenance) => failed(FAILED, "is in maintenance state"),
            Some(State::Offline)
                if instance.next_state().is_none()
                    && host.satisfaction(instance) == Satisfaction::Never =>
            {
                failed(STUCK, "has unsatisfied dependencies")
            }
            _ => Verdict::Pending,
        },
    }
}

/// A method that runs may still end otherwise.
fn reached_if_stable(instance: &Instance) -> Verdict {
    match instance.next_state() {
        None => Verdict::Reached,
        next if next == instance.state() => Verdict::Reached,
        Some(_) => Verdict::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};
    use svc::value::PropType;

    fn verdict(state: &str, enabled: bool, goal: Goal) -> Verdict {
        now(Sample::default().instance("a", state, enabled), goal)
    }

    /// For an instance that is as it was.
    fn now(sample: Sample, goal: Goal) -> Verdict {
        let host = sample.host();
        judge(&host, &host, &fmri("a"), goal)
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
    fn disabling_ends_when_it_is_disabled_or_cannot() {
        assert_eq!(verdict("disabled", false, Goal::Disabled), Verdict::Reached);
        assert_eq!(verdict("online", false, Goal::Disabled), Verdict::Pending);
        assert_eq!(status(verdict("online", true, Goal::Disabled)), FAILED);
        assert_eq!(status(verdict("strange", false, Goal::Disabled)), STUCK);
        assert_eq!(verdict("maintenance", false, Goal::Disabled), Verdict::Pending);
        let after = Sample::default().instance("a", "maintenance", false).host();
        let verdict = judge(&Host::default(), &after, &fmri("a"), Goal::Disabled);
        assert_eq!(status(verdict), FAILED);
    }

    #[test]
    fn a_running_method_is_waited_for() {
        let next = |next: &str| {
            let sample = Sample::default().instance("a", "online", true);
            let sample = sample.set("a", "restarter", PropType::Astring, "next_state", next);
            now(sample, Goal::Running)
        };
        assert_eq!(next("offline"), Verdict::Pending);
        assert_eq!(next("online"), Verdict::Reached);
    }
}
