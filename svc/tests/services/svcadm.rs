//! svcadm against services that run: what it waits for, and how it ends.

use svc::fmri::Fmri;
use svc::repo::View;

use crate::commands::{Done, run, svcadm, svcs};
use crate::fixture::{System, lives};
use crate::{daemon, needs, service, transient};

fn ok() -> Done {
    (0, String::new(), String::new())
}

fn said(status: i32, line: &str) -> Done {
    (status, String::new(), format!("svcadm: {line}\n"))
}

/// A service whose start method waits until there is a file called `go` in the private root.
fn gated(name: &str) -> String {
    let start = "/bin/sh -c 'until [ -e \"$SVC_ROOT/go\" ]; do sleep 0.05; done; sleep 1000 &'";
    service(name, start, "").replace("= true", "= false")
}

/// Names and first values of the properties in a group of `name`.
fn group(system: &System, name: &str, pg: &str) -> Vec<(String, String)> {
    let fmri = Fmri::parse(&format!("svc:/{name}:default")).unwrap();
    let group = system.repo.pg(&fmri, pg, &View::Direct).unwrap();
    let first = |(name, property): (String, svc::value::Property)| {
        (name, property.values.first().cloned().unwrap_or_default())
    };
    group.into_iter().flat_map(|group| group.props).map(first).collect()
}

#[test]
fn every_request_can_be_waited_for() {
    let refresh = "[method.refresh]\nexec = \"/bin/sh -c 'sleep 0.5; echo done >$SVC_ROOT/fresh'\"\n\
                   timeout_seconds = 20\n";
    let system = System::with(&[&daemon("a", refresh), &daemon("b", "")]);
    system.wait_until("a", "online");
    system.wait_until("b", "online");
    let pid = system.pid("a");
    assert_eq!(svcadm(&system, &["restart", "-s", "a"]), ok());
    assert_eq!(system.state("a"), "online");
    assert_ne!(system.pid("a"), pid);
    assert_eq!(svcadm(&system, &["refresh", "-s", "a", "b"]), ok());
    assert_eq!(system.read("fresh"), "done\n");
    assert_eq!(svcadm(&system, &["mark", "-s", "maintenance", "a"]), ok());
    assert_eq!(system.state("a"), "maintenance");
    // What doesn't run is neither restarted nor waited for.
    assert_eq!(svcadm(&system, &["restart", "-s", "a"]), ok());
    assert_eq!(svcadm(&system, &["refresh", "-s", "a"]), ok());
    assert_eq!(svcadm(&system, &["clear", "-s", "a"]), ok());
    assert_eq!(system.state("a"), "online");
    assert_eq!(svcadm(&system, &["enable", "-s", "a"]), ok());
    assert_eq!(svcadm(&system, &["disable", "-st", "a"]), ok());
    assert_eq!(system.state("a"), "disabled");
    let line = "Instance \"svc:/a:default\" is not online.";
    assert_eq!(svcadm(&system, &["mark", "-s", "degraded", "a"]), said(1, line));
}

#[test]
fn what_fails_afterwards_is_told() {
    let stop = "[method.stop]\nexec = \"/bin/false\"\ntimeout_seconds = 20\n";
    let refresh = "[method.refresh]\nexec = \"/bin/sh -c 'exit 96'\"\ntimeout_seconds = 20\n";
    let start = "/bin/sh -c 'test ! -e \"$SVC_ROOT/broken\" || exit 96; sleep 1000 &'";
    let system = System::with(&[
        &daemon("stops-badly", stop),
        &service("starts-once", start, ""),
        &daemon("fine", refresh),
    ]);
    for name in ["stops-badly", "starts-once", "fine"] {
        system.wait_until(name, "online");
    }
    std::fs::write(system.path("broken"), "").unwrap();
    let ill =
        |name: &str| said(3, &format!("Instance \"svc:/{name}:default\" is in maintenance state."));
    assert_eq!(svcadm(&system, &["restart", "-s", "starts-once"]), ill("starts-once"));
    assert_eq!(svcadm(&system, &["clear", "-s", "starts-once"]), ill("starts-once"));
    assert_eq!(svcadm(&system, &["disable", "-s", "stops-badly"]), ill("stops-badly"));
    assert_eq!(svcadm(&system, &["disable", "-s", "starts-once"]), ok());
}

#[test]
fn patience_ends() {
    let system = System::with(&[&gated("slow"), &daemon("quick", "")]);
    system.wait_until("slow", "disabled");
    let line = "Timed out after 1 seconds: instance \"svc:/slow:default\" is offline*.";
    assert_eq!(svcadm(&system, &["enable", "-s", "-T", "1", "slow", "quick"]), said(5, line));
    std::fs::write(system.path("go"), "").unwrap();
    assert_eq!(svcadm(&system, &["enable", "-sT", "600", "slow"]), ok());
    assert_eq!(svcadm(&system, &["enable", "-T", "1", "slow"]).0, 2);
}

#[test]
fn a_method_does_not_wait_for_itself() {
    let start = |verb: &str, other: &str| {
        let svcadm = env!("CARGO_BIN_EXE_svcadm");
        format!(
            "/bin/sh -c '{svcadm} {verb} -s {other} 2>$SVC_ROOT/said; echo $? >>$SVC_ROOT/said; \
             sleep 1000 &'"
        )
    };
    let system = System::with(&[&service("own", &start("restart", "own"), "")]);
    system.wait_until("own", "online");
    let line = "svc:/own:default: its own method cannot wait for it (use restart without -s).";
    assert_eq!(system.read("said"), format!("svcadm: {line}\n1\n"));
    let above = daemon("above", &needs(&["below"], "require_all", "none"));
    let system = System::with(&[&service("below", &start("enable", "above"), ""), &above]);
    system.wait_until("above", "online");
    let line = "svc:/above:default: a method of svc:/below:default, which it depends on, cannot \
                wait for it (use enable without -s).";
    assert_eq!(system.read("said"), format!("svcadm: {line}\n1\n"));
}

#[test]
fn requests_are_written_as_smf_writes_them() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let action = |line: &str, action: &str| {
        let words: Vec<&str> = ["-v"].into_iter().chain(line.split(' ')).collect();
        let told = format!("Action {action} set for svc:/a:default.\n");
        assert_eq!(svcadm(&system, &words), (0, told, String::new()));
        let requests = group(&system, "a", "restarter_actions");
        let time = requests.into_iter().find(|(name, _)| name == action).unwrap().1;
        assert!(time.parse::<i64>().unwrap() > 0);
    };
    action("refresh a", "refresh");
    action("restart -d a", "restart");
    let dump = || {
        let requests = group(&system, "a", "restarter_actions");
        requests.into_iter().find(|(name, _)| name == "do_dump").map(|(_, value)| value)
    };
    assert_eq!(dump().as_deref(), Some("true"));
    system.wait_until("a", "online");
    action("restart a", "restart");
    assert_eq!(dump(), None);
    action("mark -It maintenance a", "maint_on_immtemp");
    action("mark -I maintenance a", "maint_on_immediate");
    action("mark -t maintenance a", "maint_on_temporary");
    action("mark maintenance a", "maint_on");
    system.wait_until("a", "maintenance");
    action("clear a", "maint_off");
}

#[test]
fn switches_and_reasons_are_told_and_kept() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let told = |line: &str| {
        let words: Vec<&str> = ["-v"].into_iter().chain(line.split(' ')).collect();
        let (status, out, err) = svcadm(&system, &words);
        assert_eq!((status, err.as_str()), (0, ""));
        out
    };
    let overrides = || group(&system, "a", "general_ovr");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(told("disable -c OPS-1000 -t a"), "svc:/a:default temporarily disabled.\n");
    assert_eq!(overrides(), [pair("comment", "OPS-1000"), pair("enabled", "false")]);
    assert_eq!(told("enable -t a"), "svc:/a:default temporarily enabled.\n");
    assert_eq!(overrides(), [pair("enabled", "true")]);
    assert_eq!(told("disable -c OPS-1001 a"), "svc:/a:default disabled.\n");
    assert_eq!(overrides(), [pair("comment", "OPS-1001")]);
    assert_eq!(told("enable a"), "svc:/a:default enabled.\n");
    assert_eq!(overrides(), []);
}

#[test]
fn milestones_are_written_to_the_master_restarter() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let (status, _, said) = svcadm(&system, &["milestone", "network"]);
    assert_eq!(status, 2);
    assert!(said.starts_with("\"network\" is not a valid major milestone.\nUsage: svcadm "));
    let (status, _, said) = svcadm(&system, &["milestone", "svc:/milestone/guests"]);
    assert_eq!(status, 1);
    assert!(said.contains("No such instance \"svc:/milestone/guests:default\""), "{said}");
    let (status, _, said) = svcadm(&system, &["milestone", "multi-user"]);
    assert_eq!(status, 1);
    assert!(said.contains("No such instance \"svc:/"), "{said}");
    assert_eq!(svcadm(&system, &["milestone", "all"]), ok());
    let read = |pg| group(&system, "system/svc/restarter", pg);
    let all = ("milestone".to_owned(), "all".to_owned());
    assert_eq!((read("options_ovr"), read("options")), (vec![all.clone()], vec![]));
    assert_eq!(svcadm(&system, &["milestone", "-d", "all"]), ok());
    assert_eq!(read("options"), [all]);
    let svcprop = env!("CARGO_BIN_EXE_svcprop");
    let typed = run(&system, svcprop, &["-ctp", "options/milestone", "svc/restarter"]);
    assert_eq!(typed.1, "options/milestone astring all\n");
}

#[test]
fn any_milestone_will_do_and_is_named_as_the_reason() {
    let milestone = service("milestone/guests", ":true", transient())
        .replace("[instance", &(needs(&["a"], "require_all", "none") + "[instance"));
    let system = System::with(&[&daemon("a", ""), &daemon("b", ""), &milestone]);
    for name in ["milestone/guests", "b"] {
        system.wait_until(name, "online");
    }
    assert_eq!(svcadm(&system, &["milestone", "-s", "svc:/milestone/guests"]), ok());
    assert_eq!([system.state("a"), system.state("b")], ["online", "disabled"]);
    let line = "Reason: Milestone svc:/milestone/guests:default does not depend on it.\n";
    assert!(svcs(&system, &["-x", "b"]).contains(line));
    assert_eq!(svcadm(&system, &["milestone", "-s", "all"]), ok());
    assert_eq!(system.state("b"), "online");
}

#[test]
fn who_asks_for_maintenance_is_told() {
    let mark = format!(
        "/bin/sh -c '{} mark -I maintenance other; sleep 1000 &'",
        env!("CARGO_BIN_EXE_svcadm")
    );
    let asks = service("asks", &mark, "").replace("= true", "= false");
    let system = System::with(&[&daemon("other", ""), &asks]);
    system.wait_until("other", "online");
    let told = |line: &str| {
        let told = svcs(&system, &["-x", "other"]);
        assert!(told.contains(&format!("Reason: Maintenance requested by {line}\n")), "{told}");
    };
    system.enable("asks", true);
    system.wait_until("other", "maintenance");
    told("\"svc:/asks:default\"");
    assert_eq!(svcadm(&system, &["clear", "-s", "other"]), ok());
    assert_eq!(svcadm(&system, &["mark", "-s", "maintenance", "other"]), ok());
    told("another service.");
    assert_eq!(svcadm(&system, &["clear", "-s", "other"]), ok());
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_svcadm"));
    command.args(["mark", "-s", "maintenance", "other"]).env("SVC_ROOT", system.path(""));
    assert!(command.stdin(terminal.slave).status().unwrap().success());
    told("an administrator.");
}

#[test]
fn marks_and_milestones_are_waited_for() {
    let system = System::with(&[&daemon("a", ""), &daemon("b", "")]);
    system.wait_until("a", "online");
    system.wait_until("b", "online");
    assert_eq!(svcadm(&system, &["mark", "-s", "degraded", "a"]), ok());
    assert_eq!(system.state("a"), "degraded");
    assert_eq!(svcadm(&system, &["clear", "-s", "a"]), ok());
    assert_eq!(system.state("a"), "online");
    let pid = system.pid("b");
    assert_eq!(svcadm(&system, &["mark", "-Is", "maintenance", "b"]), ok());
    assert_eq!((system.state("b").as_str(), lives(pid)), ("maintenance", true));
    assert_eq!(svcadm(&system, &["clear", "-s", "b"]), ok());
    assert_eq!(svcadm(&system, &["milestone", "-s", "none"]), ok());
    assert_eq!([system.state("a"), system.state("b")], ["disabled", "disabled"]);
    assert_eq!(svcadm(&system, &["milestone", "-s", "all"]), ok());
    assert_eq!([system.state("a"), system.state("b")], ["online", "online"]);
}
