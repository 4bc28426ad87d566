//! The daemons are killed; the services go on.

use std::thread::sleep;

use nix::sys::signal::Signal;

use crate::fixture::{A_WHILE, System, lives, signal, wait_for};
use crate::{child, daemon, needs, service};

#[test]
fn running_services_are_adopted_and_a_death_is_noticed() {
    let mut system = System::with(&[
        &daemon("a", ""),
        &daemon("b", &needs(&["a"], "require_all", "restart")),
        &daemon("dies", ""),
    ]);
    for name in ["b", "dies"] {
        system.wait_until(name, "online");
    }
    let [a, b, dies] = ["a", "b", "dies"].map(|name| system.pid(name));
    let since = system.property("a", "restarter", "state_timestamp");
    system.kill_startd();
    signal(dies, Signal::SIGKILL);
    system.start_startd();
    system.another_pid("dies", dies);
    system.wait_until("dies", "online");
    sleep(A_WHILE);
    assert_eq!(["a", "b"].map(|name| system.pid(name)), [a, b]);
    assert_eq!(system.property("a", "restarter", "state_timestamp"), since);
    // It is in charge: the next death is seen, and what depends on it is told.
    signal(a, Signal::SIGKILL);
    system.another_pid("a", a);
    system.another_pid("b", b);
    system.wait_until("b", "online");
}

/// What runs, and that it is kept running, doesn't depend on room for the repository.
#[test]
fn services_are_restarted_while_the_disk_is_full() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let first = system.pid("a");
    system.limit_repository(Some(4096));
    signal(first, Signal::SIGKILL);
    let second = system.another_pid("a", first);
    let refused =
        system.repo.request(&svc::fmri::Fmri::parse("svc:/a:default").unwrap(), "restart");
    assert!(refused.unwrap_err().is_backend());
    system.limit_repository(None);
    system.request("a", "restart");
    system.another_pid("a", second);
    system.wait_until("a", "online");
}

#[test]
fn a_start_method_that_was_under_way_begins_anew() {
    let start = "/bin/sh -c 'echo $$ >>\"$SVC_ROOT/a\"; sleep 3; sleep 1000 &'";
    let mut system = System::with(&[&service("a", start, "")]);
    wait_for("the start method", || (!system.read("a").is_empty()).then_some(()));
    let first = system.pid("a");
    system.kill_startd();
    system.start_startd();
    wait_for("its second run", || (system.read("a").lines().count() == 2).then_some(()));
    assert!(!lives(first));
    system.wait_until("a", "online");
}

#[test]
fn a_stop_that_was_under_way_is_done() {
    let stop = "[method.stop]\nexec = \"\"\"/bin/sh -c 'echo $$ >>\\\"$SVC_ROOT/stop\\\"; sleep 2; \
                kill $(cat \\\"$SVC_ROOT/a\\\")'\"\"\"\ntimeout_seconds = 20\n";
    let mut system = System::with(&[&daemon("a", stop)]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.enable("a", false);
    wait_for("the stop method", || (!system.read("stop").is_empty()).then_some(()));
    system.kill_startd();
    system.start_startd();
    system.wait_until("a", "disabled");
    assert!(!lives(pid));
}

#[test]
fn requests_made_meanwhile_are_obeyed_and_no_old_ones() {
    let disabled = daemon("later", "").replace("enabled = true", "enabled = false");
    let mut system = System::with(&[&daemon("a", ""), &disabled, &daemon("b", "")]);
    for name in ["a", "b"] {
        system.wait_until(name, "online");
    }
    let [a, b] = ["a", "b"].map(|name| system.pid(name));
    system.request("b", "restart");
    let b = system.another_pid("b", b);
    system.wait_until("b", "online");
    system.kill_startd();
    system.request("a", "restart");
    system.enable("later", true);
    system.start_startd();
    system.another_pid("a", a);
    system.wait_until("later", "online");
    sleep(A_WHILE);
    assert_eq!(system.pid("b"), b, "restarted twice");
}

#[test]
fn a_child_that_was_adopted_is_watched() {
    let start = "/bin/sh -c 'sleep 1000 & echo $$ >\"$SVC_ROOT/a\"; wait'";
    let mut system = System::with(&[&service("a", start, child())]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.kill_startd();
    system.start_startd();
    sleep(A_WHILE);
    assert_eq!(system.pid("a"), pid);
    // One of its processes is left, and that isn't the service.
    signal(pid, Signal::SIGKILL);
    system.another_pid("a", pid);
    system.wait_until("a", "online");
}

#[test]
fn the_repository_may_be_away_for_a_while() {
    let mut system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.kill_configd();
    signal(pid, Signal::SIGKILL);
    sleep(A_WHILE);
    system.start_configd();
    system.another_pid("a", pid);
    system.wait_until("a", "online");
    system.enable("a", false);
    system.wait_until("a", "disabled");
}

#[test]
fn a_temporary_disable_survives_startd() {
    let mut system =
        System::with(&[&service("a", "/bin/sh -c 'echo x >>\"$SVC_ROOT/a\"; exit 101'", "")]);
    system.wait_until("a", "disabled");
    system.kill_startd();
    system.start_startd();
    sleep(A_WHILE);
    assert_eq!(system.state("a"), "disabled");
    assert_eq!(system.read("a").lines().count(), 1);
}

#[test]
fn startd_killed_again_and_again_makes_no_second_copy() {
    let mut system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    for _ in 0..10 {
        let pid = system.pid("a");
        system.request("a", "restart");
        system.kill_startd();
        system.start_startd();
        let next = system.another_pid("a", pid);
        system.wait_until("a", "online");
        assert!(!lives(pid) && lives(next));
    }
    let pids = svc::contract::Contracts::parse(&system.read("run/svc/contracts")).unwrap();
    let contract = system.property("a", "restarter", "contract").unwrap().parse().unwrap();
    assert_eq!(pids.pids(contract), [system.pid("a")]);
}
