//! A restarter's connection, which is made again whenever `svc.startd` comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::wire::{self, Event, Report, Request, VERSION, Violation};
use crate::fmri::Fmri;

/// The pause between attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a restarter can't go on.
#[derive(Debug, thiserror::Error)]
pub enum DelegateError {
    /// `svc.startd` doesn't let it: it is somebody else, say, or was replaced.
    #[error("svc.startd refuses {restarter}: {message}")]
    Refused {
        /// The restarter.
        restarter: Fmri,
        /// What `svc.startd` said.
        message: String,
    },
    /// What arrived makes no sense, or what is sent would not.
    #[error("restarter protocol: {0}")]
    Protocol(#[from] Violation),
    /// The socket failed.
    #[error("restarter socket: {0}")]
    Socket(#[from] io::Error),
}

/// A restarter's connection to `svc.startd`.
///
/// After [`Event::Bound`], which comes again whenever the connection was lost, every instance is
/// added anew and wants to be answered for; what is reported meanwhile is not missed.
#[derive(Debug)]
pub struct Restarter {
    fmri: Fmri,
    path: PathBuf,
    stream: Option<UnixStream>,
    buffer: Vec<u8>,
    is_bound: bool,
}

impl Restarter {
    /// The restarter whose own instance is `fmri`. It connects when it is asked for events.
    pub fn new(fmri: Fmri) -> Self {
        let path = super::socket_path();
        Self { fmri, path, stream: None, buffer: Vec::new(), is_bound: false }
    }

    /// The next event; `None` if none came in `patience`. A lost connection is made again.
    pub fn next_event(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<Option<Event>, DelegateError> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        loop {
            if let Some(event) = wire::parse(&mut self.buffer) {
                return self.take(event?).map(Some);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let is_late = left == Some(Duration::ZERO);
            if !self.connect()? {
                if is_late {
                    return Ok(None);
                }
                thread::sleep(left.map_or(PAUSE, |left| left.min(PAUSE)));
            } else if !self.receive(left)? && is_late {
                return Ok(None);
            }
        }
    }

    /// Says how an instance is doing. Without a connection nothing is said: it will be asked for.
    pub fn report(&mut self, report: &Report) -> Result<(), DelegateError> {
        report.check()?;
        let line = wire::line(&Request::Report(report.clone()))?;
        if !self.is_bound {
            return Ok(());
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match stream.write_all(&line) {
            Err(error) if !is_broken(error.kind()) => Err(error.into()),
            // The end is found when the next event is read, after those that are there still.
            _ => Ok(()),
        }
    }

    fn take(&mut self, event: Event) -> Result<Event, DelegateError> {
        match event {
            Event::Bound { .. } => self.is_bound = true,
            Event::Error { message, instance: None } => {
                return Err(DelegateError::Refused { restarter: self.fmri.clone(), message });
            }
            _ => {}
        }
        Ok(event)
    }

    /// Connects if need be; whether there is a connection.
    fn connect(&mut self) -> Result<bool, DelegateError> {
        if self.stream.is_some() {
            return Ok(true);
        }
        let restarter = self.fmri.clone();
        let hello = wire::line(&Request::Bind { restarter, version: VERSION })?;
        let mut stream = match UnixStream::connect(&self.path) {
            Ok(stream) => stream,
            Err(error) if is_absent(error.kind()) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        match stream.write_all(&hello) {
            Ok(()) => self.stream = Some(stream),
            Err(error) if is_broken(error.kind()) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Reads what there is, or waits for it; whether there was any.
    fn receive(&mut self, patience: Option<Duration>) -> Result<bool, DelegateError> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        let shortest = Duration::from_millis(1);
        stream.set_read_timeout(patience.map(|patience| patience.max(shortest)))?;
        let mut chunk = [0; 16 << 10];
        match stream.read(&mut chunk) {
            Ok(0) => {}
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                return Ok(true);
            }
            Err(error) if is_broken(error.kind()) => {}
            Err(error) if is_transient(error.kind()) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        (self.stream, self.is_bound) = (None, false);
        self.buffer.clear();
        Ok(false)
    }

    /// What poll(2) may wait for, while there is a connection.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

fn is_broken(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
