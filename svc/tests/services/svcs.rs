//! svcs: every option, the reasons that it finds, its messages and its exit codes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

use svc::fmri::Fmri;
use svc::repo::Change;
use svc::value::PropType;

use crate::commands::{Done, run, svcadm, svcs};
use crate::fixture::{System, wait_for};
use crate::{daemon, needs, service, transient};

const SVCS: &str = env!("CARGO_BIN_EXE_svcs");

/// What svcs complains of: its status and what it says on standard error.
fn complaint(system: &System, line: &str) -> (i32, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let (status, out, err) = run(system, SVCS, &words);
    assert_eq!(out, "", "svcs {line}");
    (status, err)
}

fn disabled(name: &str) -> String {
    daemon(name, "").replace("= true", "= false")
}

#[test]
fn misuse_is_answered_with_the_usage() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    for line in ["-q", "-o", "-d", "-D", "-l", "-L", "-dl a", "-xl", "-ax", "-xp", "-lH a", "-f"] {
        let (status, said) = complaint(&system, line);
        assert_eq!(status, 2, "{line}");
        assert!(said.contains("Usage: svcs [-aHpv] "), "{said}");
    }
    let failed = |line: &str| (1, format!("svcs: {line}\n"));
    assert_eq!(complaint(&system, "-o state,foo"), failed("Unknown column \"foo\"."));
    assert_eq!(complaint(&system, "-s foo"), failed("Unrecognized sort column \"foo\"."));
    assert_eq!(complaint(&system, "-R foo"), failed("Restarter FMRI \"foo\" is invalid."));
    let help = svcs(&system, &["-?"]);
    assert!(help.starts_with("Usage: svcs ") && help.ends_with("\tSVC\n"), "{help}");
}

#[test]
fn operands_choose_and_unknown_ones_are_named() {
    let system =
        System::with(&[&daemon("x/one", "").replace("x/one\"'", "one\"'"), &disabled("two")]);
    system.wait_until("x/one", "online");
    system.wait_until("two", "disabled");
    let shown = |words: &[&str]| svcs(&system, &[&["-H", "-o", "fmri"], words].concat());
    let (one, two) = ("svc:/x/one:default\n", "svc:/two:default\n");
    assert_eq!(shown(&[]), one, "the enabled ones");
    assert_eq!(shown(&["-a"]), format!("{two}{one}"));
    assert_eq!(shown(&["two"]), two, "what is named is shown");
    for word in ["one", "x/one", ":default", "svc:/x/one", "svc:/x/one:default", "*one*", "x/*"] {
        assert!(shown(&[word]).contains(one), "{word}");
    }
    assert_eq!(shown(&["one", "two", "one"]), format!("{two}{one}"), "each once");
    let none = "svcs: Pattern 'nobody' doesn't match any instances\n";
    assert_eq!(run(&system, SVCS, &["-Ho", "fmri", "nobody", "two"]), (1, two.into(), none.into()));
    for mode in ["-d", "-D", "-l", "-L", "-x"] {
        let (status, _, said) = run(&system, SVCS, &[mode, "nobody"]);
        assert_eq!((status, said.as_str()), (1, none), "{mode}");
    }
    let invalid = "svcs: FMRI \"svc:/a b\" is invalid.\n";
    assert_eq!(run(&system, SVCS, &["-H", "svc:/a b"]), (1, String::new(), invalid.into()));
    let ignored = "svcs: -a ignored when used with arguments.\n";
    assert_eq!(run(&system, SVCS, &["-aHo", "fmri", "two"]), (0, two.into(), ignored.into()));
}

#[test]
fn lists_have_columns_and_an_order() {
    let system = System::with(&[&daemon("a", ""), &disabled("b"), &disabled("c")]);
    system.wait_until("a", "online");
    system.wait_until("b", "disabled");
    system.wait_until("c", "disabled");
    let header = svcs(&system, &["-v"]).lines().next().map(str::to_owned);
    assert_eq!(header.as_deref(), Some("STATE          NSTATE        STIME    CTID   FMRI"));
    let all = "ctid,desc,inst,N,nsta,nstate,S,scope,sn,sta,state,stime,svc";
    let line = svcs(&system, &["-H", "-o", all, "b"]);
    let words: Vec<&str> = line.split_whitespace().collect();
    let start = ["-", "-", "default", "-", "-", "-", "d", "localhost", "d-", "DIS", "disabled"];
    assert_eq!(words[..11], start, "{line}");
    assert_eq!(words.last(), Some(&"b"));
    let order = |words: &[&str]| svcs(&system, &[&["-aHo", "inst,svc"], words].concat());
    let services = |text: String| text.split_whitespace().skip(1).step_by(2).collect::<String>();
    assert_eq!(services(order(&["-S", "fmri"])), "cba");
    assert_eq!(services(order(&["-s", "state", "-S", "fmri"])), "cba");
    assert_eq!(services(order(&["-S", "state", "-s", "fmri"])), "abc");
}

#[test]
fn a_restarter_chooses_its_instances() {
    let other = daemon("other", "").replacen('\n', "\nrestarter = \"svc:/mine:default\"\n", 1);
    let system = System::with(&[&daemon("a", ""), &other]);
    system.wait_until("a", "online");
    let of = |restarter: &str| svcs(&system, &["-H", "-o", "fmri", "-R", restarter]);
    assert_eq!(of("svc:/mine:default"), "svc:/other:default\n");
    let master = of("svc:/system/svc/restarter:default");
    assert!(master.contains("svc:/a:default\n") && !master.contains("other"), "{master}");
    assert!(svcs(&system, &["-l", "other"]).contains("\nrestarter    svc:/mine:default\n"));
}

#[test]
fn each_reason_is_found() {
    let file = "[dependency.file]\ngrouping = \"require_all\"\nrestart_on = \"none\"\n\
                type = \"path\"\nentities = [\"file://localhost/no/such/file\"]\n";
    let system = System::with(&[
        &disabled("off"),
        &daemon("waits", &needs(&["off"], "require_all", "none")),
        &daemon("either", &needs(&["off", "none"], "require_any", "none")),
        &daemon("lonely", &needs(&["none"], "require_all", "none")),
        &daemon("fileless", file),
        &daemon("behind", &needs(&["fileless"], "require_all", "none")),
        &daemon("runs", ""),
        &daemon("excludes", &needs(&["runs"], "exclude_all", "none"))
            .replace("enabled = true", "enabled = false"),
        &service(
            "milestone/all",
            ":true",
            &(needs(&["waits"], "require_all", "none") + transient()),
        ),
        &service("slow", "/bin/sleep 1000", "")
            .replace("timeout_seconds = 20", "timeout_seconds = 0"),
    ]);
    system.wait_until("runs", "online");
    system.enable("excludes", true);
    for name in ["waits", "either", "lonely", "fileless", "behind", "excludes", "milestone/all"] {
        system.wait_until(name, "offline");
    }
    system.wait_until("off", "disabled");
    system.wait_until("slow", "offline*");
    let reasons = |name: &str| -> Vec<String> {
        let told = svcs(&system, &["-x", &format!("svc:/{name}")]);
        let reasons = told.lines().filter_map(|line| line.strip_prefix("Reason: "));
        reasons.map(str::to_owned).collect()
    };
    assert_eq!(reasons("off"), ["Disabled by an administrator."]);
    assert_eq!(reasons("waits"), ["Service svc:/off:default is disabled."]);
    assert_eq!(
        reasons("either"),
        ["Service svc:/off:default is disabled.", "Dependency svc:/none is absent."]
    );
    assert_eq!(reasons("lonely"), ["Dependency svc:/none is absent."]);
    assert_eq!(reasons("fileless"), ["Dependency file://localhost/no/such/file is absent."]);
    assert_eq!(reasons("behind"), ["Service svc:/fileless:default has missing dependencies."]);
    assert_eq!(reasons("excludes"), ["Service svc:/runs:default is running."]);
    assert_eq!(reasons("milestone/all"), ["Service svc:/off:default is disabled."]);
    assert_eq!(reasons("slow"), ["Start method is running."]);
    assert!(reasons("runs").is_empty());
    let told = svcs(&system, &["-x"]);
    let roots: Vec<&str> =
        told.lines().filter(|line| line.starts_with("svc:/")).map(|l| &l[..l.len() - 4]).collect();
    let expected = ["off", "either", "fileless", "runs", "lonely", "slow"];
    let expected: Vec<String> =
        expected.iter().map(|name| format!("svc:/{name}:default")).collect();
    assert_eq!(roots[0], expected[0], "the one that hurts most comes first");
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    let roots = roots.into_iter().map(str::to_owned).collect();
    assert_eq!(sorted(roots), sorted(expected), "{told}");
    let verbose = svcs(&system, &["-xv", "off"]);
    let impact = "Impact: 3 dependent services are not running:\n        svc:/either:default\n        \
                  svc:/milestone/all:default\n        svc:/waits:default\n";
    assert!(verbose.contains(impact), "{verbose}");
}

#[test]
fn a_cycle_and_a_wish_are_reasons_for_maintenance() {
    let system = System::with(&[
        &daemon("a", &needs(&["b"], "require_all", "none")),
        &daemon("b", &needs(&["a"], "require_all", "none")),
        &daemon("c", ""),
    ]);
    let told = |name: &str| svcs(&system, &["-x", name]);
    system.wait_until("c", "online");
    let ok: Done = (0, String::new(), String::new());
    assert_eq!(svcadm(&system, &["mark", "maintenance", "c"]), ok);
    system.wait_until("c", "maintenance");
    assert!(told("c").contains("Reason: Maintenance requested by another service.\n"));
    wait_for("a cycle's reason", || {
        let found = ["a", "b"].map(told).concat();
        found.contains("Reason: Completes a dependency cycle.\n").then_some(())
    });
}

#[test]
fn documents_and_names_come_from_the_template() {
    let template = "[template]\ncommon_name = \"a test\"\n\
                    manpages = [{ title = \"t\", section = \"8\" }]\n";
    let system = System::with(&[&daemon("a", template)]);
    system.wait_until("a", "online");
    system.set("a", "restarter", "alt_logfile", PropType::Astring, "/early.log");
    assert!(svcs(&system, &["-x", "a"]).contains("\n   See: t(8)\n   See: /early.log\n   See: "));
    let verbose = svcs(&system, &["-xv", "a"]);
    assert!(verbose.contains("\n   See: man -M /usr/share/man -s 8 t\n"), "{verbose}");
    assert_eq!(svcs(&system, &["-H", "-o", "desc", "a"]), "a test\n");
    let long = svcs(&system, &["-l", "a"]);
    assert!(long.contains("\nname         a test\nenabled      true\nstate        online\n"));
    assert!(long.contains("\nalt_logfile  /early.log\nlogfile      "), "{long}");
    let logs = svcs(&system, &["-L", "a"]);
    let (early, log) = logs.split_once('\n').unwrap();
    assert_eq!(early, "/early.log");
    assert!(fs::read_to_string(log.trim_end()).unwrap().contains("Executing start method"));
}

#[test]
fn changes_without_effect_are_told() {
    let config = "[instance.default.group.config]\ntype = \"application\"\n\
                  [instance.default.group.config.property]\nport = \"1\"\n";
    let system = System::with(&[&daemon("a", config)]);
    system.wait_until("a", "online");
    let changes = || -> Vec<String> {
        let told = svcs(&system, &["-l", "a"]);
        told.lines()
            .filter_map(|line| line.strip_prefix("changes      "))
            .map(str::to_owned)
            .collect()
    };
    assert!(changes().is_empty());
    let pid = system.pid("a");
    system.set("a", "config", "port", PropType::Astring, "2");
    assert_eq!(changes(), ["edited, not refreshed: config/port"]);
    system.request("a", "refresh");
    assert_eq!(changes(), ["refreshed, not restarted: config/port"]);
    system.set("a", "config", "port", PropType::Astring, "3");
    assert_eq!(changes().len(), 2);
    system.request("a", "refresh");
    system.request("a", "restart");
    system.another_pid("a", pid);
    wait_for("the changes' effect", || changes().is_empty().then_some(()));
}

#[test]
fn an_explanation_ends_with_the_log() {
    let exec = "/bin/sh -c 'echo what went wrong; exit 95'";
    let system = System::with(&[&service("broken", exec, "")]);
    system.wait_until("broken", "maintenance");
    let last = "        [ ";
    let end = "Method \"start\" failed with exit status 95. ]\n";
    wait_for("the end of the log", || system.log("broken").ends_with(end).then_some(()));
    let verbose = svcs(&system, &["-xv", "broken"]);
    assert!(verbose.contains("Impact: This service is not running.\n   Log: [ "), "{verbose}");
    assert!(verbose.contains("\n        what went wrong\n"), "{verbose}");
    assert!(verbose.lines().last().is_some_and(|line| line.starts_with(last)), "{verbose}");
    assert!(verbose.ends_with(end), "{verbose}");
    assert!(!svcs(&system, &["-x", "broken"]).contains("Log:"));
}

/// A command that goes on, and the lines that it prints.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn new(system: &System, words: &[&str]) -> Self {
        let mut command = Command::new(SVCS);
        command.args(words).env("SVC_ROOT", system.path("")).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Waits for this line.
    fn expect(&self, expected: &str) {
        let next = || self.lines.recv_timeout(Duration::from_secs(60)).expect(expected);
        while next() != expected {}
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn logs_are_followed_whatever_happens_to_them() {
    let system = System::with(&[&daemon("a", ""), &daemon("b", "")]);
    system.wait_until("a", "online");
    system.wait_until("b", "online");
    let [a, b] = ["a", "b"].map(|name| system.path(&format!("var/svc/log/{name}:default.log")));
    let add = |path: &Path, text: &str| {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let one = Following::new(&system, &["-Lf", "a"]);
    let both = Following::new(&system, &["-L", "-f", "a", "b"]);
    add(&a, "from a\n");
    one.expect("from a");
    both.expect("a:default: from a");
    add(&b, "from b\n");
    both.expect("b:default: from b");
    fs::rename(&a, a.with_extension("0")).unwrap();
    add(&a, "after rotation\n");
    one.expect("after rotation");
    both.expect("a:default: after rotation");
    File::create(&a).unwrap();
    add(&a, "x\n");
    one.expect("x");
    both.expect("a:default: x");
    let (status, said) = complaint(&system, "-L -f nobody");
    assert_eq!(
        (status, said.as_str()),
        (1, "svcs: Pattern 'nobody' doesn't match any instances\n")
    );
}

#[test]
fn the_graph_is_printed_in_three_ways() {
    let system = System::with(&[
        &disabled("low"),
        &daemon("mid", &needs(&["low"], "optional_all", "none")),
        &daemon("top", &needs(&["mid"], "require_all", "none")),
        &daemon("other", ""),
    ]);
    for name in ["mid", "top", "other"] {
        system.wait_until(name, "online");
    }
    let tree = "online         svc:/top:default\n\
                online           svc:/mid:default\n\
                disabled           svc:/low:default (optional_all)\n";
    assert_eq!(svcs(&system, &["-GH", "top"]), tree);
    let all = svcs(&system, &["-G"]);
    assert!(all.starts_with("STATE          FMRI\n") && all.ends_with(tree), "{all}");
    assert!(all.contains("\nonline         svc:/other:default\n"), "{all}");
    let dot = svcs(&system, &["-G", "-o", "dot", "mid"]);
    assert!(dot.contains("\t\"svc:/mid:default\" -> \"svc:/low:default\" [style=dotted];\n"));
    assert!(!dot.contains("top"), "{dot}");
    let svg = svcs(&system, &["-G", "-o", "svg"]);
    assert!(svg.starts_with("<svg ") && svg.contains(">svc:/top:default</text>"), "{svg}");
    let wrong = "svcs: Unknown format \"png\"; text, dot or svg.\n";
    assert_eq!(complaint(&system, "-G -o png"), (1, wrong.to_owned()));
}

#[test]
fn scripts_that_were_run_are_listed() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let service = Fmri::parse("svc:/smf/legacy_run").unwrap();
    let pg = "rc_d_old".to_owned();
    let set = |prop: &str, ty, value: &str| Change::SetProp {
        fmri: service.clone(),
        pg: pg.clone(),
        prop: prop.to_owned(),
        ty,
        values: vec![value.to_owned()],
    };
    let ty = "framework".to_owned();
    let changes = vec![
        Change::AddService(service.clone()),
        Change::AddPg { fmri: service.clone(), pg: pg.clone(), ty, persistent: false },
        set("name", PropType::Astring, "/etc/rc.d/old"),
        set("state_timestamp", PropType::Time, "1700000000.0"),
    ];
    system.repo.commit(changes).unwrap();
    let shown = |words: &[&str]| svcs(&system, &[&["-H", "-o", "sta,fmri"], words].concat());
    let script = "LRC  lrc:/etc/rc_d/old\n";
    assert!(shown(&[]).starts_with(script));
    assert_eq!(shown(&["lrc:/etc/rc_d/old"]), script);
    assert_eq!(shown(&["lrc:*"]), script);
    assert!(!shown(&["-R", "svc:/system/svc/restarter:default"]).contains("lrc:"));
    let refused = "svcs: Operation not supported for legacy service 'lrc:/etc/rc_d/old'\n";
    assert_eq!(complaint(&system, "-l lrc:/etc/rc_d/old"), (1, refused.to_owned()));
}
