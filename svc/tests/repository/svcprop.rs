//! svcprop: formats, selections, waiting.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::fixture::{Done, System};

const FMRI: &str = "svc:/system/xvm/xend:default";

#[test]
fn one_property_is_bare_and_several_are_named() {
    let system = System::with_xend();
    assert_eq!(system.svcprop(&["-p", "config/dom0-min-mem", "xend"]).ok(), "196\n");
    assert_eq!(
        system.svcprop(&["-p", "config", "xend"]).ok(),
        "config/default-nic astring \"\"\n\
         config/dom0-min-mem integer 196\n\
         config/enable-dump boolean false\n\
         config/xend-relocation-address astring localhost\n\
         config/xend-relocation-hosts-allow astring \\^localhost$\n"
    );
    assert_eq!(
        system.svcprop(&["-t", "-p", "config/dom0-min-mem", "xend"]).ok(),
        "config/dom0-min-mem integer 196\n"
    );
    assert_eq!(
        system.svcprop(&["-f", "-p", "config/dom0-min-mem", "xend"]).ok(),
        format!("{FMRI}/:properties/config/dom0-min-mem integer 196\n")
    );
    let property = format!("{FMRI}/:properties/general/enabled");
    assert_eq!(system.svcprop(&["-C", &property]).ok(), "false\n");
    let all = system.svcprop(&["xend"]).ok();
    assert!(all.contains("start/exec astring /lib/svc/method/xend\n"), "{all}");
}

#[test]
fn several_operands_give_full_names() {
    let system = System::with_xend();
    system.svccfg(&["-s", "svc:/system/xvm/xend", "add", "spare"]).ok();
    let out = system.svcprop(&["-p", "config/dom0-min-mem", "*xend*"]).ok();
    assert_eq!(
        out,
        "svc:/system/xvm/xend:default/:properties/config/dom0-min-mem integer 196\n\
         svc:/system/xvm/xend:spare/:properties/config/dom0-min-mem integer 196\n"
    );
}

#[test]
fn views_differ_until_a_refresh() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend", "setprop", "config/dom0-min-mem", "=", "512"]).ok();
    let with = |option: &[&str]| {
        let args = [option, &["-p", "config/dom0-min-mem", "xend"]].concat();
        system.svcprop(&args)
    };
    assert_eq!(with(&[]).ok(), "196\n");
    assert_eq!(with(&["-c"]).ok(), "512\n");
    assert_eq!(with(&["-s", "initial"]).ok(), "196\n");
    let missing =
        format!("svcprop: Couldn't find property group `config' for instance `{FMRI}'.\n");
    assert_eq!(with(&["-C"]).failed(), missing);
    assert!(with(&["-s", "nope"]).failed() == "svcprop: No such snapshot.\n");
    let service = system.svcprop(&["-p", "config/dom0-min-mem", "svc:/system/xvm/xend"]).ok();
    assert_eq!(service, "512\n");
}

#[test]
fn what_is_missing_is_told_unless_quiet() {
    let system = System::with_xend();
    let missing = |args: &[&str]| system.svcprop(&[args, &["-p", "config/x", "xend"]].concat());
    let complaint = format!("svcprop: Couldn't find property `config/x' for instance `{FMRI}'.\n");
    assert_eq!(missing(&[]).failed(), complaint);
    assert_eq!(missing(&["-q"]).failed(), "");
    assert_eq!(missing(&["-qv"]).failed(), complaint);
    assert_eq!(system.svcprop(&["-q", "-p", "config/dom0-min-mem", "xend"]).ok(), "");
    assert!(
        system
            .svcprop(&["-p", "nope", "xend"])
            .failed()
            .contains("property group `nope' for instance `")
    );
    assert!(system.svcprop(&["nobody"]).failed().contains("Pattern 'nobody' doesn't match"));
    assert_eq!(system.svcprop(&["-q", "nobody"]).failed(), "");
    assert_eq!(system.svcprop(&[]).status, 2);
    assert_eq!(system.svcprop(&["-z", "xend"]).status, 2);
}

#[test]
fn some_may_be_there_and_some_not() {
    let system = System::with_xend();
    let done = system.svcprop(&["-p", "config/dom0-min-mem", "-p", "config/x", "xend"]);
    assert_eq!((done.status, done.out.as_str()), (1, "196\n"));
    assert!(done.err.contains("config/x"));
}

#[test]
fn waiting_ends_with_a_change_of_that_group() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend:default", "addpg", "state", "framework", "P"]).ok();
    system.svccfg(&["-s", "xend:default", "setprop", "state/now", "=", "count:", "6"]).ok();
    let waiting = system
        .command(env!("CARGO_BIN_EXE_svcprop"), &["-w", "-p", "state/now", "xend"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(300));
    system.svccfg(&["-s", "xend", "setprop", "config/dom0-min-mem", "=", "1"]).ok();
    let mut waiting = waiting;
    assert!(waiting.try_wait().unwrap().is_none(), "another group's change is no reason");
    system.svccfg(&["-s", "xend:default", "setprop", "state/now", "=", "count:", "7"]).ok();
    assert_eq!(Done::from(waiting.wait_with_output().unwrap()).ok(), "7\n");
    assert!(system.svcprop(&["-w", "-p", "nope", "xend"]).failed().contains("Not found."));
}

#[test]
fn values_are_in_one_line_and_groups_have_names() {
    let system = System::with_xend();
    let line = "setprop config/hosts = astring: (\"a b\" \"\" \"it's\")";
    system.svccfg(&["-s", "svc:/system/xvm/xend", line]).ok();
    system.svccfg(&["-s", "xend:default", "refresh"]).ok();
    let svcprop = |line: &str| system.svcprop(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(svcprop("-p config/hosts xend").ok(), "a\\ b \"\" it\\'s\n");
    let two = "-p config/hosts -p config/dom0-min-mem xend";
    assert_eq!(svcprop(two).ok(), "a\\ b \"\" it\\'s\n196\n");
    let mixed = svcprop("-p config/dom0-min-mem -p general xend").ok();
    assert!(
        mixed.starts_with("config/dom0-min-mem integer 196\ngeneral/enabled boolean"),
        "{mixed}"
    );
    let group = format!("{FMRI}/:properties/config");
    assert_eq!(svcprop(&format!("-p dom0-min-mem {group}")).ok(), "196\n");
    assert_eq!(svcprop(&group).ok(), svcprop("-p config xend").ok());
    let full = svcprop("-fp config/dom0-min-mem svc:/system/xvm/xend").ok();
    assert_eq!(full, "svc:/system/xvm/xend/:properties/config/dom0-min-mem integer 196\n");
}

#[test]
fn wrong_usage_is_told_as_smf_tells_it() {
    let system = System::with_xend();
    let told = |line: &str, status: i32| {
        let done = system.svcprop(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.status, done.out.as_str()), (status, ""), "{line}");
        done.err
    };
    let said = |line: &str| format!("svcprop: {line}\n");
    assert_eq!(told("-p 7/a xend", 2), said("Invalid component name `7'."));
    assert_eq!(told("-w xend", 2), said("Cannot wait for an instance."));
    assert_eq!(told("-w svc:/system/xvm/xend", 2), said("Cannot wait for a service."));
    assert_eq!(told("-s start svc:/system/xvm/xend", 1), said("Only instances have snapshots."));
    let group = format!("{FMRI}/:properties/config");
    let line = format!("-p argument `a/b' has too many components for property group `{group}'.");
    assert_eq!(told(&format!("-p a/b {group}"), 2), said(&line));
    let line = "svcprop: The -p option cannot be used with property operands.\nUsage: svcprop ";
    assert!(told(&format!("-p a {group}/keymap"), 2).starts_with(line));
    system.svccfg(&["-s", "svc:/system/xvm/xend", "add", "spare"]).ok();
    let line = "Pattern 'system/xvm/xend' matches multiple instances:";
    assert!(told("-w -p general system/xvm/xend", 1).starts_with(&format!("svcprop: {line}")));
}
