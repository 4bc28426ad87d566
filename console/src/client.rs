//! A terminal on a guest's console: what `xm console` does.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use store::client::{Client, Tx};
use svc_daemon::Signals;
use xen::abi::DomId;

/// Ctrl-]
const ESCAPE: u8 = 0x1d;
/// How long a new guest's terminal may take to appear.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a console can't be attached to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody serves it.
    #[error("domain {0} has no console: is the console service online? (svcs -x console)")]
    NoConsole(DomId),
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] store::client::Error),
    /// The guest's terminal can't be used.
    #[error("{}: {source}", path.display())]
    Terminal {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Our own terminal can't be used.
    #[error("this terminal: {0}")]
    Own(#[from] io::Error),
}

/// Attaches standard input and output to a guest's console until Ctrl-], the end of standard
/// input, a signal, or the guest's end.
pub fn attach(domid: DomId) -> Result<(), Error> {
    let path = find(domid)?;
    let ended = talk(&path)?;
    if let Some(reason) = ended {
        eprintln!("\n{reason}");
    }
    Ok(())
}

/// The guest's terminal; waits a little for that of a new guest.
fn find(domid: DomId) -> Result<PathBuf, Error> {
    let store = Client::connect()?;
    let node = format!("/local/domain/{domid}/console/tty");
    store.watch(&node, "tty")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match store.read_string(Tx::NONE, &node)? {
            Some(path) if !path.is_empty() => return Ok(path.into()),
            _ => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::NoConsole(domid));
        }
        store.next_event(Some(left))?;
    }
}

/// Copies both ways; gives a last line to print if it was the guest that ended it.
fn talk(path: &Path) -> Result<Option<&'static str>, Error> {
    let terminal = |source| Error::Terminal { path: path.to_owned(), source };
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOCTTY)
        .open(path)
        .map_err(terminal)?;
    let mut signals = Signals::new(&[SIGTERM, SIGHUP, SIGINT, SIGQUIT])?;
    let stdin = io::stdin();
    let _raw = if stdin.is_terminal() { Some(Raw::make(stdin.as_fd())?) } else { None };
    // Unbuffered: what was typed ahead of a poll must not hide in a buffer.
    let input = File::from(stdin.as_fd().try_clone_to_owned()?);
    loop {
        let (typed, output) = wait(&[input.as_fd(), tty.as_fd(), signals.as_fd()])?;
        if !signals.pending().is_empty() {
            return Ok(None);
        }
        if output && !pass_output(&tty)? {
            return Ok(Some("The guest's console is closed."));
        }
        if typed && !pass_input(&input, &tty).map_err(terminal)? {
            return Ok(None);
        }
    }
}

/// Waits for any of three; says whether the first and the second are ready.
fn wait(sources: &[BorrowedFd<'_>; 3]) -> io::Result<(bool, bool)> {
    let mut fds = sources.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((fds[0].any().unwrap_or(true), fds[1].any().unwrap_or(true)))
}

/// From the guest to standard output; `false` when the guest's end is closed.
fn pass_output(mut tty: &File) -> Result<bool, Error> {
    let mut bytes = [0; 4096];
    match tty.read(&mut bytes) {
        // A terminal whose other end is closed gives EIO.
        Ok(0) => Ok(false),
        Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error.into()),
        Ok(count) => {
            let mut stdout = io::stdout();
            stdout.write_all(&bytes[..count])?;
            stdout.flush()?;
            Ok(true)
        }
    }
}

/// From standard input to the guest; `false` at Ctrl-] or the end.
fn pass_input(mut input: &File, mut tty: &File) -> io::Result<bool> {
    let mut bytes = [0; 1024];
    let count = input.read(&mut bytes)?;
    let typed = &bytes[..count];
    let escape = typed.iter().position(|byte| *byte == ESCAPE);
    tty.write_all(&typed[..escape.unwrap_or(count)])?;
    Ok(count > 0 && escape.is_none())
}

/// A terminal in raw mode, put back as it was at the end.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    fn make(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSANOW, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
