//! `svcs -w` on a terminal of its own: it shows what changes, obeys keys, and leaves the terminal
//! as it was.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::commands::run;
use crate::daemon;
use crate::fixture::{System, signal};
use crate::terminal::Terminal;

const SVCS: &str = env!("CARGO_BIN_EXE_svcs");

fn watch(system: &System, words: &[&str]) -> Terminal {
    let mut command = Command::new(SVCS);
    Terminal::start(command.arg("-w").args(words).env("SVC_ROOT", system.path("")))
}

/// Waits for the end; returns the exit status.
fn end(watch: &mut Terminal) -> Option<i32> {
    watch.expect("\x1b[?1049l");
    watch.end()
}

#[test]
fn keys_change_states_and_the_view_follows() {
    let system = System::with(&[&daemon("a", ""), &daemon("b", "")]);
    system.wait_until("a", "online");
    system.wait_until("b", "online");
    let mut watch = watch(&system, &["a", "b"]);
    watch.expect("2 instances: 2 online");
    watch.expect("STATE          RESTARTS STIME    FMRI");
    watch.expect("svc:/b:default");
    watch.expect("Executing start method");
    assert!(!watch.is_as_it_was(), "keys come one by one");
    watch.press("j");
    watch.press("d");
    watch.expect("1 disabled, 1 online");
    watch.expect("Reason: Disabled by an administrator.");
    system.wait_until("b", "disabled");
    watch.press("e");
    watch.expect("2 instances: 2 online");
    let pid = system.pid("b");
    watch.press("r");
    system.another_pid("b", pid);
    watch.expect("online                2 ");
    watch.press("c");
    watch.expect("svcadm: Instance \"svc:/b:default\" is not in a maintenance or degraded state.");
    watch.press("/a:");
    watch.expect("1 instance: 1 online");
    watch.press("\x1b");
    watch.expect("2 instances: 2 online");
    watch.press("q");
    assert_eq!(end(&mut watch), Some(0));
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let mut watch = watch(&system, &["a"]);
    watch.expect("svc:/a:default");
    let pid = watch.child.id() as i32;
    signal(pid, Signal::SIGWINCH);
    watch.expect("svc:/a:default");
    signal(pid, Signal::SIGTERM);
    assert_eq!(end(&mut watch), Some(0));
}

#[test]
fn without_a_terminal_there_is_no_view() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let said = "svcs: -w needs a terminal; use svcs without it to print a list.\n";
    assert_eq!(run(&system, SVCS, &["-w"]), (1, String::new(), said.to_owned()));
}
