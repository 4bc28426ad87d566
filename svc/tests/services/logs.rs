//! The logs: what their lines look like, who may read them, and that they may be rotated.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::fixture::{System, wait_for};
use crate::{daemon, service};

/// Whether a line begins as `Nov  3 09:04:31`.
fn is_stamped(line: &str) -> bool {
    let shape: String = line
        .chars()
        .take(15)
        .map(|c| match c {
            '0'..='9' => '9',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            other => other,
        })
        .collect();
    matches!(shape.as_str(), "Aaa 99 99:99:99" | "Aaa  9 99:99:99")
}

#[test]
fn lines_are_stamped_and_everybody_may_read_them() {
    let system = System::with(&[&service("a/b", "/bin/sh -c 'echo output; exit 95'", "")]);
    system.wait_until("a/b", "maintenance");
    let log = system.log("a/b");
    let (ours, output): (Vec<&str>, Vec<&str>) =
        log.lines().partition(|line| line.starts_with("[ "));
    assert_eq!(output, ["output"]);
    assert!(ours.iter().all(|line| is_stamped(&line[2..]) && line.ends_with(" ]")), "{log}");
    assert!(ours[0].ends_with(" Enabled. ]"), "{log}");
    let global = system.read("var/svc/log/svc.startd.log");
    let line =
        "a/b:default failed fatally: transitioned to maintenance (see 'svcs -xv' for details)";
    let found = global.lines().find(|found| found.ends_with(line)).expect(&global);
    assert!(is_stamped(found) && found.contains("/1 ERROR: "), "{global}");
    assert!(system.read("daemons.log").contains(line));
    for name in ["a-b:default.log", "svc.startd.log"] {
        let mode =
            fs::metadata(system.path("var/svc/log").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }
}

#[test]
fn a_log_that_was_renamed_is_begun_anew() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let path = system.path("var/svc/log/a:default.log");
    fs::rename(&path, path.with_extension("log.0")).unwrap();
    system.request("a", "refresh");
    wait_for("a new log", || system.log("a").contains("Rereading configuration.").then_some(()));
    assert!(!system.log("a").contains("Enabled."));
    assert!(system.read("var/svc/log/a:default.log.0").contains("Enabled."));
}
