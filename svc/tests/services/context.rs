//! The context of methods: who they are, where, with which limits and capabilities.

use crate::fixture::System;
use crate::{service, transient};

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// A transient service whose start method says what it is; `context` is its method_context.
fn saying(what: &str, context: &str) -> String {
    let context = if context.is_empty() { "" } else { &format!("[method_context]\n{context}") };
    let more = format!("{}{context}[method.start]", transient());
    service("a", &format!("/bin/sh -c '{what}'"), "").replace("[method.start]", &more)
}

fn log_of(manifest: &str, state: &str) -> String {
    let system = System::with(&[manifest]);
    system.wait_until("a", state);
    system.log("a")
}

#[test]
fn limits_directory_and_environment_are_set() {
    let context = "working_directory = \"/usr\"\nlimits = [\"nofile=100:200\", \"core=0\"]\n\
                   environment = [\"X=1\", \"X=2\", \"nonsense\", \"SMF_FMRI=svc:/other\"]\n";
    let log = log_of(
        &saying("pwd; ulimit -Sn; ulimit -Hn; ulimit -c; echo $X $SMF_FMRI", context),
        "online",
    );
    assert!(log.contains("\n/usr\n100\n200\n0\n2 svc:/a:default\n"), "{log}");
    assert!(log.contains("Ignoring bad environment setting \"nonsense\"."), "{log}");
}

#[test]
fn a_context_that_can_not_be_had_fails_the_method_for_good() {
    for (context, line) in [
        ("user = \"nobody-here\"\n", "There is no user \"nobody-here\"."),
        ("group = \"nobody-here\"\n", "There is no group \"nobody-here\"."),
        ("working_directory = \"/none\"\n", "Working directory \"/none\": No such file"),
        ("working_directory = \"usr\"\n", "Working directory \"usr\" is not an absolute path."),
        ("limits = [\"files=1\"]\n", "There is no limit \"files\"."),
        ("privileges = \"cap_fly\"\n", "There is no capability \"cap_fly\"."),
    ] {
        let system = System::with(&[&saying("echo started", context)]);
        system.wait_until("a", "maintenance");
        let log = system.log("a");
        assert!(log.contains(line), "no {line} in:\n{log}");
        assert!(log.contains("Method \"start\" failed with exit status 96."), "{log}");
        assert!(!log.contains("\nstarted\n"), "{log}");
        assert_eq!(system.reason("a"), "method_failed");
        let status = system.property("a", "restarter", "start_method_waitstatus");
        assert_eq!(status, Some((96 << 8).to_string()));
    }
}

#[test]
fn a_user_has_the_groups_and_the_home_of_passwd() {
    if !is_root() {
        return;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("daemon:")).unwrap();
    let [uid, gid, _, home] = line.splitn(7, ':').collect::<Vec<_>>()[2..6] else { panic!() };
    let show = "id -u; id -g; id -G; pwd";
    let log = log_of(&saying(show, "user = \"daemon\"\n"), "online");
    assert!(log.contains(&format!("\n{uid}\n{gid}\n{gid}\n{home}\n")), "{log}");
    let context = "user = \"daemon\"\ngroup = \"4710\"\nsupp_groups = \"4711, 4712\"\n\
                   working_directory = \"/\"\n";
    let log = log_of(&saying(show, context), "online");
    assert!(log.contains(&format!("\n{uid}\n4710\n4710 4711 4712\n/\n")), "{log}");
}

#[test]
fn capabilities_are_what_was_asked_for() {
    if !is_root() {
        return;
    }
    let show = "grep ^Cap /proc/self/status";
    let user = "user = \"daemon\"\nworking_directory = \"/\"\n";
    let asked = format!(
        "{user}privileges = \"basic,proc_session,cap_kill,cap_net_raw\"\n\
         limit_privileges = \"cap_kill,cap_chown\"\n"
    );
    let log = log_of(&saying(show, &asked), "online");
    for line in ["CapPrm", "CapEff", "CapAmb"] {
        assert!(log.contains(&format!("{line}:\t0000000000000020\n")), "{log}");
    }
    assert!(log.contains("CapBnd:\t0000000000000021\n"), "{log}");
    assert!(log.contains("Ignoring privilege proc_session, which Linux doesn't have."), "{log}");
    let log = log_of(&saying(show, user), "online");
    assert!(log.contains("CapEff:\t0000000000000000\n"), "{log}");
    // Root, too, has only what it asked for.
    let log = log_of(&saying(show, "privileges = \"basic,cap_chown\"\n"), "online");
    assert!(log.contains("CapEff:\t0000000000000001\n"), "{log}");
}

#[test]
fn what_linux_does_not_have_is_said_to_be_ignored() {
    let manifest = saying("true", "").replace(
        "[group.startd]",
        "[group.method_context]\ntype = \"framework\"\n[group.method_context.property]\n\
         corefile_pattern = \"/cores/%f\"\nproject = \":default\"\n[group.startd]",
    );
    let log = log_of(&manifest, "online");
    assert!(log.contains("Ignoring corefile_pattern, which Linux doesn't have."), "{log}");
    assert!(!log.contains("project"), "{log}");
}
