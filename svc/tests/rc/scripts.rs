//! What foreign scripts do, and how they are noted.

use std::process::Command;

use svc::rc::legacy;

use crate::Root;

fn said(out: &str, err: &str) -> (String, String) {
    (out.to_owned(), err.to_owned())
}

fn output(done: (i32, String, String)) -> (String, String) {
    (done.1, done.2)
}

#[test]
fn a_daemon_is_started_and_stopped_by_its_pid_file() {
    let root = Root::new("daemon=YES\ndaemon_flags='-v -x'\n");
    assert_eq!(root.script("status"), (1, "daemon is not running.\n".into(), String::new()));
    assert_eq!(root.script("start"), (0, "Starting daemon.\n".into(), String::new()));
    assert_eq!(root.read("trace"), "started -v -x\n");
    let pid = root.pid();
    assert_eq!(root.script("status"), (0, format!("daemon is running as pid {pid}.\n"), "".into()));
    let again = (1, String::new(), format!("daemon already running? (pid={pid}).\n"));
    assert_eq!(root.script("start"), again);
    let (status, out, err) = root.script("stop");
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with("Stopping daemon.\n"), "{out}");
    let gone = (1, String::new(), "daemon not running? (check /run/daemon.pid).\n".into());
    assert_eq!(root.script("stop"), gone);
}

#[test]
fn a_pid_file_of_another_program_is_not_believed() {
    let root = Root::new("daemon=YES\n");
    root.write("run/daemon.pid", &std::process::id().to_string());
    assert_eq!(root.script("status").0, 1);
    root.write("run/daemon.pid", "-1\n");
    assert_eq!(root.script("stop").0, 1);
    root.write("run/daemon.pid", "");
}

#[test]
fn rc_conf_decides_and_one_overrides() {
    let root = Root::new("daemon=NO\n");
    assert_eq!(root.script("rcvar"), (0, "# daemon\n$daemon=NO\n".into(), String::new()));
    let (status, out, err) = root.script("start");
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.starts_with("$daemon is not enabled - see rc.conf(5).\n"), "{err}");
    assert!(err.ends_with("  /etc/rc.d/daemon onestart\n"), "{err}");
    assert_eq!(root.script("onestart"), (0, "Starting daemon.\n".into(), String::new()));
    assert_eq!(root.script("onestop").0, 0);
    root.write("etc/rc.conf", "daemon=maybe\n");
    let (status, _, err) = root.script("status");
    assert_eq!(status, 1);
    let warning = "/etc/rc.d/daemon: WARNING: $daemon is not set properly - see rc.conf(5).\n";
    assert!(err.starts_with(warning), "{err}");
    root.write("etc/rc.conf.d/daemon", "daemon=on\n");
    assert_eq!(root.script("rcvar").1, "# daemon\n$daemon=YES\n");
}

#[test]
fn what_is_required_is_looked_at() {
    let root = Root::new("daemon=YES\n");
    std::fs::remove_file(root.path("etc/daemon.conf")).unwrap();
    let warning = "/etc/rc.d/daemon: WARNING: /etc/daemon.conf is not readable.\n";
    assert_eq!(root.script("start"), (1, String::new(), warning.into()));
    assert_eq!(root.script("forcestart").0, 0);
    std::fs::remove_file(root.path("bin/daemon")).unwrap();
    assert_eq!(root.script("faststart"), (0, String::new(), String::new()));
}

#[test]
fn verbs_are_its_own_and_the_usual_ones() {
    let root = Root::new("daemon=YES\n");
    assert_eq!(output(root.script("hail")), said("hail to hail\n", ""));
    let usage = "Usage: /etc/rc.d/daemon [fast|force|one]\
                 (start stop restart rcvar reload hail status poll)\n";
    let unknown = format!("/etc/rc.d/daemon: unknown directive 'dance'.\n{usage}");
    assert_eq!(root.script("dance"), (1, String::new(), unknown));
    assert_eq!(root.script(""), (1, String::new(), usage.into()));
    assert_eq!(root.script("start").0, 0);
    let before = root.pid();
    let (status, out, _) = root.script("restart");
    assert_eq!(status, 0);
    assert!(out.starts_with("Stopping daemon.\n") && out.ends_with("Starting daemon.\n"), "{out}");
    assert_ne!(root.pid(), before);
    // sleep dies of a signal that it doesn't expect.
    assert_eq!(output(root.script("reload")), said("Reloading daemon config files.\n", ""));
}

#[test]
fn a_script_without_a_manifest_is_a_legacy_service() {
    let root = Root::new("daemon=YES\n").with_configd();
    let lsvcrun = |verb: &str, script: &str| {
        let mut command: Command = root.command(env!("CARGO_BIN_EXE_lsvcrun"));
        root.done(command.arg(root.path(script)).arg(verb))
    };
    assert_eq!(lsvcrun("start", "etc/rc.d/daemon").0, 0);
    let fmris: Vec<_> = legacy::all(&root.repo()).unwrap().into_iter().map(|l| l.fmri).collect();
    let path = root.path("etc/rc.d/daemon").display().to_string();
    assert_eq!(fmris, [format!("lrc:{}", path.replace('.', "_"))]);
    assert_eq!(lsvcrun("stop", "etc/rc.d/daemon").0, 0);
    assert_eq!(legacy::all(&root.repo()).unwrap(), []);
    // Switched off, at boot: neither run nor noted, and nobody hears of it.
    root.write("etc/rc.conf", "daemon=NO\n");
    assert_eq!(lsvcrun("start", "etc/rc.d/daemon"), (0, String::new(), String::new()));
    assert_eq!(legacy::all(&root.repo()).unwrap(), []);
    // Ours are left to the framework.
    root.write("etc/rc.d/mine", "name=mine\nrcvar=mine\nsmf_fmri=svc:/site/mine:default\nfalse\n");
    assert_eq!(lsvcrun("start", "etc/rc.d/mine"), (0, String::new(), String::new()));
    std::fs::write(root.path("etc/daemon.conf.txt"), "").unwrap();
    // What an editor leaves, and what isn't meant to be run, is passed over.
    root.write("etc/rc.conf", "daemon=YES\n");
    std::fs::copy(root.path("etc/rc.d/daemon"), root.path("etc/rc.d/daemon.orig")).unwrap();
    let (status, out, err) = lsvcrun("start", "etc/rc.d/daemon.orig");
    assert_eq!((status, out.as_str()), (0, ""));
    assert!(err.ends_with("WARNING: Ignoring scratch file /etc/rc.d/daemon.orig\n"), "{err}");
    let (status, out, err) = lsvcrun("start", "etc/daemon.conf.txt");
    assert_eq!((status, out.as_str()), (0, ""));
    assert!(err.contains("Ignoring non-executable file"), "{err}");
    let (status, _, err) = lsvcrun("start", "etc/rc.d/none");
    assert_eq!(status, 1);
    assert!(err.contains("/etc/rc.d/none: No such file or directory"), "{err}");
}
