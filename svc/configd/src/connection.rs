//! One client: its buffers, its limits, and what it waits for.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use svc::repo::frame::{self, FrameError, MAX_FRAME};
use svc::repo::{Code, Failure, Request, Response};

use crate::rights::Rights;

/// The largest request of a client that may only read; commits are the long ones.
const READER_FRAME: usize = 64 << 10;

/// How long a client may leave its answer unread.
const STALL: Duration = Duration::from_secs(30);

/// A client that waits for changes.
#[derive(Debug, Clone, Copy)]
pub struct Waiter {
    /// The last generation that it knows.
    pub generation: u64,
    /// When it wants an answer anyway.
    pub deadline: Option<Instant>,
}

/// A connected client.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    /// Who it is.
    pub uid: Uid,
    /// What it may do, as it was when it connected.
    pub rights: Rights,
    /// What it waits for, if its latest request was to wait.
    pub waiter: Option<Waiter>,
    /// The answer to its commit, which isn't durable yet.
    pub held: Option<Response>,
    /// A request that waits until commits of others are durable.
    pub deferred: Option<Request>,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    stalls_at: Option<Instant>,
}

/// Why a client is hung up on.
#[derive(Debug, thiserror::Error)]
pub enum Hangup {
    /// It left, or its socket broke.
    #[error("gone: {0}")]
    Gone(#[from] io::Error),
    /// It doesn't keep to the protocol.
    #[error("{0}")]
    Protocol(#[from] FrameError),
    /// It doesn't read its answer.
    #[error("its answer was not read in time")]
    Stalled,
}

impl Connection {
    /// Takes a client over.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let uid = Uid::from_raw(getsockopt(&stream, PeerCredentials)?.uid());
        let rights = Rights::of(uid);
        Ok(Self {
            stream,
            uid,
            rights,
            waiter: None,
            held: None,
            deferred: None,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            stalls_at: None,
        })
    }

    /// What poll(2) should look for. A client gets one answer at a time: until it has read that,
    /// or while it waits for changes, nothing more is taken from it; that it left is always told.
    pub fn interest(&self) -> PollFlags {
        if !self.output.is_empty() {
            PollFlags::POLLOUT
        } else if self.waiter.is_some() {
            PollFlags::empty()
        } else {
            PollFlags::POLLIN
        }
    }

    /// When this client needs attention even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_idle() && self.has_request() {
            return Some(Instant::now());
        }
        self.stalls_at.or(self.waiter.and_then(|waiter| waiter.deadline))
    }

    /// Whether it has all its answers and may ask again.
    pub fn is_idle(&self) -> bool {
        let waits = self.waiter.is_some() || self.held.is_some() || self.deferred.is_some();
        !self.is_sending() && !waits
    }

    /// Whether a whole request is among what was read.
    fn has_request(&self) -> bool {
        let body = |header: &[u8; 4]| u32::from_le_bytes(*header) as usize;
        self.input
            .first_chunk()
            .is_some_and(|header| self.input.len() - header.len() >= body(header))
    }

    /// Reads what there is and returns the next request, if it is whole.
    pub fn receive(&mut self) -> Result<Option<Request>, Hangup> {
        let mut chunk = [0; 32 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(n) => self.input.extend_from_slice(&chunk[..n]),
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error.into()),
        }
        self.next_request()
    }

    /// The next request among those already read.
    pub fn next_request(&mut self) -> Result<Option<Request>, Hangup> {
        let limit = if self.rights.is_none() { READER_FRAME } else { MAX_FRAME };
        if let Some(header) = self.input.first_chunk() {
            let length = u32::from_le_bytes(*header) as usize;
            if length > limit {
                return Err(FrameError::TooLong(length).into());
            }
        }
        let request = frame::decode(&mut self.input)?;
        if self.input.is_empty() {
            // A long request was the exception.
            self.input.shrink_to(READER_FRAME);
        }
        Ok(request)
    }

    /// Sends `response`, as much of it as goes now.
    pub fn send(&mut self, response: &Response) -> Result<(), Hangup> {
        self.waiter = None;
        self.output = match frame::encode(response) {
            Err(FrameError::TooLong(length)) => {
                let message = format!("The answer has {length} bytes, more than {MAX_FRAME}.");
                frame::encode(&Response::Failed(Failure::new(Code::Backend, message)))?
            }
            frame => frame?,
        };
        self.written = 0;
        self.stalls_at = Some(Instant::now() + STALL);
        self.flush()
    }

    /// Goes on sending.
    pub fn flush(&mut self) -> Result<(), Hangup> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if is_transient(&error) => return self.check_stall(),
                Err(error) => return Err(error.into()),
            }
        }
        self.output = Vec::new();
        self.stalls_at = None;
        Ok(())
    }

    fn check_stall(&self) -> Result<(), Hangup> {
        match self.stalls_at {
            Some(at) if at <= Instant::now() => Err(Hangup::Stalled),
            _ => Ok(()),
        }
    }

    /// Whether an answer is still being sent.
    pub fn is_sending(&self) -> bool {
        !self.output.is_empty()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
