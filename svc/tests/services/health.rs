//! Services that live and are not well, and stop methods that leave processes behind.

use nix::sys::signal::Signal;

use crate::fixture::{System, lives, signal, wait_for};
use crate::{daemon, needs, service};

/// A check every second; `failures` in a row are a fault.
fn checked(script: &str, timeout: u32, failures: u32) -> String {
    format!(
        "[method.check]\nexec = \"\"\"/bin/sh -c '{script}'\"\"\"\ntimeout_seconds = {timeout}\n\
         [group.startd]\ntype = \"framework\"\n[group.startd.property]\n\
         check_period = {{ type = \"count\", value = 1 }}\n\
         check_failures = {{ type = \"count\", value = {failures} }}\n"
    )
}

#[test]
fn a_service_whose_check_fails_is_started_again_with_its_dependents() {
    let script = "echo $SMF_METHOD %i >>\\\"$SVC_ROOT/checks\\\"; test ! -e \\\"$SVC_ROOT/ill\\\"";
    let script = script.replace("\\\"", "\"");
    let system = System::with(&[
        &daemon("a", &checked(&script, 10, 2)),
        &daemon("b", &needs(&["a"], "require_all", "error")),
    ]);
    system.wait_until("b", "online");
    let [a, b] = ["a", "b"].map(|name| system.pid(name));
    wait_for("two checks", || (system.read("checks").lines().count() >= 2).then_some(()));
    assert!(system.read("checks").lines().all(|line| line == "check default"));
    assert_eq!((system.pid("a"), system.state("a")), (a, "online".to_owned()));
    assert!(!system.log("a").contains("check"), "{}", system.log("a"));
    std::fs::write(system.path("ill"), "").unwrap();
    system.another_pid("a", a);
    std::fs::remove_file(system.path("ill")).unwrap();
    system.another_pid("b", b);
    assert!(!lives(a));
    for name in ["a", "b"] {
        system.wait_until(name, "online");
    }
    let log = system.log("a");
    let failed = "Method \"check\" failed with exit status 1.";
    assert!(log.matches(failed).count() >= 2, "{log}");
    assert!(log.contains("Stopping because check method failed repeatedly."), "{log}");
}

#[test]
fn a_check_that_hangs_is_killed_and_counts_as_failed() {
    let script = "sleep 1000 & echo $! >>\"$SVC_ROOT/hung\"; wait";
    let system = System::with(&[&daemon("a", &checked(script, 1, 1))]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.another_pid("a", pid);
    let hung: i32 = system.read("hung").lines().next().unwrap().parse().unwrap();
    wait_for("the end of the check", || (!lives(hung)).then_some(()));
    let log = system.log("a");
    assert!(log.contains("Method or service exit timed out.  Killing contract "), "{log}");
    assert!(log.contains("Method \"check\" failed due to signal KILL."), "{log}");
}

#[test]
fn a_check_does_not_outlive_its_restarter_nor_its_service() {
    let script = "sleep 1000 & echo $! >>\"$SVC_ROOT/hung\"; wait";
    let mut system = System::with(&[&daemon("a", &checked(script, 0, 1))]);
    let hung = |system: &System, count: usize| {
        wait_for("a check", || {
            let text = system.read("hung");
            text.lines().nth(count)?.parse::<i32>().ok()
        })
    };
    let first = hung(&system, 0);
    let pid = system.pid("a");
    system.kill_startd();
    system.start_startd();
    wait_for("the end of the first check", || (!lives(first)).then_some(()));
    let second = hung(&system, 1);
    assert_eq!(system.pid("a"), pid);
    system.enable("a", false);
    system.wait_until("a", "disabled");
    wait_for("the end of the second check", || (!lives(second)).then_some(()));
}

#[test]
fn a_restart_leaves_no_second_copy_whatever_the_stop_method_says() {
    let stop = "[method.stop]\nexec = \"/bin/true\"\ntimeout_seconds = 1\n";
    for system in System::with_either(&[&daemon("a", stop)]) {
        system.wait_until("a", "online");
        let pid = system.pid("a");
        system.request("a", "restart");
        system.another_pid("a", pid);
        assert!(!lives(pid));
        let log = system.log("a");
        assert!(log.contains("Method \"stop\" exited with status 0."), "{log}");
        assert!(log.contains("Method or service exit timed out.  Killing contract "), "{log}");
    }
}

#[test]
fn what_a_service_dies_of_is_told_apart_and_may_be_ignored() {
    let startd = "[group.startd]\ntype = \"framework\"\n[group.startd.property]\n";
    let two = |name: &str, more: &str| {
        let start = format!(
            "/bin/sh -c 'sleep 1000 & echo $! >\"$SVC_ROOT/{name}\"; sleep 1000 & \
             echo $! >\"$SVC_ROOT/{name}-other\"'"
        );
        service(name, &start, more)
    };
    for (kind, line, word) in [
        (Signal::SIGKILL, "Stopping because process received fatal signal from outside", "signal"),
        (Signal::SIGABRT, "Stopping because process dumped core.", "core"),
    ] {
        let ignores = format!("{startd}ignore_error = \"{word}\"\n");
        for system in System::with_either(&[&two("a", ""), &two("b", &ignores)]) {
            ["a", "b"].iter().for_each(|name| system.wait_until(name, "online"));
            let [a, b, other] = ["a", "b", "b-other"].map(|name| system.pid(name));
            [a, b].iter().for_each(|pid| signal(*pid, kind));
            system.another_pid("a", a);
            assert!(system.log("a").contains(line), "{}", system.log("a"));
            assert!(lives(other) && system.pid("b") == b);
            // What the process did to itself is no fault of the service.
            signal(other, Signal::SIGPIPE);
            system.another_pid("b", b);
            let log = system.log("b");
            assert!(log.contains("Stopping because all processes in service exited."), "{log}");
        }
    }
}

#[test]
fn a_real_time_signal_is_a_death_as_any_other() {
    let system = System::with(&[&daemon("a", ""), &daemon("b", "")]);
    ["a", "b"].iter().for_each(|name| system.wait_until(name, "online"));
    let [a, b] = ["a", "b"].map(|name| system.pid(name));
    // A number that has no name.
    let sent = std::process::Command::new("kill").args(["-40", &a.to_string()]).status();
    assert!(sent.unwrap().success());
    system.another_pid("a", a);
    // It keeps nobody from collecting those after it.
    signal(b, Signal::SIGKILL);
    system.another_pid("b", b);
    assert!(system.log("b").contains("Stopping because process received fatal signal"));
}
