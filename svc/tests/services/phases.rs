//! The daemons are killed in each phase of a service's life, with contracts of either kind.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use svc::contract::Contracts;

use crate::fixture::{System, lives, signal, wait_for};
use crate::{daemon, service};

/// The processes of a service's contract.
fn members(system: &System, name: &str) -> Vec<i32> {
    let contracts = Contracts::parse(&system.read("run/svc/contracts")).unwrap();
    let id = system.property(name, "restarter", "contract").unwrap();
    contracts.pids(id.parse().unwrap())
}

fn is_there(system: &System, file: &str) -> Option<()> {
    (!system.read(file).is_empty()).then_some(())
}

#[test]
fn startd_is_killed_while_a_start_method_runs() {
    let start = "/bin/sh -c 'sleep 1000 & echo $! >>\"$SVC_ROOT/a\"; \
                 until [ -e \"$SVC_ROOT/go\" ]; do sleep 0.02; done'";
    for mut system in System::with_either(&[&service("a", start, ""), &daemon("other", "")]) {
        system.wait_until("other", "online");
        wait_for("the start method", || is_there(&system, "a"));
        let (first, other) = (system.pid("a"), system.pid("other"));
        system.kill_startd();
        system.start_startd();
        wait_for("its second run", || (system.read("a").lines().count() == 2).then_some(()));
        assert!(!lives(first), "two copies");
        std::fs::write(system.path("go"), "").unwrap();
        system.wait_until("a", "online");
        let second: i32 = system.read("a").lines().last().unwrap().parse().unwrap();
        assert_eq!(members(&system, "a"), [second]);
        assert_eq!(system.pid("other"), other);
    }
}

#[test]
fn startd_is_killed_while_a_stop_method_runs() {
    let stop = "[method.stop]\nexec = \"\"\"/bin/sh -c 'echo x >>\\\"$SVC_ROOT/stops\\\"; \
                until [ -e \\\"$SVC_ROOT/go\\\" ]; do sleep 0.02; done; kill $(cat \\\"$SVC_ROOT/a\\\")'\"\"\"\n\
                timeout_seconds = 20\n";
    for mut system in System::with_either(&[&daemon("a", stop)]) {
        system.wait_until("a", "online");
        let pid = system.pid("a");
        system.request("a", "restart");
        wait_for("the stop method", || is_there(&system, "stops"));
        system.kill_startd();
        system.start_startd();
        wait_for("its second run", || (system.read("stops").lines().count() == 2).then_some(()));
        assert!(lives(pid));
        std::fs::write(system.path("go"), "").unwrap();
        let next = system.another_pid("a", pid);
        system.wait_until("a", "online");
        assert!(!lives(pid));
        assert_eq!(members(&system, "a"), [next]);
    }
}

#[test]
fn a_death_meanwhile_is_noticed_and_a_request_meanwhile_is_obeyed() {
    let manifests = ["steady", "dies", "asked"].map(|name| daemon(name, ""));
    for mut system in System::with_either(&manifests.each_ref().map(String::as_str)) {
        let names = ["steady", "dies", "asked"];
        names.iter().for_each(|name| system.wait_until(name, "online"));
        let [steady, dies, asked] = names.map(|name| system.pid(name));
        system.kill_startd();
        signal(dies, Signal::SIGKILL);
        system.request("asked", "restart");
        system.kill_configd();
        system.start_configd();
        system.start_startd();
        system.another_pid("dies", dies);
        system.another_pid("asked", asked);
        names.iter().for_each(|name| system.wait_until(name, "online"));
        assert_eq!(system.pid("steady"), steady);
        assert!(!lives(asked));
    }
}

#[test]
fn fifty_kills_in_a_row_lose_nothing_and_double_nothing() {
    let child_of_its_own = "/bin/sh -c '(env -i setsid sh -c \"sleep 1000 & sleep 1000 &\") ; \
                            echo x >>\"$SVC_ROOT/starts\"'";
    let manifests =
        [daemon("steady", ""), daemon("asked", ""), service("hides", child_of_its_own, "")];
    for mut system in System::with_either(&manifests.each_ref().map(String::as_str)) {
        let names = ["steady", "asked", "hides"];
        names.iter().for_each(|name| system.wait_until(name, "online"));
        let steady = system.pid("steady");
        for round in 0..50_u64 {
            let asked = system.pid("asked");
            let asks = round % 5 == 0;
            if asks {
                system.request("asked", "restart");
            }
            // Another moment of its life each time.
            sleep(Duration::from_millis(round * 7 % 40));
            system.kill_startd();
            if round % 10 == 9 {
                system.kill_configd();
                system.start_configd();
            }
            system.start_startd();
            if asks {
                system.another_pid("asked", asked);
            }
        }
        names.iter().for_each(|name| system.wait_until(name, "online"));
        assert_eq!(system.pid("steady"), steady);
        assert_eq!(members(&system, "steady"), [steady]);
        assert_eq!(members(&system, "asked"), [system.pid("asked")]);
        assert_eq!(members(&system, "hides").len(), 2);
        assert_eq!(system.read("starts"), "x\n", "restarted for nothing");
        // It is in charge of what it adopted.
        system.enable("hides", false);
        let hidden = members(&system, "hides");
        system.wait_until("hides", "disabled");
        assert!(hidden.iter().all(|pid| !lives(*pid)));
    }
}
