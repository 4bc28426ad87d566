//! `svcs -w` on a terminal of its own: it shows what changes, obeys keys, and leaves the terminal
//! as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{Termios, tcgetattr};

use crate::commands::run;
use crate::daemon;
use crate::fixture::{System, signal, wait_for};

const SVCS: &str = env!("CARGO_BIN_EXE_svcs");

struct Watch {
    keyboard: File,
    terminal: OwnedFd,
    before: Termios,
    child: Child,
    /// What was drawn since it was last looked at.
    drawn: String,
}

impl Watch {
    fn new(system: &System, words: &[&str]) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        let mut command = Command::new(SVCS);
        command.arg("-w").args(words).env("SVC_ROOT", system.path(""));
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keyboard = File::from(pty.master);
        Self { keyboard, terminal: pty.slave, before, child, drawn: String::new() }
    }

    /// Waits until `text` is drawn after what was expected before.
    fn expect(&mut self, text: &str) {
        loop {
            if let Some(at) = self.drawn.find(text) {
                self.drawn.drain(..at + text.len());
                return;
            }
            let mut fds = [PollFd::new(self.keyboard.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(60_000_u16)).unwrap();
            assert!(ready > 0, "no {text:?} in {:?}", self.drawn);
            let mut bytes = [0; 4096];
            let count = self.keyboard.read(&mut bytes).unwrap();
            self.drawn.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; returns the exit status.
    fn end(&mut self) -> Option<i32> {
        self.expect("\x1b[?1049l");
        let status = wait_for("the view's end", || self.child.try_wait().unwrap());
        assert!(tcgetattr(&self.terminal).unwrap() == self.before, "the terminal is as it was");
        status.code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_change_states_and_the_view_follows() {
    let system = System::with(&[&daemon("a", ""), &daemon("b", "")]);
    system.wait_until("a", "online");
    system.wait_until("b", "online");
    let mut watch = Watch::new(&system, &["a", "b"]);
    watch.expect("2 instances: 2 online");
    watch.expect("STATE          RESTARTS STIME    FMRI");
    watch.expect("svc:/b:default");
    watch.expect("Executing start method");
    assert!(tcgetattr(&watch.terminal).unwrap() != watch.before, "keys come one by one");
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
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let mut watch = Watch::new(&system, &["a"]);
    watch.expect("svc:/a:default");
    let pid = watch.child.id() as i32;
    signal(pid, Signal::SIGWINCH);
    watch.expect("svc:/a:default");
    signal(pid, Signal::SIGTERM);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn without_a_terminal_there_is_no_view() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let said = "svcs: -w needs a terminal; use svcs without it to print a list.\n";
    assert_eq!(run(&system, SVCS, &["-w"]), (1, String::new(), said.to_owned()));
}
