//! Restarters besides `svc.startd`: one in Python, written after docs/restarter-protocol.md, and
//! the example in Rust, with the library's connection.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use svc::value::PropType;

use crate::commands::{svcadm, svcs};
use crate::fixture::{System, lives, signal, wait_for};
use crate::{child, daemon, needs, service};

const RESTARTERS: [fn() -> String; 2] = [python, rust];

fn python() -> String {
    format!("/usr/bin/env python3 {}", script())
}

fn script() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/restarters/restarter.py")
}

/// Examples are built along with the tests, but not with some of them only.
fn rust() -> String {
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_svcs")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "svc", "--example", "restarter"]);
    if programs.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "the example can't be built");
    programs.join("examples/restarter").display().to_string()
}

/// The restarter itself, whose process is in the file `sitter`.
fn sitter(program: &str) -> String {
    let start = format!("/bin/sh -c 'echo $$ >\"$SVC_ROOT/sitter\"; exec {program}'");
    service("sitter", &start, child())
}

/// An instance of the sitter's.
fn ward(name: &str, more: &str) -> String {
    service(name, ":true", &format!("restarter = \"svc:/sitter:default\"\n{more}"))
}

/// The processes of an instance, by `svcs -p`.
fn processes(system: &System, name: &str) -> Vec<i32> {
    let list = svcs(system, &["-Hp", name]);
    let lines = list.lines().skip(1);
    lines.map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect()
}

fn only_process(system: &System, name: &str) -> i32 {
    let all = processes(system, name);
    assert_eq!(all.len(), 1, "{all:?} {}", system.read("heard"));
    all[0]
}

#[test]
fn instances_follow_the_graph_and_their_restarter() {
    for program in RESTARTERS {
        let system = System::with(&[
            &sitter(&program()),
            &daemon("disk", ""),
            &ward("guest", &needs(&["disk"], "require_all", "restart")),
            &daemon("user", &needs(&["guest"], "require_all", "restart")),
        ]);
        system.wait_until("user", "online");
        let (guest, user) = (only_process(&system, "guest"), system.pid("user"));
        assert!(svcs(&system, &["-H", "-R", "svc:/sitter:default", "*"]).contains("svc:/guest"));
        // What it depends on is restarted, and so is it, and who depends on it.
        let disk = system.pid("disk");
        assert_eq!(svcadm(&system, &["restart", "disk"]).0, 0);
        system.another_pid("disk", disk);
        let user = system.another_pid("user", user);
        system.wait_until("user", "online");
        assert!(!lives(guest));
        // Waits work as for all others.
        let guest = only_process(&system, "guest");
        assert_eq!(svcadm(&system, &["restart", "-s", "guest"]).0, 0);
        assert!(!lives(guest) && lives(only_process(&system, "guest")));
        let user = system.another_pid("user", user);
        system.wait_until("user", "online");
        assert_eq!(svcadm(&system, &["disable", "-s", "guest"]).0, 0);
        assert_eq!(
            (system.state("guest"), processes(&system, "guest")),
            ("disabled".into(), vec![])
        );
        system.wait_until("user", "offline");
        assert!(!lives(user));
        assert_eq!(svcadm(&system, &["enable", "-s", "guest"]).0, 0);
        assert_eq!(svcadm(&system, &["mark", "-s", "degraded", "guest"]).0, 0);
        assert_eq!(system.state("guest"), "degraded");
        assert_eq!(svcadm(&system, &["clear", "-s", "guest"]).0, 0);
        assert_eq!(system.state("guest"), "online");
        assert_eq!(svcadm(&system, &["mark", "-s", "maintenance", "guest"]).0, 0);
        assert_eq!(system.reason("guest"), "service_request");
        assert!(svcs(&system, &["-x", "guest"]).contains("Maintenance requested by another"));
        assert_eq!(svcadm(&system, &["clear", "-s", "guest"]).0, 0);
        system.wait_until("user", "online");
        // It dies by itself.
        let (guest, user) = (only_process(&system, "guest"), system.pid("user"));
        signal(guest, Signal::SIGKILL);
        system.another_pid("user", user);
        system.wait_until("guest", "online");
        assert_ne!(only_process(&system, "guest"), guest);
    }
}

#[test]
fn whoever_is_killed_nothing_is_restarted() {
    for program in RESTARTERS {
        let mut system = System::with(&[
            &sitter(&program()),
            &ward("a", ""),
            &ward("b", ""),
            &daemon("user", &needs(&["a"], "require_all", "restart")),
        ]);
        for name in ["user", "b"] {
            system.wait_until(name, "online");
        }
        let all = |system: &System| {
            [only_process(system, "a"), only_process(system, "b"), system.pid("user")]
        };
        let before = all(&system);
        let first = system.pid("sitter");
        signal(first, Signal::SIGKILL);
        let second = system.another_pid("sitter", first);
        system.wait_until("sitter", "online");
        assert_eq!(svcadm(&system, &["mark", "-s", "degraded", "b"]).0, 0, "it is in charge");
        assert_eq!(all(&system), before);
        system.kill_startd();
        system.start_startd();
        assert_eq!(svcadm(&system, &["clear", "-sT", "30", "b"]).0, 0, "it has come back");
        assert_eq!((all(&system), system.pid("sitter")), (before, second));
        system.kill_configd();
        system.start_configd();
        assert_eq!(svcadm(&system, &["mark", "-s", "degraded", "b"]).0, 0);
        assert_eq!(all(&system), before);
        // One that goes while nobody looks is found to be gone.
        system.kill_startd();
        signal(second, Signal::SIGKILL);
        signal(before[0], Signal::SIGKILL);
        system.start_startd();
        system.another_pid("user", before[2]);
        system.wait_until("a", "online");
        system.wait_until("user", "online");
        assert_eq!(only_process(&system, "b"), before[1]);
        assert_ne!(only_process(&system, "a"), before[0]);
    }
}

#[test]
fn without_a_restarter_nothing_is_known() {
    let off = sitter(&python()).replace("enabled = true", "enabled = false");
    let lost = service("lost", ":true", "restarter = \"svc:/nowhere:default\"\n");
    let wrong = service("wrong", ":true", "restarter = \"svc:/sitter\"\n");
    let system = System::with(&[&off, &ward("a", ""), &lost, &wrong]);
    for name in ["a", "lost"] {
        system.wait_until(name, "uninitialized");
    }
    system.wait_until("wrong", "maintenance");
    assert_eq!(system.reason("wrong"), "invalid_restarter");
    let explained = |name: &str, line: &str| {
        let told = svcs(&system, &["-x", name]);
        assert!(told.contains(&format!("Reason: {line}\n")), "{told}");
    };
    explained("a", "Restarter svc:/sitter:default is not running.");
    explained("lost", "Restarter \"svc:/nowhere:default\" does not exist.");
    explained("wrong", "Restarter \"svc:/sitter\" is invalid.");
    let line = |name: &str| {
        format!("svcadm: Restarter for instance \"svc:/{name}:default\" is unavailable.\n")
    };
    for name in ["a", "lost"] {
        assert_eq!(svcadm(&system, &["enable", "-s", name]), (4, String::new(), line(name)));
    }
    assert_eq!(svcadm(&system, &["enable", "-rs", "a"]).0, 0);
    assert_eq!(system.state("a"), "online");
    // It is taken from one to the other: each stops what it has.
    let first = only_process(&system, "a");
    system.set("a", "general", "restarter", PropType::Fmri, "svc:/system/svc/restarter:default");
    wait_for("the master to take it over", || (!lives(first)).then_some(()));
    system.wait_until("a", "online");
    let end = "DISABLE svc:/a:default\nREMOVE_INSTANCE svc:/a:default\n";
    wait_for("the word to the restarter", || system.read("heard").ends_with(end).then_some(()));
    system.set("a", "general", "restarter", PropType::Fmri, "svc:/sitter:default");
    wait_for("a process", || processes(&system, "a").first().copied());
    system.delete("a");
    wait_for("its end", || {
        (system.read("heard").matches("REMOVE_INSTANCE").count() == 2).then_some(())
    });
}

#[test]
fn what_fails_is_told_and_cycles_are_broken() {
    let system = System::with(&[
        &sitter(&python()),
        &ward("a", "").replace("= true", "= false"),
        &ward("x", &needs(&["y"], "require_all", "none")),
        &ward("y", &needs(&["x"], "require_all", "none")),
    ]);
    std::fs::write(system.path("broken"), "svc:/a:default\n").unwrap();
    system.wait_until("a", "disabled");
    assert_eq!(svcadm(&system, &["enable", "-s", "a"]).0, 3);
    assert_eq!(system.reason("a"), "fault_threshold_reached");
    assert!(svcs(&system, &["-x", "a"]).contains("Reason: Method failed repeatedly.\n"));
    std::fs::remove_file(system.path("broken")).unwrap();
    assert_eq!(svcadm(&system, &["clear", "-s", "a"]).0, 0);
    assert!(system.log("a").contains(" Started by hand. ]\n"));
    assert_eq!(svcadm(&system, &["refresh", "a"]).0, 0);
    wait_for("a refresh", || system.read("heard").contains("ADMIN_REFRESH svc:/a").then_some(()));
    let in_cycle = |name: &str| system.reason(name) == "dependency_cycle";
    wait_for("the cycle", || ["x", "y"].into_iter().find(|name| in_cycle(name)));
}

#[test]
fn everything_ends_before_its_restarter_does() {
    let mut system = System::with(&[&sitter(&python()), &ward("a", "")]);
    system.wait_until("a", "online");
    let (guest, restarter) = (only_process(&system, "a"), system.pid("sitter"));
    assert!(system.stop_startd());
    assert!(!lives(guest) && !lives(restarter));
    assert!(system.read("heard").ends_with("DISABLE svc:/a:default\n"));
}

/// A line said to `svc.startd` on a connection of its own, and the first that it answers.
fn answer(stream: &UnixStream, said: &[u8]) -> String {
    (&*stream).write_all(said).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn whatever_is_said_does_no_harm() {
    let system = System::with(&[&sitter(&python()), &ward("a", ""), &daemon("other", "")]);
    for name in ["a", "other"] {
        system.wait_until(name, "online");
    }
    let socket = system.path("run/svc/restarter.sock");
    let connect = || UnixStream::connect(&socket).unwrap();
    let bind = |name: &str| {
        format!("{{\"request\":\"bind\",\"restarter\":\"svc:/{name}:default\",\"version\":1}}\n")
    };
    let long = vec![b'x'; 70_000];
    let strange: [&[u8]; 5] = [b"\n", b"{}\n", b"\xff\xfe\n", &long, b"{\"request\":\"report\"}\n"];
    for said in strange {
        let told = answer(&connect(), said);
        assert!(told.starts_with("{\"event\":\"ERROR\",\"message\":\""), "{told}");
    }
    assert!(answer(&connect(), bind("nobody").as_bytes()).contains("there is no instance"));
    let old = bind("sitter").replace(":1}", ":7}");
    assert!(answer(&connect(), old.as_bytes()).contains("version 7 is not spoken here"));
    // Others' instances, and others' processes, are out of reach.
    let stream = connect();
    let mut lines = BufReader::new(&stream).lines();
    (&stream).write_all(bind("other").as_bytes()).unwrap();
    assert!(lines.next().unwrap().unwrap().contains("BOUND"));
    assert!(lines.next().unwrap().unwrap().contains("SYNCED"));
    let report =
        "{\"request\":\"report\",\"instance\":\"svc:/a:default\",\"state\":\"disabled\"}\n";
    (&stream).write_all(report.as_bytes()).unwrap();
    assert!(lines.next().unwrap().unwrap().contains("is no instance of svc:/other:default"));
    // A flood that isn't read, and connections that say nothing.
    let idle: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
    let flood = connect();
    flood.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let _ = (&flood).write_all(&report.repeat(50_000).into_bytes());
    drop(idle);
    let guest = only_process(&system, "a");
    assert_eq!(svcadm(&system, &["restart", "-s", "a"]).0, 0);
    assert!(!lives(guest));
    let taken = only_process(&system, "a");
    // Another process takes the restarter's place, and names what isn't its own.
    let rival = connect();
    let mut lines = BufReader::new(&rival).lines();
    (&rival).write_all(bind("sitter").as_bytes()).unwrap();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().contains("BOUND"));
    assert!(next().contains(&format!("\"processes\":[{taken}]")));
    assert!(next().contains("SYNCED"));
    let other = system.pid("other");
    let pids = report.replace("}\n", &format!(",\"processes\":[{other}]}}\n"));
    (&rival).write_all(pids.as_bytes()).unwrap();
    assert!(next().contains("is somebody else's"));
    assert!(lives(other) && system.state("other") == "online");
}

#[test]
fn only_root_may_be_a_restarter() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let system = System::with(&[&sitter(&python())]);
    system.wait_until("sitter", "online");
    let open = || std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(system.path(""), open()).unwrap();
    let program = system.path("restarter");
    std::fs::copy(rust(), &program).unwrap();
    let mut command = Command::new(program);
    command.env("SVC_ROOT", system.path("")).env("SMF_FMRI", "svc:/sitter:default");
    let output = command.uid(65534).gid(65534).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("user 65534 may not be a restarter"), "{told}");
}
