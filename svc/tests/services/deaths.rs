//! What becomes of a service whose processes die.

use std::thread::sleep;

use nix::sys::signal::Signal;

use crate::fixture::{A_WHILE, System, lives, signal, wait_for};
use crate::{child, daemon, service};

#[test]
fn one_that_dies_is_started_again() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let first = system.pid("a");
    signal(first, Signal::SIGKILL);
    let second = system.another_pid("a", first);
    system.wait_until("a", "online");
    assert!(lives(second));
    let log = system.log("a");
    let lines =
        ["Enabled.", "Executing start method (\"", "Method \"start\" exited with status 0."];
    for line in lines.into_iter().chain(["Stopping because ", "Executing stop method (:kill)."]) {
        assert!(log.contains(&format!(" {line}")), "no {line} in:\n{log}");
    }
}

#[test]
fn one_that_keeps_dying_goes_to_maintenance_until_it_is_cleared() {
    let start = "/bin/sh -c 'sleep 0.05 & echo x >>\"$SVC_ROOT/starts\"'";
    let limit = "[group.startd]\ntype = \"framework\"\n\
                 [group.startd.property]\ncritical_failure_count = { type = \"count\", value = 3 }\n";
    let system = System::with(&[&service("a", start, limit)]);
    system.wait_until("a", "maintenance");
    assert_eq!(system.reason("a"), "restarting_too_quickly");
    assert_eq!(system.read("starts").lines().count(), 4);
    let log = system.log("a");
    assert!(log.contains("Restarting too quickly, changing state to maintenance."), "{log}");
    let said = system.read("daemons.log");
    let expected = "a:default failed repeatedly: transitioned to maintenance";
    assert!(said.contains(expected), "{said}");
    system.request("a", "maint_off");
    wait_for("another start", || (system.read("starts").lines().count() > 4).then_some(()));
}

#[test]
fn a_daemon_that_left_its_parents_behind_is_known() {
    let start = "/bin/sh -c '(setsid sh -c \"(sleep 1000 & echo \\\\$! >\\\"$SVC_ROOT/a\\\")\" &) ; \
                 until [ -s \"$SVC_ROOT/a\" ]; do sleep 0.01; done'";
    let system = System::with(&[&service("a", start, "")]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    assert!(lives(pid));
    signal(pid, Signal::SIGKILL);
    system.another_pid("a", pid);
    system.wait_until("a", "online");
    let second = system.pid("a");
    system.enable("a", false);
    system.wait_until("a", "disabled");
    assert!(!lives(second));
}

#[test]
fn a_service_lives_as_long_as_one_of_its_processes() {
    let start = "/bin/sh -c 'sleep 1000 & echo $! >\"$SVC_ROOT/a\"; sleep 0.2 & '";
    let system = System::with(&[&service("a", start, "")]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    sleep(A_WHILE);
    assert_eq!((system.state("a"), system.pid("a")), ("online".to_owned(), pid));
}

#[test]
fn a_child_is_started_again_whenever_it_exits() {
    let start = "/bin/sh -c 'echo x >>\"$SVC_ROOT/starts\"; echo $$ >\"$SVC_ROOT/a\"; sleep 1000'";
    let system = System::with(&[&service("a", start, child())]);
    system.wait_until("a", "online");
    for _ in 0..2 {
        let pid = system.pid("a");
        signal(pid, Signal::SIGKILL);
        system.another_pid("a", pid);
        system.wait_until("a", "online");
    }
    assert_eq!(system.read("starts").lines().count(), 3);
}

#[test]
fn a_child_that_is_misconfigured_is_given_up() {
    let start = "/bin/sh -c 'sleep 0.3; exit 96'";
    let system = System::with(&[&service("a", start, child())]);
    system.wait_until("a", "maintenance");
    assert_eq!(system.reason("a"), "method_failed");
}

#[test]
fn a_deleted_service_is_stopped() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.delete("a");
    wait_for("the end of a", || (!lives(pid)).then_some(()));
}
