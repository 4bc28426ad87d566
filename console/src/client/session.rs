//! The copying: from standard input to a guest's terminal and back, never stuck on either.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use svc_daemon::Signals;

use super::Error;

/// Ctrl-]
const ESCAPE: u8 = 0x1d;
/// How much may have been typed that the guest has not taken; enough to still see Ctrl-] of
/// somebody who pasted a page to a guest that hangs.
const TYPED_AHEAD: usize = 64 << 10;
/// One write to our own output, which is not ours to make non-blocking: little enough that
/// something that can be written to takes it (PIPE_BUF and better).
const PIECE: usize = 1024;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By Ctrl-], the end of input or output, or a signal.
    Left,
    /// The guest's terminal was closed.
    HungUp,
}

/// Our own side: input, output and signals.
#[derive(Debug)]
pub(super) struct Session {
    input: File,
    output: File,
    signals: Signals,
    /// Read, but not yet taken by the guest.
    typed: Vec<u8>,
    /// Printed by the guest, but not yet by us.
    printed: Vec<u8>,
    /// No more is to be read from the input.
    input_ended: bool,
    /// Ctrl-] was typed.
    escaped: bool,
}

impl Session {
    pub(super) fn new(input: File, output: File, signals: Signals) -> Self {
        let (typed, printed, input_ended, escaped) = Default::default();
        Self { input, output, signals, typed, printed, input_ended, escaped }
    }

    /// Copies both ways. `tty` must not block.
    pub(super) fn talk(&mut self, tty: &File) -> Result<End, Error> {
        loop {
            let ready = self.wait(tty)?;
            if !self.signals.pending().is_empty() {
                return Ok(End::Left);
            }
            if ready.output && !self.print()? {
                return Ok(End::Left);
            }
            if ready.input {
                self.read_input()?;
            }
            // Also without being told: nothing is lost by trying.
            let taken = self.type_in(tty);
            let is_open = taken && (!ready.tty || self.read_tty(tty)?);
            if !is_open {
                while !self.printed.is_empty() && self.print()? {}
                return Ok(End::HungUp);
            }
            // A guest that hangs takes nothing; what it has not taken when Ctrl-] comes it never gets.
            if self.escaped || (self.input_ended && self.typed.is_empty()) {
                return Ok(End::Left);
            }
        }
    }

    /// Between two terminals: whether the user has had enough. What is typed goes nowhere.
    pub(super) fn is_left(&mut self) -> io::Result<bool> {
        if !self.signals.pending().is_empty() {
            return Ok(true);
        }
        if self.input.is_terminal() {
            let mut fds = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
                self.read_input()?;
                self.typed.clear();
            }
        }
        Ok(self.input_ended || self.escaped)
    }

    fn wait(&self, tty: &File) -> io::Result<Ready> {
        let takes_input = !self.input_ended && self.typed.len() < TYPED_AHEAD;
        let (prints, types) = (!self.printed.is_empty(), !self.typed.is_empty());
        let mut tty_flags = PollFlags::empty();
        tty_flags.set(PollFlags::POLLIN, !prints);
        tty_flags.set(PollFlags::POLLOUT, types);
        let sources = [
            (self.signals.as_fd(), PollFlags::POLLIN),
            (tty.as_fd(), tty_flags),
            (self.input.as_fd(), if takes_input { PollFlags::POLLIN } else { PollFlags::empty() }),
            (self.output.as_fd(), if prints { PollFlags::POLLOUT } else { PollFlags::empty() }),
        ];
        // Those of which nothing is wanted are left out: poll() tells of a hang-up in any case.
        let wanted: Vec<_> = sources.iter().filter(|(_, flags)| !flags.is_empty()).collect();
        let mut fds: Vec<_> = wanted.iter().map(|(fd, flags)| PollFd::new(*fd, *flags)).collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |source: BorrowedFd<'_>| {
            let mut polled = wanted.iter().zip(&fds);
            let found = polled.find(|((fd, _), _)| fd.as_raw_fd() == source.as_raw_fd());
            found.is_some_and(|(_, polled)| polled.any().unwrap_or(true))
        };
        Ok(Ready {
            tty: !prints && is_ready(tty.as_fd()),
            input: is_ready(self.input.as_fd()),
            output: is_ready(self.output.as_fd()),
        })
    }

    /// Takes what was typed, up to Ctrl-].
    fn read_input(&mut self) -> io::Result<()> {
        let mut bytes = [0; 1024];
        let count = match self.input.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if is_temporary(&error) => return Ok(()),
            // A terminal that is gone has ended.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => 0,
            Err(error) => return Err(error),
        };
        let typed = &bytes[..count];
        let escape = typed.iter().position(|byte| *byte == ESCAPE);
        self.typed.extend(&typed[..escape.unwrap_or(count)]);
        self.escaped |= escape.is_some();
        self.input_ended |= count == 0;
        Ok(())
    }

    /// Gives the guest what it takes; `false` if its terminal is closed.
    fn type_in(&mut self, mut tty: &File) -> bool {
        if self.typed.is_empty() {
            return true;
        }
        match tty.write(&self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(error) if is_temporary(&error) => {}
            Err(_) => return false,
        }
        true
    }

    /// Takes what the guest printed; `false` if its terminal is closed.
    fn read_tty(&mut self, mut tty: &File) -> Result<bool, Error> {
        let mut bytes = [0; 4096];
        match tty.read(&mut bytes) {
            Ok(count) => {
                self.printed.extend(&bytes[..count]);
                Ok(count > 0)
            }
            Err(error) if is_temporary(&error) => Ok(true),
            // A terminal whose other end is closed gives EIO.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Prints a piece; `false` if nobody reads it.
    fn print(&mut self) -> Result<bool, Error> {
        let piece = &self.printed[..self.printed.len().min(PIECE)];
        match self.output.write(piece) {
            Ok(count) => {
                self.printed.drain(..count);
                Ok(true)
            }
            Err(error) if is_temporary(&error) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::EIO)) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What can be done without waiting.
struct Ready {
    tty: bool,
    input: bool,
    output: bool,
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

/// A terminal in raw mode, put back as it was at the end.
pub(super) struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    pub(super) fn make(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSANOW, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;
    use std::os::fd::OwnedFd;
    use std::thread::JoinHandle;

    use crate::pty::Pty;

    /// A session between pipes and a guest's terminal, running.
    struct Running {
        keyboard: File,
        screen: File,
        pty: Option<Pty>,
        session: JoinHandle<End>,
    }

    fn start() -> Running {
        let pair = || {
            pipe().map(|(read, write): (OwnedFd, OwnedFd)| (File::from(read), File::from(write)))
        };
        let (input, keyboard) = pair().unwrap();
        let (screen, output) = pair().unwrap();
        let pty = Pty::open().unwrap();
        let tty = super::super::open(pty.path()).unwrap();
        let signals = Signals::new(&[]).unwrap();
        let session =
            std::thread::spawn(move || Session::new(input, output, signals).talk(&tty).unwrap());
        Running { keyboard, screen, pty: Some(pty), session }
    }

    /// Reads until the guest has been given `expected`.
    fn guest_reads(pty: &Pty, expected: &[u8]) {
        let mut all: Vec<u8> = Vec::new();
        while all.len() < expected.len() {
            let mut bytes = [0; 4096];
            let count = pty.read(&mut bytes).unwrap();
            all.extend(&bytes[..count]);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(all, expected);
    }

    #[test]
    fn both_directions_and_ctrl_bracket() {
        let mut it = start();
        let pty = it.pty.take().unwrap();
        pty.write(b"login: ").unwrap();
        let mut bytes = [0; 7];
        it.screen.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"login: ");
        it.keyboard.write_all(b"root\r\x1dnot this").unwrap();
        assert_eq!(it.session.join().unwrap(), End::Left);
        guest_reads(&pty, b"root\r");
    }

    #[test]
    fn the_end_of_the_input_comes_after_everything_typed() {
        let mut it = start();
        let pty = it.pty.take().unwrap();
        let text = vec![b'x'; 200_000];
        let typing = {
            let text = text.clone();
            std::thread::spawn(move || it.keyboard.write_all(&text))
        };
        guest_reads(&pty, &text);
        typing.join().unwrap().unwrap();
        assert_eq!(it.session.join().unwrap(), End::Left);
    }

    #[test]
    fn a_guest_that_hangs_can_be_left() {
        let mut it = start();
        it.keyboard.write_all(&[b'x'; 30_000]).unwrap();
        it.keyboard.write_all(&[ESCAPE]).unwrap();
        assert_eq!(it.session.join().unwrap(), End::Left);
    }

    #[test]
    fn a_closed_terminal_ends_it_after_its_last_words() {
        let mut it = start();
        let pty = it.pty.take().unwrap();
        pty.write(b"reboot: System halted\n").unwrap();
        // The kernel takes what is written to the other end in its own time.
        let mut text = [0; 22];
        it.screen.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"reboot: System halted\n");
        drop(pty);
        assert_eq!(it.session.join().unwrap(), End::HungUp);
    }

    #[test]
    fn a_screen_that_nobody_looks_at_ends_it() {
        let it = start();
        drop(it.screen);
        it.pty.as_ref().unwrap().write(b"hello").unwrap();
        assert_eq!(it.session.join().unwrap(), End::Left);
    }

    #[test]
    fn a_terminal_is_put_back_as_it_was() {
        let pty = Pty::open().unwrap();
        let tty = super::super::open(pty.path()).unwrap();
        let mut cooked = tcgetattr(&tty).unwrap();
        cooked.local_flags |= nix::sys::termios::LocalFlags::ICANON;
        tcsetattr(&tty, SetArg::TCSANOW, &cooked).unwrap();
        let raw = Raw::make(tty.as_fd()).unwrap();
        assert_ne!(tcgetattr(&tty).unwrap(), cooked);
        drop(raw);
        assert_eq!(tcgetattr(&tty).unwrap(), cooked);
    }
}
