//! The byte stream under a client: opening it, one request at a time, events in between.

use std::collections::VecDeque;
use std::env;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::errno::Errno as SysErrno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{dup3, read, write};

use super::{Error, Event};
use crate::wire::{Op, Packet, fields, split};

/// The stream ended or can't be followed any further; a new connection is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

#[derive(Debug)]
pub(super) struct Connection {
    places: Vec<PathBuf>,
    fd: OwnedFd,
    /// Counts the connections; 0 is left to "no transaction".
    epoch: u64,
    next_req_id: u32,
    /// Bytes of the message that is not all there yet.
    stream: Vec<u8>,
    events: VecDeque<Event>,
    pub(super) watches: Vec<(String, String)>,
}

/// Where a host's store is looked for, in this order.
pub(super) fn usual_places() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("XENSTORED_PATH") {
        return vec![path.into()];
    }
    let rundir = env::var_os("XENSTORED_RUNDIR").map(PathBuf::from);
    let folders = match rundir {
        Some(folder) => vec![folder],
        None => vec!["/run/xenstored".into(), "/var/run/xenstored".into()],
    };
    let sockets = folders.into_iter().map(|folder| folder.join("socket"));
    sockets.chain(["/dev/xen/xenbus".into()]).collect()
}

impl Connection {
    pub(super) fn open(places: Vec<PathBuf>) -> Result<Self, Error> {
        let fd = open_first(&places)?;
        Ok(Self {
            places,
            fd,
            epoch: 1,
            next_req_id: 1,
            stream: Vec::new(),
            events: VecDeque::new(),
            watches: Vec::new(),
        })
    }

    /// Connects again under the same descriptor, and sets all watches again.
    pub(super) fn reopen(&mut self) -> Result<(), Error> {
        let fresh = open_first(&self.places)?;
        dup3(&fresh, &mut self.fd, OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        self.epoch += 1;
        self.stream.clear();
        for (path, token) in self.watches.clone() {
            self.request(Op::Watch, 0, &fields([path, token]))
                .map_err(|Broken| io::Error::from(io::ErrorKind::ConnectionReset))?;
        }
        Ok(())
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Sends one request and waits for the reply to it; events that come first are queued.
    pub(super) fn request(&mut self, op: Op, tx_id: u32, payload: &[u8]) -> Result<Packet, Broken> {
        let req_id = self.next_req_id;
        self.next_req_id = self.next_req_id.wrapping_add(1);
        self.send(&Packet::new(op, req_id, tx_id, payload).encode())?;
        loop {
            let packet = self.receive()?;
            if packet.op == Op::WatchEvent as u32 {
                self.queue(&packet.payload);
            } else if packet.req_id == req_id {
                return Ok(packet);
            }
        }
    }

    /// The next event, waiting until `deadline` or for ever.
    pub(super) fn next_event(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Event>, Broken> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(packet) = Packet::take(&mut self.stream).map_err(|_| Broken)? {
                self.queue(&packet.payload);
            } else if self.readable(deadline)? {
                self.fill()?;
            } else {
                return Ok(None);
            }
        }
    }

    pub(super) fn forget_events(&mut self, path: &str, token: &str) {
        let watched = |event: &Event| {
            event.token == token
                && event.path.strip_prefix(path).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || path.ends_with('/')
                })
        };
        self.events.retain(|event| !watched(event));
    }

    fn queue(&mut self, payload: &[u8]) {
        if let [path, token, ..] = split(payload)[..] {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            self.events.push_back(Event { path: text(path), token: text(token) });
        }
    }

    fn receive(&mut self) -> Result<Packet, Broken> {
        loop {
            if let Some(packet) = Packet::take(&mut self.stream).map_err(|_| Broken)? {
                return Ok(packet);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Broken> {
        let mut bytes = [0; 8192];
        loop {
            match read(&self.fd, &mut bytes) {
                Ok(n) if n > 0 => break self.stream.extend_from_slice(&bytes[..n]),
                Err(SysErrno::EINTR) => (),
                _ => return Err(Broken),
            }
        }
        Ok(())
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match write(&self.fd, bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(SysErrno::EINTR) => (),
                Err(_) => return Err(Broken),
            }
        }
        Ok(())
    }

    fn readable(&self, deadline: Option<Instant>) -> Result<bool, Broken> {
        loop {
            let timeout = match deadline {
                None => PollTimeout::NONE,
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    // Rounded up: a millisecond too late is right, a busy loop is not.
                    let left = left.as_nanos().div_ceil(1_000_000);
                    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
                }
            };
            match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) if deadline.is_some_and(|deadline| Instant::now() < deadline) => (),
                Ok(n) => return Ok(n > 0),
                Err(SysErrno::EINTR) => (),
                Err(_) => return Err(Broken),
            }
        }
    }
}

fn open_first(places: &[PathBuf]) -> Result<OwnedFd, Error> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for place in places {
        match open_one(place) {
            Ok(fd) => return Ok(fd),
            // The first place is the usual one: its failure tells more than a missing device.
            Err(error) if failure.kind() == io::ErrorKind::NotFound => failure = error,
            Err(_) => (),
        }
    }
    let tried: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    Err(Error::Unreachable { tried: tried.join(", "), source: failure })
}

fn open_one(place: &Path) -> io::Result<OwnedFd> {
    if std::fs::metadata(place)?.file_type().is_char_device() {
        return Ok(OpenOptions::new().read(true).write(true).open(place)?.into());
    }
    Ok(UnixStream::connect(place)?.into())
}
