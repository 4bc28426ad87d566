//! A command on a terminal of its own: what it draws, and what is typed.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};

pub struct Terminal {
    pub child: Child,
    keyboard: File,
    terminal: OwnedFd,
    before: Termios,
    /// What was drawn since it was last looked at.
    drawn: String,
}

impl Terminal {
    pub fn start(command: &mut Command) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let (keyboard, drawn) = (File::from(pty.master), String::new());
        Self { child, keyboard, terminal: pty.slave, before, drawn }
    }

    /// Waits until `text` is drawn after what was expected before.
    pub fn expect(&mut self, text: &str) {
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

    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether the terminal is as it was before the command.
    pub fn is_as_it_was(&self) -> bool {
        tcgetattr(&self.terminal).unwrap() == self.before
    }

    /// Waits for the end of the command; returns its exit status.
    pub fn end(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        assert!(self.is_as_it_was(), "the terminal is as it was");
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
