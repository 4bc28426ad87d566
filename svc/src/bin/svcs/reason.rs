//! Why an instance doesn't run: the sentence and the number of its message (svcs(1)).

use std::ffi::CStr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::libc;
use svc::fmri::Fmri;
use svc::host::{Host, Instance, RESTARTER};
use svc::state::State;

/// A sentence, and what follows `SMF-8000-`.
pub type Reason = (String, &'static str);

fn say(text: impl Into<String>, code: &'static str) -> Reason {
    (text.into(), code)
}

/// Why `instance` is in its state, if the reason is in itself. An offline instance has none of its
/// own unless a method runs.
pub fn of(host: &Host, instance: &Instance) -> Option<Reason> {
    let next = instance.next_state();
    let reason = match instance.state() {
        None => match instance.first("restarter", "state") {
            Some(other) => say(format!("Not in valid state ({other})."), "N3"),
            None => uninitialized(host, instance),
        },
        Some(State::Uninitialized) => uninitialized(host, instance),
        Some(State::Online) => return None,
        Some(State::Offline) if next == Some(State::Online) => {
            say("Start method is running.", "C4")
        }
        Some(_) if next.is_some() => {
            let next = next.map_or("none", State::name);
            say(format!("Transitioning to state {next}."), "PH")
        }
        Some(State::Offline) if instance.auxiliary() == "retry_pending" => {
            say("Failed, and is tried again after a while.", "8Q")
        }
        Some(State::Offline) if instance.auxiliary() == "dependencies_unsteady" => {
            say("Stopped by its dependencies too often, and is started again in a second.", "GE")
        }
        Some(State::Offline) => return None,
        Some(State::Degraded) if instance.auxiliary() == "administrative_request" => {
            say("Degraded by an administrator.", "DX")
        }
        Some(State::Degraded) => unexplained(instance),
        Some(State::Maintenance) => maintenance(instance),
        Some(State::Disabled) => disabled(host, instance),
    };
    Some(reason)
}

fn uninitialized(host: &Host, instance: &Instance) -> Reason {
    let name = instance.restarter();
    restarter(host, instance).unwrap_or_else(|| {
        say(format!("Restarter {name} has not initialized service state."), "4D")
    })
}

/// What is wrong with the restarter. The master restarter need not be in the repository.
pub fn restarter(host: &Host, instance: &Instance) -> Option<Reason> {
    let name = instance.restarter();
    let Ok(fmri) = Fmri::parse(name) else {
        return Some(say(format!("Restarter \"{name}\" is invalid."), "2A"));
    };
    match host.instances.get(&fmri) {
        None if name == RESTARTER => None,
        None => Some(say(format!("Restarter \"{name}\" does not exist."), "3P")),
        Some(restarter) if restarter.state().is_some_and(State::is_running) => None,
        Some(_) => Some(say(format!("Restarter {name} is not running."), "5H")),
    }
}

fn unexplained(instance: &Instance) -> Reason {
    say(format!("Restarter {} gave no explanation.", instance.restarter()), "9C")
}

fn disabled(host: &Host, instance: &Instance) -> Reason {
    if instance.is_enabled() {
        return match host.milestone() {
            Some("none") => say("Milestone none lets nothing run.", "1S"),
            Some(name) => say(format!("Milestone {name} does not depend on it."), "1S"),
            None => say("Unknown.", "AR"),
        };
    }
    if instance.gave_up() {
        let why = instance.comment().map_or(".".to_owned(), |comment| format!(": {comment}"));
        return say(format!("Temporarily disabled by its start method{why}"), "1S");
    }
    match instance.is_temporary() {
        true => say("Temporarily disabled by an administrator.", "1S"),
        false => say("Disabled by an administrator.", "05"),
    }
}

fn maintenance(instance: &Instance) -> Reason {
    let method = start_method(instance);
    match (instance.auxiliary(), method) {
        ("administrative_request", _) => say("Maintenance requested by an administrator.", "63"),
        ("service_request", _) => match instance.requester() {
            Some(fmri) => say(format!("Maintenance requested by \"{fmri}\""), "R4"),
            None => say("Maintenance requested by another service.", "R4"),
        },
        ("dependency_cycle", _) => say("Completes a dependency cycle.", "HP"),
        ("invalid_dependency", _) => say("Has invalid dependency.", "JA"),
        ("invalid_restarter", _) => {
            say(format!("Restarter \"{}\" is invalid.", instance.restarter()), "2A")
        }
        ("restarting_too_quickly", _) => say("Restarting too quickly.", "L5"),
        ("fault_threshold_reached", Some(how)) => {
            say(format!("Start method failed repeatedly, last {how}."), "KS")
        }
        ("fault_threshold_reached", None) => say("Method failed repeatedly.", "8Q"),
        ("method_failed", Some(how)) => say(format!("Start method {how}."), "KS"),
        ("method_failed" | "stop_method_failed", _) => say("Method failed.", "8Q"),
        ("none", _) => unexplained(instance),
        _ => say("Unknown.", "AR"),
    }
}

/// How the start method failed, if it did.
fn start_method(instance: &Instance) -> Option<String> {
    let status = ExitStatus::from_raw(instance.start_status()?);
    if let Some(code) = status.code() {
        return match code {
            0 => None,
            95 => Some("exited with $SMF_EXIT_ERR_FATAL".to_owned()),
            96 => Some("exited with $SMF_EXIT_ERR_CONFIG".to_owned()),
            code => Some(format!("exited with status {code}")),
        };
    }
    let number = status.signal()?;
    let name = signal_name(number);
    Some(match status.core_dumped() {
        false => format!("died on {name} ({number})"),
        true => format!("dumped core on {name} ({number})"),
    })
}

/// A signal's name for people, as strsignal(3) has it.
fn signal_name(number: i32) -> String {
    // SAFETY: strsignal takes any number, and returns a string that is valid until the next call
    // in this thread; it is copied before.
    let name = unsafe { CStr::from_ptr(libc::strsignal(number)) };
    name.to_string_lossy().into_owned()
}

/// What is the matter with a service that another one waits for: what follows its name.
pub fn clause(instance: &Instance) -> &'static str {
    match instance.state() {
        None => "is in an invalid state.",
        Some(State::Uninitialized) => "is uninitialized.",
        Some(State::Disabled) if instance.is_enabled() => "is starting.",
        Some(State::Disabled) if instance.is_temporary() => "is temporarily disabled.",
        Some(State::Disabled) => "is disabled.",
        Some(State::Offline) if instance.next_state().is_some() => "is starting.",
        // Degraded and online ones are not waited for.
        Some(State::Offline | State::Online | State::Degraded) => "is offline.",
        Some(State::Maintenance) => match instance.auxiliary() {
            "administrative_request" => "was taken down for maintenace by an administrator.",
            "fault_threshold_reached" => "is not running because a method failed repeatedly.",
            "method_failed" | "stop_method_failed" => "is not running because a method failed.",
            "restarting_too_quickly" => "was restarting too quickly.",
            "dependency_cycle" => "completed a dependency cycle.",
            "invalid_dependency" => "has an invalid dependency.",
            "invalid_restarter" => "has an invalid restarter.",
            "none" => "is not running for an unknown reason.",
            _ => "requires maintenance.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};
    use svc::value::PropType;

    fn reason(sample: Sample) -> Option<Reason> {
        let host = sample.host();
        of(&host, &host.instances[&fmri("a")])
    }

    fn failed(word: &str, status: i32) -> Sample {
        let status = status.to_string();
        Sample::default()
            .instance("a", "maintenance", true)
            .set("a", "restarter", PropType::Astring, "auxiliary_state", word)
            .set("a", "restarter", PropType::Integer, "start_method_waitstatus", &status)
    }

    #[test]
    fn failed_methods_are_told_apart() {
        let text = |word, status| reason(failed(word, status)).unwrap();
        let (config, kill, abort) = (96 << 8, 9, 0x80 | 6);
        assert_eq!(
            text("method_failed", config),
            say("Start method exited with $SMF_EXIT_ERR_CONFIG.", "KS")
        );
        assert_eq!(
            text("fault_threshold_reached", 1 << 8).0,
            "Start method failed repeatedly, last exited with status 1."
        );
        assert_eq!(text("method_failed", kill).0, "Start method died on Killed (9).");
        assert_eq!(text("method_failed", abort).0, "Start method dumped core on Aborted (6).");
        assert_eq!(text("method_failed", 0), say("Method failed.", "8Q"));
        assert_eq!(text("fault_threshold_reached", 0).0, "Method failed repeatedly.");
        assert_eq!(text("restarting_too_quickly", 0), say("Restarting too quickly.", "L5"));
        assert_eq!(text("none", 0).1, "9C");
        assert_eq!(text("something_new", 0), say("Unknown.", "AR"));
    }

    #[test]
    fn who_disabled_it_is_told() {
        let boolean = PropType::Boolean;
        let plain = Sample::default().instance("a", "disabled", false);
        assert_eq!(reason(plain), Some(say("Disabled by an administrator.", "05")));
        let temporary = Sample::default().instance("a", "disabled", true).set(
            "a",
            "general_ovr",
            boolean,
            "enabled",
            "false",
        );
        assert_eq!(
            reason(temporary.clone()),
            Some(say("Temporarily disabled by an administrator.", "1S"))
        );
        let raw = (101 << 8).to_string();
        let silent =
            temporary.set("a", "restarter", PropType::Integer, "start_method_waitstatus", &raw);
        let by = "Temporarily disabled by its start method";
        assert_eq!(reason(silent.clone()).unwrap().0, format!("{by}."));
        let told = silent.set("a", "general_ovr", PropType::Astring, "comment", "no hypervisor");
        assert_eq!(reason(told).unwrap().0, format!("{by}: no hypervisor"));
    }

    #[test]
    fn a_milestone_is_a_reason() {
        let at = |group: &str, milestone: &str| {
            let sample = Sample::default().instance("a", "disabled", true);
            let (name, astring) = ("system/svc/restarter", PropType::Astring);
            reason(sample.set(name, group, astring, "milestone", milestone)).unwrap().0
        };
        let name = "svc:/milestone/single-user:default";
        assert_eq!(at("options_ovr", name), format!("Milestone {name} does not depend on it."));
        assert_eq!(at("options", "none"), "Milestone none lets nothing run.");
        assert_eq!(at("options", "all"), "Unknown.");
    }

    #[test]
    fn a_method_that_runs_is_the_reason() {
        let next = |state: &str, next: &str| {
            let sample = Sample::default().instance("a", state, true);
            reason(sample.set("a", "restarter", PropType::Astring, "next_state", next))
        };
        assert_eq!(next("offline", "online"), Some(say("Start method is running.", "C4")));
        assert_eq!(next("offline", "disabled").unwrap().1, "PH");
        assert_eq!(next("offline", "none"), None);
        let pending = Sample::default().instance("a", "offline", true);
        let pending =
            pending.set("a", "restarter", PropType::Astring, "auxiliary_state", "retry_pending");
        let line = "Failed, and is tried again after a while.";
        assert_eq!(reason(pending), Some(say(line, "8Q")));
        let unsteady = Sample::default().instance("a", "offline", true);
        let aux = "dependencies_unsteady";
        let unsteady = unsteady.set("a", "restarter", PropType::Astring, "auxiliary_state", aux);
        assert_eq!(reason(unsteady).unwrap().1, "GE");
        assert_eq!(next("broken", "none").unwrap().0, "Not in valid state (broken).");
    }

    #[test]
    fn restarters_that_are_not_there_are_blamed() {
        let told = |restarter: &str| {
            let sample = Sample::default().instance("a", "uninitialized", true);
            let sample = sample.instance("off", "disabled", false);
            reason(sample.set("a", "general", PropType::Fmri, "restarter", restarter)).unwrap()
        };
        let line = "Restarter svc:/system/svc/restarter:default has not initialized service state.";
        assert_eq!(told(""), say(line, "4D"));
        assert_eq!(told("x"), say("Restarter \"x\" is invalid.", "2A"));
        assert_eq!(told("svc:/x:y"), say("Restarter \"svc:/x:y\" does not exist.", "3P"));
        assert_eq!(
            told("svc:/off:default"),
            say("Restarter svc:/off:default is not running.", "5H")
        );
    }
}
