//! svccfg: what is typed, what is answered, what is refused.

use std::io::Write;
use std::process::Stdio;

use crate::fixture::{Done, System};

#[test]
fn the_book_types() {
    let system = System::with_xend();
    let listed = system.shell("svccfg -s xend listprop").ok();
    assert!(
        listed.contains("config/xend-relocation-address      astring  localhost\n"),
        "{listed}"
    );
    system.shell(r#"svccfg -s xend setprop config/xend-relocation-address = \"\""#).ok();
    let address = "config/xend-relocation-address";
    assert_eq!(
        system.svccfg(&["-s", "xend", "listprop", address]).ok(),
        format!("{address}  astring  \n")
    );
    assert_eq!(system.svcprop(&["-c", "-p", address, "xend"]).ok(), "\"\"\n");
}

#[test]
fn a_shell_may_have_taken_the_quotes() {
    let system = System::with_xend();
    for line in [
        r#"svccfg -s xend setprop config/default-nic = """#,
        r#"svccfg -s xend setprop config/default-nic = '""'"#,
        r#"svccfg -s xend setprop config/default-nic = astring: \"\""#,
    ] {
        system.shell("svccfg -s xend setprop config/default-nic = eth0").ok();
        system.shell(line).ok();
        assert_eq!(system.svcprop(&["-cp", "config/default-nic", "xend"]).ok(), "\"\"\n", "{line}");
    }
    let error = system.shell("svccfg -s xend setprop config/default-nic =").failed();
    assert!(error.starts_with("svccfg: Syntax error.  Usage: setprop pg/name ="), "{error}");
}

#[test]
fn lists_types_and_quotes() {
    let system = System::with_xend();
    let set = |value: &str| {
        system.shell(&format!("svccfg -s xend setprop {value}")).ok();
    };
    set(r#"config/hosts = astring: '("a b" "c")'"#);
    set("config/n=count: 5");
    set(r#"config/xend-relocation-hosts-allow = '"^h1$ ^localhost$"'"#);
    assert_eq!(
        system.svccfg(&["-s", "xend", "listprop", "config/*h*"]).ok(),
        "config/hosts                        astring  \"a b\" \"c\"\n\
         config/xend-relocation-hosts-allow  astring  \"^h1$ ^localhost$\"\n"
    );
    assert_eq!(system.svcprop(&["-cp", "config/hosts", "xend"]).ok(), "a\\ b c\n");
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let system = System::with_xend();
    for (command, complaint) in [
        ("setprop dom0-min-mem = 1", "Property names must contain a `/'."),
        ("setprop nope/x = 1", "No such property group \"nope\"."),
        ("setprop config/new = 1", "Type required for new properties."),
        ("setprop config/new = colour: 1", "Unknown type \"colour\"."),
        (
            "setprop config/dom0-min-mem = lots",
            "Invalid \"integer\" value \"lots\": a whole number",
        ),
        ("setprop config/dom0-min-mem = astring: 1", "is of type \"integer\", not \"astring\"."),
        ("setprop config/dom0-min-mem = 1 2", "Syntax error."),
        ("delprop config/nope", "No such property config/nope."),
        ("delpg nope", "No such property group \"nope\"."),
        ("addpg config application", "Property group already exists."),
        ("addpg 1x application", "Invalid property group name \"1x\"."),
        ("addpg x application Q", "Invalid property group flag Q."),
        ("listsnap", "Instance not selected."),
        ("refresh", "Instance not selected."),
        ("select nobody", "Pattern 'nobody' doesn't match any instances or services"),
        ("frobnicate", "Unknown command \"frobnicate\""),
        ("= x", "A command is expected"),
        ("delprop \"config", "a quote or a parenthesis is not closed"),
    ] {
        let before = system.svccfg(&["-s", "xend", "listprop"]).ok();
        let args: Vec<&str> = ["-s", "xend"].into_iter().chain(command.split(' ')).collect();
        let error = system.svccfg(&args).failed();
        assert!(error.contains(complaint), "{command}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(system.svccfg(&["-s", "xend", "listprop"]).ok(), before, "{command}");
    }
    assert_eq!(system.svccfg(&["listprop"]).failed(), "svccfg: An entity is not selected.\n");
    assert_eq!(system.svccfg(&["-x"]).status, 2);
}

#[test]
fn selections_follow_the_words() {
    let system = System::with_xend();
    let listed = |word: &str| system.svccfg(&["-s", word, "listpg"]).ok();
    assert!(listed("xend").contains("config"), "the service");
    for word in ["xend:default", "svc:system/xvm/xend:default", "default", "*:default"] {
        assert_eq!(listed(word), "general  framework\n", "{word}");
    }
    system.svccfg(&["add", "other/xend"]).ok();
    let error = system.svccfg(&["-s", "xend", "list"]).failed();
    assert_eq!(
        error,
        "svccfg: Pattern 'xend' matches multiple services:\n\
         \tsvc:/other/xend\n\tsvc:/system/xvm/xend\n"
    );
    assert_eq!(system.svccfg(&["-s", "xvm/xend", "list"]).ok(), ":properties\ndefault\n");
}

#[test]
fn scripts_run_until_the_first_error() {
    let system = System::with_xend();
    let script = "# relocation\nselect svc:system/xvm/xend\n\n\
        setprop config/xend-relocation-hosts-allow = \"^host1\\.?.*$ ^localhost$\"\n\
        setprop config/hosts = astring: (\n  \"a\"\n  \"b\"\n)\n\
        setprop config/dom0-min-mem = lots\nsetprop config/enable-dump = true\n";
    let file = system.write("script", script);
    let error = system.svccfg(&["-f", &file]).failed();
    assert!(error.starts_with(&format!("svccfg ({file}, line 9): Invalid \"integer\"")), "{error}");
    let value = |name: &str| system.svcprop(&["-cp", name, "xend"]).ok();
    assert_eq!(value("config/xend-relocation-hosts-allow"), "\\^host1.?.*$\\ \\^localhost$\n");
    assert_eq!(value("config/hosts"), "a b\n");
    assert_eq!(value("config/enable-dump"), "false\n", "nothing after the error is done");
}

#[test]
fn standard_input_is_a_script_too() {
    let system = System::with_xend();
    let mut child = system
        .command(env!("CARGO_BIN_EXE_svccfg"), &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = "select xend\nlist\nunselect\nlist *xend\nend\nnever reached\n";
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = Done::from(child.wait_with_output().unwrap()).ok();
    assert_eq!(out, ":properties\ndefault\nsystem/xvm/xend\n");
}

#[test]
fn entities_come_and_go() {
    let system = System::start();
    system.svccfg(&["add", "site/demo"]).ok();
    system.svccfg(&["-s", "demo", "add", "one"]).ok();
    system.svccfg(&["-s", "demo", "add", "two"]).ok();
    assert_eq!(system.svccfg(&["-s", "demo", "list"]).ok(), ":properties\none\ntwo\n");
    assert!(system.svccfg(&["-s", "demo", "add", "one"]).failed().contains("already exists"));
    assert!(system.svccfg(&["-s", "demo:one", "add", "x"]).failed().contains("to an instance"));
    assert!(system.svccfg(&["add", "bad name"]).failed().contains("Syntax error"));
    assert!(system.svccfg(&["add", "9"]).failed().contains("Invalid name."));
    system.svccfg(&["-s", "demo:one", "addpg", "restarter", "framework", "P"]).ok();
    system
        .svccfg(&["-s", "demo:one", "setprop", "restarter/state", "=", "astring:", "online"])
        .ok();
    let refused = system.svccfg(&["delete", "demo"]).failed();
    assert!(refused.contains("Instance svc:/site/demo:one may be running."), "{refused}");
    system.svccfg(&["delete", "demo:two"]).ok();
    system.svccfg(&["delete", "-f", "demo"]).ok();
    assert_eq!(system.svccfg(&["list"]).ok(), "");
}

#[test]
fn values_are_added_and_removed() {
    let system = System::with_xend();
    let run = |line: &str| system.shell(&format!("svccfg -s xend {line}"));
    run("addpropvalue config/hosts astring: a1").ok();
    run("addpropvalue config/hosts a2").ok();
    run("addpropvalue config/hosts b").ok();
    let hosts = || run("listprop config/hosts").ok();
    assert_eq!(hosts(), "config/hosts  astring  \"a1\" \"a2\" \"b\"\n");
    run("delpropvalue config/hosts 'a*'").ok();
    assert_eq!(hosts(), "config/hosts  astring  b\n");
    run("delprop config/hosts").ok();
    assert_eq!(hosts(), "");
    assert!(run("delpropvalue config/hosts x").failed().contains("No such property config/hosts."));
    run("delprop config").ok();
    assert_eq!(run("listpg config").ok(), "");
}

#[test]
fn an_instance_inherits_the_type() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend:default", "addpg", "config", "application"]).ok();
    system.svccfg(&["-s", "xend:default", "setprop", "config/dom0-min-mem", "=", "256"]).ok();
    assert_eq!(system.svcprop(&["-cp", "config/dom0-min-mem", "xend"]).ok(), "256\n");
    let direct = system.svcprop(&["-C", "-p", "config", "svc:/system/xvm/xend"]).ok();
    assert!(direct.contains("config/dom0-min-mem integer 196"), "{direct}");
}

#[test]
fn environments_are_set_and_unset() {
    let system = System::with_xend();
    let run = |line: &str| system.shell(&format!("svccfg -s {line}"));
    run("xend:default setenv LANG C").ok();
    run("xend:default setenv LANG de_DE").ok();
    run("xend setenv -m start PATH /bin").ok();
    run("xend:default setenv -i A 1").ok();
    run("xend:default setenv -s B '\"x y\"'").ok();
    let shown = |fmri: &str, prop: &str| system.svcprop(&["-C", "-p", prop, fmri]).ok();
    let service = "svc:/system/xvm/xend";
    assert_eq!(shown(service, "start/environment"), "LANG=de_DE PATH=/bin\n");
    assert_eq!(shown("xend", "method_context/environment"), "A=1\n");
    assert_eq!(shown(service, "method_context/environment"), "B=x\\ y\n");
    run("xend unsetenv LANG").ok();
    assert_eq!(shown(service, "start/environment"), "PATH=/bin\n");
    assert!(run("xend setenv -i A 1").failed().contains("Instance not selected."));
    assert!(run("xend setenv -m stop A 1").failed().contains("Couldn't find the method \"stop\"."));
    assert!(run("xend setenv A").failed().contains("Syntax error"));
}

#[test]
fn snapshots_are_shown_and_reverted_to() {
    let system = System::with_xend();
    let run = |script: &str| {
        let file = system.write("script", script);
        system.svccfg(&["-f", &file])
    };
    let names = system.svccfg(&["-s", "xend:default", "listsnap"]).ok();
    assert_eq!(names, "initial\nlast-import\nrunning\n");
    run("select xend\nsetprop config/dom0-min-mem = 512\naddpg mine application").ok();
    let shown = run("select xend:default\nselectsnap running\nlistprop config/dom0-min-mem").ok();
    assert_eq!(shown, "config/dom0-min-mem  integer  196\n");
    let error = run("select xend:default\nselectsnap running\naddpg x application").failed();
    assert!(error.contains("line 3): Cannot modify snapshots."), "{error}");
    let error = run("select xend:default\nselectsnap nope").failed();
    assert!(error.contains("No such snapshot \"nope\"."), "{error}");
    assert!(run("select xend:default\nrevert").failed().contains("No snapshot selected."));
    run("select xend:default\nsetprop general/enabled = true\nrevert initial").ok();
    let value = |name: &str| system.svcprop(&["-cp", name, "xend"]);
    assert_eq!(value("config/dom0-min-mem").ok(), "196\n");
    assert_eq!(value("general/enabled").ok(), "true\n", "an act, not a setting");
    assert_eq!(value("mine").status, 1);
    run("select xend:default\nselectsnap previous\nrevert").ok();
    assert_eq!(value("config/dom0-min-mem").ok(), "512\n");
}

#[test]
fn a_refresh_publishes_what_was_edited() {
    let system = System::with_xend();
    let value = || system.svcprop(&["-p", "config/dom0-min-mem", "xend"]).ok();
    system.svccfg(&["-s", "xend", "setprop", "config/dom0-min-mem", "=", "512"]).ok();
    assert_eq!(value(), "196\n");
    system.svccfg(&["-s", "xend:default", "refresh"]).ok();
    assert_eq!(value(), "512\n");
    let request = system.svcprop(&["-p", "restarter_actions/refresh", "xend"]).ok();
    assert!(request.trim().parse::<u64>().is_ok(), "{request}");
}

#[test]
fn help_lists_what_works() {
    let system = System::start();
    let help = system.svccfg(&["help"]).ok();
    for line in help.lines() {
        let (heading, names) = line.split_at(29);
        assert!(heading.trim_end().ends_with(':'), "{line}");
        for name in names.split(' ') {
            assert!(system.svccfg(&["help", name]).ok().starts_with(name), "{name}");
        }
    }
    assert!(help.contains("setprop"));
    assert!(system.svccfg(&["help", "nothing"]).failed().contains("Unknown command"));
}

#[test]
fn without_a_server_one_line_says_so() {
    let system = System::start();
    let output = system
        .command(env!("CARGO_BIN_EXE_svccfg"), &["list"])
        .env("SVC_ROOT", "/nonexistent")
        .output()
        .unwrap();
    let error = Done::from(output).failed();
    assert!(error.contains("is svc.configd running?"), "{error}");
    assert_eq!(error.lines().count(), 1);
}
