//! Beside NetBSD's own rc.subr and rcorder, where somebody has them: `NETBSD_RC_SUBR` and
//! `NETBSD_RCORDER` are their paths, and `cargo test -p svc --test rc -- --ignored` runs this.
//! Both sides do the same with the same scripts; what they say and how they exit must be equal.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::Root;

/// A script that uses what rc.subr(8) offers; `%` is where the root is to be named.
const RICH: &str = "#!/bin/sh\n. \"$SVC_ROOT/etc/rc.subr\"\n\
    name=rich\nrcvar=$name\ncommand=%/bin/daemon\nprocname=sleep\npidfile=%/run/daemon.pid\n\
    required_files=\"$SVC_ROOT/etc/daemon.conf $SVC_ROOT/etc/other.conf\"\n\
    required_dirs=\"$SVC_ROOT/run $SVC_ROOT/spool\"\nrequired_vars=ready\n\
    extra_commands=\"reload hail plain fail trap\"\nsig_reload=CONT\n\
    hail() { echo \"hail to $rc_arg: $* ($rc_flags)\"; [ -z \"$hail_fails\" ]; }\nhail_cmd=hail\n\
    hail_precmd='echo before; test -z \"$before_fails\"'\nhail_postcmd='echo after; false'\n\
    start_precmd='echo ready to go; test -z \"$before_fails\"'\nstart_postcmd='echo started'\n\
    stop_postcmd='echo stopped; false'\nreload_precmd='echo going to reload'\n\
    fail_cmd='exit 7'\ntrap_cmd=false\n\
    load_rc_config $name\nrun_rc_command \"$@\"\n";

/// No pid file, and nothing but its name.
const BARE: &str = "#!/bin/sh\n. \"$SVC_ROOT/etc/rc.subr\"\nname=bare\nstart_cmd='echo on'\n\
    load_rc_config bare\nrun_rc_command \"$1\"\n";

/// An interpreted daemon, found by its name in the list of processes.
const SCRIPTED: &str = "#!/bin/sh\n. \"$SVC_ROOT/etc/rc.subr\"\nname=scripted\n\
    command=%/bin/scripted\ncommand_interpreter=/usr/bin/perl\ncommand_args='&'\n\
    load_rc_config scripted\nrun_rc_command \"$1\"\n";

const HELPERS: &str = "#!/bin/sh\n. \"$SVC_ROOT/etc/rc.subr\"\nload_rc_config helpers\n\
    for value in yes On TRUE 1 no oFF false 0 maybe ''; do\n\
    a=$value; if checkyesno a; then echo yes; else echo no; fi; done\n\
    a=on; yesno_to_truefalse a; echo $? $a; a=off; yesno_to_truefalse a; echo $? $a\n\
    reverse_list a b c\nreverse_list\nload_rc_config_var other colour; echo \"$colour\"\n\
    wait_for_pids 999999\nprint_rc_metadata note:x\nprint_rc_normal normal\n\
    no_rc_postprocess echo kept\nwarn 'a  b'\n(check_process) ; echo $?\n\
    (run_rc_script) ; echo $?\n\
    for s in none~ none.orig plain; do run_rc_script $s start; done\n\
    (load_rc_config_var a); echo $?; (err 5 bye); echo $?\n";

fn given(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("{variable} is the path of NetBSD's"))
}

/// Two roots with the same files, one with NetBSD's rc.subr.
struct Pair {
    ours: Root,
    stock: Root,
}

impl Pair {
    fn new(rc_conf: &str) -> Self {
        let pair = Self { ours: Root::new(rc_conf), stock: Root::new(rc_conf) };
        let subr = fs::read_to_string(given("NETBSD_RC_SUBR")).unwrap();
        // It knows of no root, and looks for what has ended every two seconds.
        let subr = subr.replace("/etc/rc.conf", "$SVC_ROOT/etc/rc.conf");
        pair.stock.write("etc/rc.subr", &subr.replace("sleep 2\n", "sleep 0.1\n"));
        pair.both(|root| {
            root.write("bin/scripted", "#!/usr/bin/perl -w\nsleep 1000;\n");
            root.write("etc/rc.conf.d/other", "colour='dark red'\n");
            root.write("etc/other.conf", "");
            fs::create_dir_all(root.path("spool")).unwrap();
        });
        for (name, text) in
            [("rich", RICH), ("bare", BARE), ("scripted", SCRIPTED), ("helpers", HELPERS)]
        {
            let name = format!("etc/rc.d/{name}");
            pair.ours.write(&name, &text.replace('%', ""));
            pair.stock.write(&name, &text.replace('%', "$SVC_ROOT"));
        }
        pair
    }

    fn both(&self, act: impl Fn(&Root)) {
        act(&self.ours);
        act(&self.stock);
    }

    /// Runs a script with both; whatever differs but in numbers of processes ends the test.
    fn same(&self, script: &str, arguments: &[&str]) -> (i32, String, String) {
        let run = |root: &Root| {
            let mut command = root.command("/bin/sh");
            command.arg(root.path(&format!("etc/rc.d/{script}"))).args(arguments);
            let (status, out, err) = root.done(command.env("RC_PID_TICK", "0.1"));
            (status, numberless(&out), numberless(&err))
        };
        let (ours, stock) = (run(&self.ours), run(&self.stock));
        assert_eq!(ours, stock, "{script} {arguments:?}");
        ours
    }
}

/// Numbers of processes and how long is waited for them aren't the same twice.
fn numberless(text: &str) -> String {
    let waits = |line: &&str| !line.starts_with("Waiting for PIDS: ");
    let text: Vec<&str> = text.lines().filter(waits).collect();
    let mut plain = String::new();
    for word in text.join("\n").split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let short = if digits > 1 { "N" } else { &word[..digits] };
        plain += &format!("{short}{}", &word[digits..]);
    }
    plain
}

#[test]
#[ignore = "needs NetBSD's rc.subr, at $NETBSD_RC_SUBR"]
fn verbs_are_the_same() {
    let lives = "status start status start faststart restart reload hail plain poll.. stop stop \
                 reload status poll forcestart onestart onestatus forcestop trap forcetrap fail onefail forcefail \
                 rcvar onercvar fastrcvar dance onedance fastdance faststatus one  start fast";
    for conf in [
        "rich=YES ready=YES rich_flags='-a b'",
        "rich=NO ready=YES",
        "rich=perhaps ready=YES",
        "rich=YES ready=NO",
        "ready=NO",
        "rich=YES ready=YES before_fails=1 hail_fails=1",
        "rich=yes ready=on rich_env='A=1 B=2' rich_nice=5 rich_chdir=/ flags=''",
        "rich=yes ready=on rich_chdir=/nowhere",
        "rich=yes ready=on rich_user=root",
    ] {
        let pair = Pair::new(
            &conf
                .replace(' ', "\n")
                .replace("'-a\nb'", "'-a b'")
                .replace("'A=1\nB=2'", "'A=1 B=2'"),
        );
        for verb in lives.split(' ') {
            // While it runs, poll would wait for it.
            if verb != "poll.." {
                pair.same("rich", &[verb]);
            }
        }
        pair.same("rich", &[]);
        pair.same("rich", &["hail", "a b", "c"]);
        pair.same("rich", &["start", "too", "many"]);
        pair.same("rich", &["onestop"]);
    }
}

#[test]
#[ignore = "needs NetBSD's rc.subr, at $NETBSD_RC_SUBR"]
fn what_is_missing_is_told_alike() {
    let pair = Pair::new("rich=YES\nready=NO\n");
    pair.both(|root| {
        fs::remove_file(root.path("etc/other.conf")).unwrap();
        fs::remove_dir(root.path("spool")).unwrap();
    });
    for verb in ["start", "onestart", "forcestart", "forcestop", "forcerestart", "forcestop"] {
        pair.same("rich", &[verb]);
    }
    pair.both(|root| fs::remove_file(root.path("bin/daemon")).unwrap());
    for verb in ["start", "forcestart", "restart", "stop"] {
        pair.same("rich", &[verb]);
    }
}

#[test]
#[ignore = "needs NetBSD's rc.subr, at $NETBSD_RC_SUBR"]
fn scripts_without_much_and_helpers_are_the_same() {
    let pair = Pair::new("");
    for verb in ["start", "stop", "status", "rcvar", "restart", "poll", "", "reload"] {
        pair.same("bare", &[verb]);
    }
    for verb in ["status", "start", "status", "start", "stop", "status"] {
        pair.same("scripted", &[verb]);
    }
    pair.same("helpers", &[]);
}

/// Our own scripts start and stop the daemons themselves there.
#[test]
#[ignore = "needs NetBSD's rc.subr, at $NETBSD_RC_SUBR"]
fn the_shipped_scripts_work_with_it() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rc.d/rc.d");
    for (script, program) in [
        ("store", "xenstored"),
        ("console", "xenconsoled"),
        ("xenbackendd", "xenbackendd"),
        ("xend", "xend"),
        ("virtd", "virtd"),
    ] {
        let root = Pair::new(&format!("{script}=YES\n")).stock;
        let text = fs::read_to_string(shipped.join(script)).unwrap();
        let text = text.replace("\"/usr/sbin", "\"$SVC_ROOT/usr/sbin");
        root.write(&format!("etc/rc.d/{script}"), &text.replace("\"/run", "\"$SVC_ROOT/run"));
        // xenstored notes its number only where it is told to.
        let file = match program {
            "xenstored" => "$ARGV[0] eq '--pid-file' ? $ARGV[1] : '/none/none'".to_owned(),
            _ => format!("\"$ENV{{SVC_ROOT}}/run/{program}.pid\""),
        };
        root.write(
            &format!("usr/sbin/{program}"),
            &format!(
                "#!/usr/bin/perl\n$0 = \"$ENV{{SVC_ROOT}}/usr/sbin/{program}\"; exit if fork;\n\
                 open F, \">$ENV{{SVC_ROOT}}/run/daemon.pid\"; print F \"$$\\n\"; close F;\n\
                 link \"$ENV{{SVC_ROOT}}/run/daemon.pid\", {file};\n\
                 $SIG{{HUP}} = sub {{}}; sleep 1 while 1;\n"
            ),
        );
        let run = |verb: &str| {
            let mut command = root.command("/bin/sh");
            root.done(command.arg(root.path(&format!("etc/rc.d/{script}"))).arg(verb))
        };
        let said = |text: String| (0, text, String::new());
        assert_eq!(run("start"), said(format!("Starting {script}.\n")));
        while root.pid().is_empty() {
            std::thread::yield_now();
        }
        let pid = root.pid();
        assert_eq!(run("status"), said(format!("{script} is running as pid {pid}.\n")));
        assert_eq!(run("rcvar"), said(format!("# {script}\n${script}=YES\n")));
        if script == "xend" {
            assert_eq!(run("reload"), said("Reloading xend config files.\n".to_owned()));
        }
        assert!(run("stop").1.starts_with(&format!("Stopping {script}.\n")));
        assert_eq!(run("status").0, 1);
    }
}

/// A script's head: lines of what rcorder looks for.
fn head() -> impl Strategy<Value = Vec<String>> {
    let words = prop::collection::vec("[a-h]", 1..4).prop_map(|words| words.join(" "));
    let kind = prop::sample::select(vec!["PROVIDE", "REQUIRE", "REQUIRES", "BEFORE", "KEYWORD"]);
    let line = (kind, words).prop_map(|(kind, words)| format!("# {kind}: {words}"));
    prop::collection::vec(line, 0..4)
}

#[test]
#[ignore = "needs NetBSD's rcorder, at $NETBSD_RCORDER"]
fn orders_are_the_same() {
    let stock = given("NETBSD_RCORDER");
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    let options = prop::sample::select(vec![vec![], vec!["-s", "a"], vec!["-k", "b"]]);
    let strategy = (prop::collection::vec(head(), 0..8), options);
    let result = runner.run(&strategy, |(heads, options)| {
        let root = Root::new("");
        for (number, lines) in heads.iter().enumerate() {
            root.write(&format!("run/{number}"), &(lines.join("\n") + "\n\ncode\n"));
        }
        let run = |program: &str| {
            let mut command = Command::new(program);
            command.args(&options).args((0..heads.len()).map(|n| n.to_string()));
            root.done(command.current_dir(root.path("run")))
        };
        let (ours, theirs) = (run(env!("CARGO_BIN_EXE_rcorder")), run(&stock));
        prop_assert_eq!((ours.0, ours.1), (theirs.0, theirs.1));
        // Of a cycle that it has told NetBSD's may tell again when it comes by later.
        let again = |line: &&str| line.contains("Circular dependency on file");
        let lines = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !again(line)).map(str::to_owned).collect()
        };
        prop_assert_eq!(lines(&ours.2), lines(&theirs.2));
        Ok(())
    });
    result.unwrap();
}
