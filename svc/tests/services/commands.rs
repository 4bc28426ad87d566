//! svcs and svcadm against services that run: what they print, and how they end.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::fixture::{System, signal};
use crate::{daemon, needs, service};

/// What a command did: status, standard output, standard error.
pub type Done = (i32, String, String);

pub fn run(system: &System, program: &str, arguments: &[&str]) -> Done {
    let mut command = Command::new(program);
    let output = command.args(arguments).env("SVC_ROOT", system.path("")).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub fn svcs(system: &System, arguments: &[&str]) -> String {
    let (status, out, err) = run(system, env!("CARGO_BIN_EXE_svcs"), arguments);
    assert_eq!((status, err.as_str()), (0, ""), "svcs {arguments:?}");
    // The master restarter is in every list; a line of `svcs -l` that names it begins with a word.
    let is_master =
        |line: &str| line.contains("system/svc/restarter") && !line.starts_with("restarter ");
    out.split_inclusive('\n').filter(|line| !is_master(line)).collect()
}

pub fn svcadm(system: &System, arguments: &[&str]) -> Done {
    run(system, env!("CARGO_BIN_EXE_svcadm"), arguments)
}

fn ok() -> Done {
    (0, String::new(), String::new())
}

#[test]
fn enable_and_disable_wait_for_the_end() {
    let slow = "/bin/sh -c 'sleep 1; sleep 1000 &'";
    let system = System::with(&[&service("a", slow, "").replace("= true", "= false")]);
    system.wait_until("a", "disabled");
    let began = Instant::now();
    assert_eq!(svcadm(&system, &["enable", "-s", "a"]), ok());
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(system.state("a"), "online");
    assert_eq!(svcadm(&system, &["disable", "-st", "a"]), ok());
    assert_eq!(system.state("a"), "disabled");
    assert!(svcs(&system, &["-l", "a"]).contains("\nenabled      false (temporary)\n"));
    let said = svcadm(&system, &["-v", "enable", "-s", "a"]);
    assert_eq!(said, (0, "svc:/a:default enabled.\n".to_owned(), String::new()));
    assert!(svcs(&system, &["-l", "a"]).contains("\nenabled      true\n"));
}

#[test]
fn a_wait_that_is_in_vain_ends_too() {
    let broken = service("broken", "/bin/sh -c 'exit 95'", "").replace("= true", "= false");
    let off = daemon("off", "").replace("= true", "= false");
    let waits =
        daemon("waits", &needs(&["off"], "require_all", "none")).replace("= true", "= false");
    let system = System::with(&[&broken, &off, &waits]);
    for name in ["broken", "off", "waits"] {
        system.wait_until(name, "disabled");
    }
    let said = |line: &str| format!("svcadm: Instance \"svc:/{line}\n");
    assert_eq!(
        svcadm(&system, &["enable", "-s", "broken"]),
        (3, String::new(), said("broken:default\" is in maintenance state."))
    );
    assert_eq!(
        svcadm(&system, &["enable", "-s", "waits"]),
        (4, String::new(), said("waits:default\" has unsatisfied dependencies."))
    );
    let (status, ..) = svcadm(&system, &["enable", "-s", "waits", "broken"]);
    assert_eq!(status, 3, "the worse one counts");
    assert_eq!(svcadm(&system, &["enable", "-rs", "waits"]), ok());
    assert_eq!(system.state("off"), "online");
    // Enabling is no way out of maintenance.
    assert_eq!(svcadm(&system, &["clear", "off"]).0, 1);
    assert_eq!(svcadm(&system, &["enable", "broken"]), ok());
    assert_eq!(system.state("broken"), "maintenance");
    assert_eq!(svcadm(&system, &["disable", "-s", "broken"]), ok());
}

#[test]
fn svcs_x_names_the_root_cause_and_whom_it_concerns() {
    let broken =
        service("broken", "/bin/sh -c 'exit 96'", "[template]\ncommon_name = \"a test\"\n");
    let system = System::with(&[
        &broken,
        &daemon("b", &needs(&["broken"], "require_all", "none")),
        &daemon("c", &needs(&["b"], "require_all", "none")),
        &daemon("fine", ""),
    ]);
    system.wait_until("broken", "maintenance");
    system.wait_until("c", "offline");
    system.wait_until("fine", "online");
    let told = svcs(&system, &["-x"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "svc:/broken:default (a test)");
    assert!(lines[1].starts_with(" State: maintenance since "), "{told}");
    assert_eq!(lines[2], "Reason: Start method exited with $SMF_EXIT_ERR_CONFIG.");
    let log = format!("   See: {}/var/svc/log/broken:default.log", system.path("").display());
    assert!(lines.contains(&log.replace("//", "/").as_str()), "{told}");
    let impact = "Impact: 2 dependent services are not running.  (Use -v for list.)";
    assert_eq!(lines.last(), Some(&impact), "{told}");
    let told = svcs(&system, &["-xv", "c"]);
    let reason = "Reason: Service svc:/broken:default is not running because a method failed.";
    assert!(told.contains(&format!("{reason}\n")), "{told}");
    let path =
        "  Path: svc:/c:default\n          svc:/b:default\n            svc:/broken:default\n";
    assert!(told.contains(path), "{told}");
    assert!(svcs(&system, &["-x", "fine"]).contains("\nImpact: None.\n"));
}

#[test]
fn svcs_shows_processes_states_and_dependencies() {
    let system =
        System::with(&[&daemon("a", ""), &daemon("b", &needs(&["a"], "require_all", "restart"))]);
    system.wait_until("b", "online");
    let pid = system.pid("a");
    let shown = svcs(&system, &["-p", "a"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "STATE          STIME    FMRI");
    assert!(lines[1].starts_with("online         ") && lines[1].ends_with(" svc:/a:default"));
    assert!(lines[2].ends_with(&format!("{pid:6} sleep")), "{shown}");
    assert_eq!(svcs(&system, &["-H", "-o", "fmri", "-d", "b"]), "svc:/a:default\n");
    assert_eq!(svcs(&system, &["-H", "-o", "fmri", "-D", "a"]), "svc:/b:default\n");
    let long = svcs(&system, &["-l", "b"]);
    assert!(long.contains("dependency   require_all/restart svc:/a (online)\n"), "{long}");
}

#[test]
fn restart_refresh_and_clear_are_obeyed() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    assert_eq!(svcadm(&system, &["restart", "a"]), ok());
    let next = system.another_pid("a", pid);
    system.wait_until("a", "online");
    assert_eq!(svcadm(&system, &["refresh", "a"]), ok());
    assert_eq!(svcadm(&system, &["mark", "maintenance", "a"]), ok());
    system.wait_until("a", "maintenance");
    assert!(svcs(&system, &["-x", "a"]).contains("Maintenance requested by another service."));
    assert_eq!(svcadm(&system, &["clear", "a"]), ok());
    let last = system.another_pid("a", next);
    system.wait_until("a", "online");
    signal(last, Signal::SIGKILL);
    system.another_pid("a", last);
}

#[test]
fn unknown_and_ambiguous_names_are_complained_about() {
    let start = "/bin/sh -c 'sleep 1000 &'";
    let system = System::with(&[&service("x/one", start, ""), &service("y/one", start, "")]);
    for name in ["x/one", "y/one"] {
        system.wait_until(name, "online");
    }
    let none = "svcadm: Pattern 'nobody' doesn't match any instances\n";
    assert_eq!(svcadm(&system, &["restart", "nobody"]), (1, String::new(), none.to_owned()));
    let (status, _, said) = svcadm(&system, &["disable", "one"]);
    assert_eq!(status, 1);
    assert!(said.contains("matches multiple instances"), "{said}");
    assert_eq!(["x/one", "y/one"].map(|name| system.state(name)), ["online", "online"]);
    assert_eq!(svcadm(&system, &["frobnicate", "one"]).0, 2);
    assert_eq!(svcs(&system, &["-H", "-o", "fmri", "one"]).lines().count(), 2);
}
