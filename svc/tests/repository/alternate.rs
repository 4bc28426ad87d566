//! svccfg on other repositories than the system's.

use std::fs;

use crate::common::configd;
use crate::fixture::System;

fn script(system: &System, text: &str) -> crate::fixture::Done {
    let file = system.write("script", text);
    let mut command = system.command(env!("CARGO_BIN_EXE_svccfg"), &["-f", &file]);
    command.env("SVCCFG_CONFIGD_PATH", configd()).output().unwrap().into()
}

#[test]
fn a_backup_is_read_and_edited_while_the_system_goes_on() {
    let system = System::with_xend();
    system.repo().back_up("mine").unwrap();
    system.svccfg(&["-s", "xend", "setprop", "config/dom0-min-mem", "=", "512"]).ok();
    let copy = system.path().join("copy.db");
    fs::copy(system.path().join("var/svc/repository-mine"), &copy).unwrap();
    let text = format!("repository {}\nselect xend:default\n", copy.display());
    let listed = script(&system, &format!("{text}unselect\nlistprop config/dom0-min-mem\n")).ok();
    assert_eq!(listed, "config/dom0-min-mem  integer  196\n");
    let edit =
        "setprop general/enabled = true\nrefresh\nselectsnap running\nlistprop general/enabled\n";
    let twice = format!("{text}{edit}{text}listpg\n");
    assert_eq!(
        script(&system, &twice).ok(),
        "general/enabled  boolean  true\ngeneral  framework\n",
        "nobody is asked to refresh"
    );
    // All is in the one file, and the system's is another.
    assert!(!copy.with_extension("db-wal").exists());
    let moved = system.path().join("moved.db");
    fs::rename(&copy, &moved).unwrap();
    let args = ["-s", "xend:default", "listprop", "general/enabled"];
    let mut again = system.command(env!("CARGO_BIN_EXE_svccfg"), &args);
    again.env("SVCCFG_CONFIGD_PATH", configd()).env("SVCCFG_REPOSITORY", &moved);
    let listed = crate::fixture::Done::from(again.output().unwrap()).ok();
    assert_eq!(listed, "general/enabled  boolean  true\n");
    assert_eq!(system.svcprop(&["-cp", "general/enabled", "xend"]).ok(), "false\n");
    assert_eq!(system.svcprop(&["-cp", "config/dom0-min-mem", "xend"]).ok(), "512\n");
}

#[test]
fn a_new_repository_is_filled() {
    let system = System::start();
    let manifest = system.write("a.toml", "service = \"a\"\n[instance.default]\n");
    let file = system.path().join("seed.db");
    let text = format!("repository {}\n", file.display());
    script(&system, &format!("{text}import {manifest}\n")).ok();
    assert_eq!(script(&system, &format!("{text}list\n")).ok(), "a\n");
    assert_eq!(system.svccfg(&["list"]).ok(), "");
}

#[test]
fn what_is_no_repository_is_left_alone() {
    let system = System::with_xend();
    let garbage = "not a database, whatever it is, and long enough to have a header".repeat(20);
    let file = system.write("garbage", &garbage);
    let done = script(&system, &format!("repository {file}\nlist\n"));
    assert_eq!((done.status, done.out.as_str()), (1, ""));
    assert!(done.err.ends_with(&format!("Could not open repository {file}.\n")), "{}", done.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), garbage);
    let own = system.path().join("var/svc/repository.db");
    let error = script(&system, &format!("repository {}\n", own.display())).failed();
    assert!(error.contains("is the system's repository"), "{error}");
    let none = system.shell("SVCCFG_CONFIGD_PATH=/none svccfg repository /tmp/x").failed();
    assert!(none.contains("/none: No such file"), "{none}");
}
