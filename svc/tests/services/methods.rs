//! Methods: what they are given, what their ends mean, and how long they may take.

use std::thread::sleep;
use std::time::{Duration, Instant};

use svc::value::PropType;

use crate::fixture::{A_WHILE, System, lives, wait_for};
use crate::{child, daemon, service, transient};

#[test]
fn a_method_is_told_who_it_is() {
    let start = "/bin/sh -c 'echo $SMF_FMRI $SMF_METHOD $SMF_RESTARTER $PATH; echo \"%s|%i|%m|%{config/x}\"; \
                 pwd; cat; grep SigBlk /proc/self/status'";
    let more = format!("{}[group.config.property]\nx = \"a b\"\n", transient());
    let system = System::with(&[&service("site/a", start, &more)]);
    system.wait_until("site/a", "online");
    let log = system.log("site/a");
    let restarter = "svc:/system/svc/restarter:default";
    for line in [
        &format!("svc:/site/a:default start {restarter} /usr/sbin:/usr/bin:/sbin:/bin\n"),
        "site/a|default|start|a\\ b\n/\n",
        "SigBlk:\t0000000000000000\n",
    ] {
        assert!(log.contains(line), "no {line} in:\n{log}");
    }
}

#[test]
fn a_temporary_disable_keeps_its_reason() {
    let start = "/bin/sh -c '. \"$SVC_ROOT/lib/svc/share/smf_include.sh\"; \
                 smf_method_exit $SMF_EXIT_TEMP_DISABLE no_sun \"the \\\\\"sun\\\\\" is down\"'";
    let system = System::with(&[&service("a", start, "")]);
    system.wait_until("a", "disabled");
    let read = |prop: &str| system.property("a", "general_ovr", prop);
    assert_eq!(read("enabled").as_deref(), Some("false"));
    assert_eq!(read("comment").as_deref(), Some("the \"sun\" is down"));
    // It says nothing of the next boot.
    assert_eq!(system.property("a", "general", "enabled").as_deref(), Some("true"));
    assert!(system.log("a").contains("the \"sun\" is down\n"));
}

#[test]
fn hopeless_failures_are_not_retried_and_others_are() {
    let exits = |status: u8| format!("/bin/sh -c 'echo x >>\"$SVC_ROOT/{status}\"; exit {status}'");
    for (status, attempts, reason) in [
        (95, 1, "method_failed"),
        (96, 1, "method_failed"),
        (100, 1, "method_failed"),
        (1, 3, "fault_threshold_reached"),
    ] {
        let system = System::with(&[&service("a", &exits(status), "")]);
        system.wait_until("a", "maintenance");
        assert_eq!(system.reason("a"), reason, "{status}");
        assert_eq!(system.read(&status.to_string()).lines().count(), attempts, "{status}");
        let waited = system.property("a", "restarter", "start_method_waitstatus");
        assert_eq!(waited, Some((i32::from(status) << 8).to_string()));
        let log = system.log("a");
        let line = format!("Method \"start\" failed with exit status {status}.");
        assert!(log.contains(&line), "{log}");
    }
}

#[test]
fn a_failed_start_leaves_nothing_behind() {
    let start = "/bin/sh -c 'sleep 1000 & echo $! >\"$SVC_ROOT/a\"; exit 95'";
    let system = System::with(&[&service("a", start, "")]);
    system.wait_until("a", "maintenance");
    assert!(!lives(system.pid("a")));
}

#[test]
fn a_start_method_without_daemon_may_say_so() {
    let system = System::with(&[&service("a", "/bin/sh -c 'exit 94'", "")]);
    system.wait_until("a", "online");
    sleep(A_WHILE);
    assert_eq!(system.state("a"), "online");
}

#[test]
fn a_degraded_service_is_brought_back_by_clear() {
    let start = "/bin/sh -c 'sleep 1000 & exit 97'";
    let system = System::with(&[&service("a", start, "")]);
    system.wait_until("a", "degraded");
    system.request("a", "maint_off");
    system.wait_until("a", "online");
}

#[test]
fn a_start_method_that_hangs_is_killed_with_all_it_began() {
    let start = "/bin/sh -c 'sleep 1000 & echo $! >>\"$SVC_ROOT/a\"; sleep 1000'";
    let manifest =
        service("a", start, "").replacen("timeout_seconds = 20", "timeout_seconds = 1", 1);
    let system = System::with(&[&manifest]);
    system.wait_until("a", "maintenance");
    assert_eq!(system.reason("a"), "fault_threshold_reached");
    assert!(system.log("a").contains("Method or service exit timed out.  Killing contract "));
    let pids = system.read("a");
    assert_eq!(pids.lines().count(), 3);
    assert!(pids.lines().all(|pid| !lives(pid.parse().unwrap())), "{pids}");
}

#[test]
fn who_does_not_stop_is_killed() {
    let start = "/bin/sh -c 'trap \"\" TERM; sleep 1000 & echo $! >\"$SVC_ROOT/a\"'";
    let stop = "[method.stop]\nexec = \":kill\"\ntimeout_seconds = 1\n";
    let system = System::with(&[&service("a", start, stop)]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    let began = Instant::now();
    system.enable("a", false);
    system.wait_until("a", "disabled");
    assert!(!lives(pid) && began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_failing_stop_method_leads_to_maintenance_with_nothing_left() {
    let stop = "[method.stop]\nexec = \"\"\"/bin/sh -c 'echo x >>\\\"$SVC_ROOT/stops\\\"; exit STATUS'\"\"\"\n\
                timeout_seconds = 20\n";
    for (status, attempts) in [("95", 1), ("1", 3)] {
        let system = System::with(&[&daemon("a", &stop.replace("STATUS", status))]);
        system.wait_until("a", "online");
        let pid = system.pid("a");
        system.enable("a", false);
        system.wait_until("a", "maintenance");
        assert!(!lives(pid), "{status}");
        assert_eq!(system.read("stops").lines().count(), attempts);
        assert_ne!(system.reason("a"), "none");
        assert_eq!(system.property("a", "restarter", "contract"), None);
    }
}

#[test]
fn a_refresh_shows_new_values_and_runs_the_method() {
    let more = "[method.refresh]\nexec = \"\"\"/bin/sh -c 'echo %{config/x} >\\\"$SVC_ROOT/seen\\\"'\"\"\"\n\
                timeout_seconds = 20\n[group.config.property]\nx = \"old\"\n";
    let system = System::with(&[&daemon("a", more)]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    let group = svc::repo::Change::AddPg {
        fmri: svc::fmri::Fmri::parse("svc:/a:default").unwrap(),
        pg: "config".into(),
        ty: "application".into(),
        persistent: true,
    };
    system.repo.commit(vec![group]).unwrap();
    system.set("a", "config", "x", PropType::Astring, "new");
    sleep(A_WHILE);
    assert_eq!(system.read("seen"), "");
    system.request("a", "refresh");
    wait_for("the refresh", || (system.read("seen") == "new\n").then_some(()));
    system.wait_until("a", "online");
    assert_eq!(system.pid("a"), pid);
    assert!(system.log("a").contains("Rereading configuration."));
}

#[test]
fn a_failing_refresh_leads_to_maintenance_with_nothing_left() {
    let more = "[method.refresh]\nexec = \"/bin/sh -c 'exit 96'\"\ntimeout_seconds = 20\n";
    let system = System::with(&[&daemon("a", more)]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.request("a", "refresh");
    system.wait_until("a", "maintenance");
    assert_eq!(system.reason("a"), "method_failed");
    assert!(!lives(pid));
    system.request("a", "maint_off");
    system.wait_until("a", "online");
}

#[test]
fn maintenance_is_left_by_clear_and_by_disable_and_not_by_enable() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.request("a", "maint_on");
    system.wait_until("a", "maintenance");
    assert_eq!(system.reason("a"), "administrative_request");
    assert!(!lives(pid));
    system.set("a", "general", "enabled", PropType::Boolean, "true");
    sleep(A_WHILE);
    assert_eq!(system.state("a"), "maintenance");
    system.enable("a", false);
    system.wait_until("a", "disabled");
    system.enable("a", true);
    system.wait_until("a", "online");
}

#[test]
fn a_child_is_stopped_with_its_children() {
    let start = "/bin/sh -c 'sleep 1000 & echo $! >\"$SVC_ROOT/a\"; wait'";
    let system = System::with(&[&service("a", start, child())]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.enable("a", false);
    system.wait_until("a", "disabled");
    assert!(!lives(pid));
}

#[test]
fn a_stop_method_without_end_is_broken_off_by_an_immediate_mark() {
    let stop = "[method.stop]\nexec = \"/bin/sh -c 'echo $$ >$SVC_ROOT/stop; exec sleep 1000'\"\n\
                timeout_seconds = 0\n";
    let system = System::with(&[&daemon("a", stop)]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    system.enable("a", false);
    let method = system.pid("stop");
    assert_eq!(system.state("a"), "online*");
    system.request("a", "maint_on_immediate");
    system.wait_until("a", "maintenance");
    wait_for("the end of the method", || (!lives(method)).then_some(()));
    assert!(lives(pid));
    assert_eq!(system.property("a", "restarter", "transient_contract"), None);
    system.wait_until("a", "maintenance");
}
