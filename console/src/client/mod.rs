//! A terminal on a guest's console: what `xm console` does.
//!
//! The daemon's name for a guest's terminal is in the store, so this works with any xenconsoled.
//! A daemon that is restarted writes the name again, and the session goes on there.

mod session;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use store::client::{Client, Tx};
use svc_daemon::Signals;
use xen::abi::DomId;

use session::{End, Raw, Session};

/// How long a guest's terminal may take to appear, be it new or its daemon restarted.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a console can't be attached to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody serves it.
    #[error("domain {0} has no console: is the service console online? (svcs -x console)")]
    NoConsole(DomId),
    /// There is no such domain.
    #[error("there is no domain {0}")]
    NoDomain(DomId),
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
/// input, a signal, or the guest's end, which is told on standard error.
pub fn attach(domid: DomId) -> Result<(), Error> {
    let mut finder = Finder::new(domid)?;
    with_own_terminal(|session| {
        let mut end = End::Left;
        while let Some(tty) = finder.next_terminal(session)? {
            end = session.talk(&tty)?;
            if end != End::HungUp {
                break;
            }
        }
        Ok(match end {
            End::HungUp => Some(format!("Domain {domid} has ended.")),
            End::Left => None,
        })
    })
}

/// Attaches standard input and output to the terminal at `path` until Ctrl-], the end of standard
/// input, a signal, or the end of the terminal, which is told on standard error.
pub fn attach_to(path: &Path) -> Result<(), Error> {
    let tty = open(path).map_err(|source| Error::Terminal { path: path.to_owned(), source })?;
    with_own_terminal(|session| {
        let end = session.talk(&tty)?;
        Ok((end == End::HungUp).then(|| format!("The console at {} is closed.", path.display())))
    })
}

/// Runs a session on standard input and output. A terminal is put back as it was before the last
/// line of `body` is printed, and on each other way out.
fn with_own_terminal(
    body: impl FnOnce(&mut Session) -> Result<Option<String>, Error>,
) -> Result<(), Error> {
    let signals = Signals::new(&[SIGTERM, SIGHUP, SIGINT, SIGQUIT])?;
    let (stdin, stdout) = (io::stdin(), io::stdout());
    // Unbuffered: what was typed ahead of a poll must not hide in a buffer.
    let input = File::from(stdin.as_fd().try_clone_to_owned()?);
    let output = File::from(stdout.as_fd().try_clone_to_owned()?);
    let raw = if stdin.is_terminal() { Some(Raw::make(stdin.as_fd())?) } else { None };
    let last_line = body(&mut Session::new(input, output, signals));
    drop(raw);
    if let Some(line) = last_line? {
        // Nobody to tell is no error.
        let _ = writeln!(io::stderr(), "\n{line}");
    }
    Ok(())
}

/// Opens what must be a terminal: a node of the store may name anything.
fn open(path: &Path) -> io::Result<File> {
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path)?;
    if tty.is_terminal() { Ok(tty) } else { Err(io::Error::other("is not a terminal")) }
}

/// Finds the terminals that a guest's console is on, one after the other.
struct Finder {
    domid: DomId,
    store: Client,
    node: String,
    /// The terminal that is to be looked for is not the first.
    again: bool,
}

impl Finder {
    fn new(domid: DomId) -> Result<Self, Error> {
        let store = Client::connect()?;
        let node = format!("/local/domain/{domid}/console/tty");
        // Each watch fires once at its beginning; from then on it means that the node is written.
        store.watch(&node, "tty")?;
        store.next_event(Some(PATIENCE))?;
        Ok(Self { domid, store, node, again: false })
    }

    /// Waits a little for a terminal. `None` if the guest is gone or the user has had enough.
    fn next_terminal(&mut self, session: &mut Session) -> Result<Option<File>, Error> {
        let deadline = Instant::now() + PATIENCE;
        // A name that was there before belongs to a daemon that is dead, and its terminal may
        // be somebody else's by now.
        let mut is_fresh = !self.again;
        loop {
            is_fresh |= self.written()?;
            if is_fresh && let Some(tty) = self.open_terminal()? {
                self.again = true;
                return Ok(Some(tty));
            }
            if !self.store.is_introduced(self.domid)? {
                return if self.again { Ok(None) } else { Err(Error::NoDomain(self.domid)) };
            }
            if Instant::now() >= deadline {
                return Err(Error::NoConsole(self.domid));
            }
            self.wait(deadline)?;
            if session.is_left()? {
                return Ok(None);
            }
        }
    }

    /// Whether the node was written since the last call.
    fn written(&self) -> Result<bool, Error> {
        let mut written = false;
        while self.store.next_event(Some(Duration::ZERO))?.is_some() {
            written = true;
        }
        Ok(written)
    }

    fn open_terminal(&self) -> Result<Option<File>, Error> {
        let Some(path) = self.store.read_string(Tx::NONE, &self.node)? else { return Ok(None) };
        if path.is_empty() {
            return Ok(None);
        }
        match open(Path::new(&path)) {
            Ok(tty) => Ok(Some(tty)),
            // What a terminal looks like whose daemon has just died.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EIO)) => {
                Ok(None)
            }
            Err(source) => Err(Error::Terminal { path: path.into(), source }),
        }
    }

    /// Waits for an event of the store, for a moment: a domain's end makes none here, and
    /// neither does Ctrl-].
    fn wait(&self, deadline: Instant) -> Result<(), Error> {
        const MOMENT: Duration = Duration::from_millis(100);
        let left = deadline.saturating_duration_since(Instant::now()).min(MOMENT);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(self.store.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(Error::Own(error.into())),
        }
    }
}
