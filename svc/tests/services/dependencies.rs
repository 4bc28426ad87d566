//! Order, and what an event at one service means for the others.

use std::fs;
use std::thread::sleep;

use crate::fixture::{A_WHILE, System, lives, wait_for};
use crate::{daemon, needs, service, transient};

/// A transient service that says in one file when it starts and stops, and takes its time.
fn diary(name: &str, more: &str) -> String {
    let say = |verb: &str| format!("echo {verb} {name} >>\"$SVC_ROOT/diary\"");
    let start = format!("/bin/sh -c '{}; sleep 0.5; {}'", say("begin"), say("end"));
    let stop = format!("/bin/sh -c '{}'", say("stop"));
    let stop =
        format!("[method.stop]\nexec = \"\"\"{stop}\"\"\"\ntimeout_seconds = 20\n{}", transient());
    service(name, &start, &(stop + more))
}

fn position(diary: &str, line: &str) -> usize {
    diary.lines().position(|l| l == line).unwrap_or_else(|| panic!("no {line} in:\n{diary}"))
}

#[test]
fn services_start_in_order_side_by_side_and_stop_in_reverse() {
    let mut system = System::with(&[
        &diary("b", &needs(&["a"], "require_all", "none")),
        &diary("c", &needs(&["a"], "require_all", "none")),
        &diary("d", &needs(&["b", "c"], "require_all", "none")),
        &diary("a", ""),
    ]);
    system.wait_until("d", "online");
    let diary = system.read("diary");
    let at = |line: &str| position(&diary, line);
    assert!(at("end a") < at("begin b").min(at("begin c")), "{diary}");
    // Both had begun before one of them was ready.
    assert!(at("begin b").max(at("begin c")) < at("end b").min(at("end c")), "{diary}");
    assert!(at("end b").max(at("end c")) < at("begin d"), "{diary}");
    assert!(system.stop_startd());
    let diary = system.read("diary");
    let at = |line: &str| position(&diary, line);
    assert!(at("stop d") < at("stop b").min(at("stop c")), "{diary}");
    assert!(at("stop b").max(at("stop c")) < at("stop a"), "{diary}");
}

#[test]
fn a_restart_concerns_those_who_asked_for_it() {
    let system = System::with(&[
        &daemon("a", ""),
        &daemon("minds", &needs(&["a"], "require_all", "restart")),
        &daemon("ignores", &needs(&["a"], "require_all", "error")),
    ]);
    for name in ["minds", "ignores"] {
        system.wait_until(name, "online");
    }
    let [a, minds, ignores] = ["a", "minds", "ignores"].map(|name| system.pid(name));
    system.request("a", "restart");
    system.another_pid("a", a);
    system.another_pid("minds", minds);
    system.wait_until("minds", "online");
    assert_eq!(system.pid("ignores"), ignores);
    assert!(system.log("minds").contains("Stopping because dependency activity requires stop."));
}

#[test]
fn a_disable_stops_dependents_first_and_an_enable_brings_them_back() {
    let system = System::with(&[
        &diary("a", ""),
        &diary("b", &needs(&["a"], "require_all", "restart")),
        &diary("free", &needs(&["a"], "require_all", "none")),
    ]);
    for name in ["b", "free"] {
        system.wait_until(name, "online");
    }
    system.enable("a", false);
    system.wait_until("a", "disabled");
    system.wait_until("b", "offline");
    assert_eq!(system.state("free"), "online");
    let diary = system.read("diary");
    assert!(position(&diary, "stop b") < position(&diary, "stop a"), "{diary}");
    system.enable("a", true);
    system.wait_until("b", "online");
}

#[test]
fn a_dependency_that_can_not_come_up_is_waited_for_or_not() {
    let disabled = daemon("off", "").replace("enabled = true", "enabled = false");
    let system = System::with(&[
        &disabled,
        &daemon("all", &needs(&["off"], "require_all", "none")),
        &daemon("any", &needs(&["off", "on"], "require_any", "none")),
        &daemon("optional", &needs(&["off", "absent"], "optional_all", "none")),
        &daemon("instead", &needs(&["off"], "exclude_all", "restart")),
        &daemon("on", ""),
    ]);
    for name in ["any", "optional", "instead"] {
        system.wait_until(name, "online");
    }
    assert_eq!(system.state("all"), "offline");
    let instead = system.pid("instead");
    system.enable("off", true);
    system.wait_until("all", "online");
    wait_for("the end of the excluded one", || (!lives(instead)).then_some(()));
    system.wait_until("instead", "offline");
}

#[test]
fn a_file_is_looked_for_when_the_service_is_refreshed() {
    let more = "[dependency.file]\ngrouping = \"require_all\"\nrestart_on = \"none\"\n\
                type = \"path\"\nentities = [\"file://localhost/etc/there\"]\n";
    let system = System::with(&[&daemon("a", more), &daemon("b", "")]);
    system.wait_until("b", "online");
    assert_eq!(system.state("a"), "offline");
    fs::create_dir_all(system.path("etc")).unwrap();
    fs::write(system.path("etc/there"), "").unwrap();
    system.request("a", "refresh");
    system.wait_until("a", "online");
}

#[test]
fn who_closes_a_cycle_is_told() {
    let system = System::with(&[
        &daemon("a", &needs(&["b"], "require_all", "none")),
        &daemon("b", &needs(&["a"], "require_all", "none")),
        &daemon("c", ""),
    ]);
    system.wait_until("c", "online");
    let reasons = wait_for("maintenance", || {
        let reasons = [system.reason("a"), system.reason("b")];
        reasons.contains(&"dependency_cycle".to_owned()).then_some(reasons)
    });
    assert!(reasons.contains(&"none".to_owned()), "both: {reasons:?}");
}

#[test]
fn nothing_starts_while_what_it_needs_only_begins() {
    let slow = service("slow", "/bin/sh -c 'sleep 3; sleep 1000 &'", "");
    let system = System::with(&[&slow, &daemon("a", &needs(&["slow"], "require_all", "none"))]);
    system.wait_until("slow", "offline*");
    sleep(A_WHILE);
    assert_eq!(system.state("a"), "offline");
    system.wait_until("a", "online");
}
