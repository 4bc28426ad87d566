//! A blocking client of any xenstored, over its unix socket or the kernel's `/dev/xen/xenbus`.
//!
//! When the daemon is restarted the client connects again by itself, sets its watches again
//! (each fires once more) and repeats the request that was under way. A transaction doesn't
//! outlive its connection: it ends with EAGAIN and [`Client::transaction`] runs it again.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

pub use crate::perms::{Access, DomId, Perm};
use crate::wire::{Errno, Op, PAYLOAD_MAX, fields, split};

mod connection;
use connection::{Broken, Connection};

/// How often a conflicting transaction is run before its EAGAIN is the caller's.
const TRANSACTION_ATTEMPTS: usize = 1000;
/// How long a daemon that went away may take to come back.
const RECONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store said no.
    #[error("store: {op} {path}: {errno}")]
    Refused {
        /// The request.
        op: Op,
        /// What it was about: a path, or a domain's number.
        path: String,
        /// The store's reason.
        errno: Errno,
    },
    /// No store can be reached.
    #[error("store: no xenstored answers at {tried}: {source}; is the service store online?")]
    Unreachable {
        /// Where it was looked for.
        tried: String,
        /// What the system said about the last place.
        source: io::Error,
    },
    /// The store answered something that the protocol doesn't know.
    #[error("store: {op} {path}: not a valid answer: {answer:?}")]
    Protocol {
        /// The request.
        op: Op,
        /// What it was about.
        path: String,
        /// The beginning of the answer.
        answer: String,
    },
    /// The connection could not be used.
    #[error("store: {0}")]
    Io(#[from] io::Error),
}

/// Result of a request.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The store's reason, if it was the store that said no.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// There is no such node.
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::NoEnt)
    }

    /// The transaction conflicts with another change.
    pub fn is_conflict(&self) -> bool {
        self.errno() == Some(Errno::Again)
    }

    /// There is one already.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::Exist)
    }
}

/// A transaction, or [`Tx::NONE`]. It belongs to the client that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tx {
    id: u32,
    /// Which of the client's successive connections it was opened on.
    epoch: u64,
}

impl Tx {
    /// Outside of any transaction.
    pub const NONE: Tx = Tx { id: 0, epoch: 0 };
}

/// A watch fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What changed, in the form (absolute or relative) in which the watch was set.
    pub path: String,
    /// The watch's token.
    pub token: String,
}

/// A connection to the store, for one thread.
///
/// The descriptor ([`AsFd`]) stays the same over reconnections. Before sleeping on it call
/// [`Client::next_event`] with a zero timeout until it says `None`: events that came together
/// with a reply are queued in here.
#[derive(Debug)]
pub struct Client {
    connection: RefCell<Connection>,
}

impl Client {
    /// Connects to the host's store: `$XENSTORED_PATH`, else the socket in
    /// `$XENSTORED_RUNDIR`, else those in `/run/xenstored` and `/var/run/xenstored`, else
    /// `/dev/xen/xenbus`.
    pub fn connect() -> Result<Self> {
        Ok(Self { connection: RefCell::new(Connection::open(connection::usual_places())?) })
    }

    /// Connects to the socket or device at `path`.
    pub fn connect_to(path: &Path) -> Result<Self> {
        Ok(Self { connection: RefCell::new(Connection::open(vec![path.to_owned()])?) })
    }

    /// A node's value.
    pub fn read(&self, tx: Tx, path: &str) -> Result<Vec<u8>> {
        self.request(Op::Read, tx, path, &fields([path]))
    }

    /// A node's value as text; `None` if there is no such node.
    pub fn read_string(&self, tx: Tx, path: &str) -> Result<Option<String>> {
        match self.read(tx, path) {
            Ok(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a node's value; the node and its parents are made if they are missing.
    pub fn write(&self, tx: Tx, path: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let payload = [path.as_bytes(), b"\0", value.as_ref()].concat();
        self.request(Op::Write, tx, path, &payload).map(drop)
    }

    /// Makes a node and its parents; a node that exists keeps its value.
    pub fn mkdir(&self, tx: Tx, path: &str) -> Result<()> {
        self.request(Op::Mkdir, tx, path, &fields([path])).map(drop)
    }

    /// Removes a node and all below it; no error if only the node itself is missing.
    pub fn rm(&self, tx: Tx, path: &str) -> Result<()> {
        self.request(Op::Rm, tx, path, &fields([path])).map(drop)
    }

    /// The names of a node's children, however many there are.
    pub fn directory(&self, tx: Tx, path: &str) -> Result<Vec<String>> {
        match self.request(Op::Directory, tx, path, &fields([path])) {
            Ok(list) => Ok(strings(&list)),
            Err(error) if error.errno() == Some(Errno::TooBig) => self.long_directory(tx, path),
            Err(error) => Err(error),
        }
    }

    /// A list of children that doesn't fit into one answer, read in pieces.
    fn long_directory(&self, tx: Tx, path: &str) -> Result<Vec<String>> {
        let mut generation = Vec::new();
        let mut list = Vec::new();
        loop {
            let payload = fields([path, &list.len().to_string()]);
            let part = self.request(Op::DirectoryPart, tx, path, &payload)?;
            let at = part.iter().position(|&byte| byte == 0);
            let (now, names) = at
                .map(|at| (&part[..at], &part[at + 1..]))
                .ok_or_else(|| protocol(Op::DirectoryPart, path, &part))?;
            if now != generation {
                // The node changed between two pieces: they don't fit together.
                generation = now.to_vec();
                if !list.is_empty() {
                    list.clear();
                    continue;
                }
            }
            list.extend_from_slice(names);
            // The end is marked by an empty name.
            if names.is_empty() || names == b"\0" || names.ends_with(b"\0\0") {
                return Ok(strings(&list).into_iter().filter(|name| !name.is_empty()).collect());
            }
        }
    }

    /// A node's permissions; the first entry names the owner.
    pub fn get_perms(&self, tx: Tx, path: &str) -> Result<Vec<Perm>> {
        let list = self.request(Op::GetPerms, tx, path, &fields([path]))?;
        let perms = strings(&list).iter().map(|text| text.parse()).collect();
        let perms: std::result::Result<Vec<Perm>, _> = perms;
        perms.map_err(|_| protocol(Op::GetPerms, path, &list))
    }

    /// Sets a node's permissions; the first entry names the owner.
    pub fn set_perms(&self, tx: Tx, path: &str, perms: &[Perm]) -> Result<()> {
        let perms = perms.iter().map(Perm::to_string);
        let payload = fields(std::iter::once(path.to_owned()).chain(perms));
        self.request(Op::SetPerms, tx, path, &payload).map(drop)
    }

    /// Runs `body` in a transaction until it can be committed without conflict.
    ///
    /// `body` must bear being run again, also when the run before took effect: that is how it
    /// looks when the daemon dies between the commit and its answer. An error of `body` drops
    /// the transaction.
    pub fn transaction<T>(&self, mut body: impl FnMut(Tx) -> Result<T>) -> Result<T> {
        let mut attempt = 1;
        loop {
            match self.attempt(&mut body) {
                Err(error) if error.is_conflict() && attempt < TRANSACTION_ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn attempt<T>(&self, body: &mut impl FnMut(Tx) -> Result<T>) -> Result<T> {
        let answer = self.request(Op::TransactionStart, Tx::NONE, "", &[0])?;
        let id = number(&answer).ok_or_else(|| protocol(Op::TransactionStart, "", &answer))?;
        let tx = Tx { id, epoch: self.connection.borrow().epoch() };
        match body(tx) {
            Ok(value) => self.request(Op::TransactionEnd, tx, "", b"T\0").map(|_| value),
            Err(error) => {
                // The body's error says more than a failure to drop what is dropped anyway.
                let _ = self.request(Op::TransactionEnd, tx, "", b"F\0");
                Err(error)
            }
        }
    }

    /// Asks for events about `path` and everything below it. The first one comes at once.
    pub fn watch(&self, path: &str, token: &str) -> Result<()> {
        self.request(Op::Watch, Tx::NONE, path, &fields([path, token]))?;
        self.connection.borrow_mut().watches.push((path.to_owned(), token.to_owned()));
        Ok(())
    }

    /// Ends a watch and forgets its events that wait in here.
    pub fn unwatch(&self, path: &str, token: &str) -> Result<()> {
        let mut connection = self.connection.borrow_mut();
        connection.watches.retain(|watch| watch != &(path.to_owned(), token.to_owned()));
        let epoch = connection.epoch();
        drop(connection);
        let outcome = self.request(Op::Unwatch, Tx::NONE, path, &fields([path, token]));
        let mut connection = self.connection.borrow_mut();
        connection.forget_events(path, token);
        match outcome {
            // A new connection doesn't have the watch in the first place.
            Err(error) if error.is_not_found() && connection.epoch() != epoch => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// The next event; waits for it no longer than `timeout`, or for ever.
    pub fn next_event(&self, timeout: Option<Duration>) -> Result<Option<Event>> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let outcome = self.connection.borrow_mut().next_event(deadline);
            match outcome {
                Ok(event) => return Ok(event),
                Err(Broken) => self.reconnect()?,
            }
        }
    }

    /// Makes the store talk to domain `domid` through the page `gfn` and its event channel
    /// `port`. A domain that is introduced already begins anew: its ring, watches and
    /// transactions are emptied.
    pub fn introduce(&self, domid: DomId, gfn: u64, port: u32) -> Result<()> {
        let payload = fields([domid.to_string(), gfn.to_string(), port.to_string()]);
        self.request(Op::Introduce, Tx::NONE, &domid.to_string(), &payload).map(drop)
    }

    /// Makes the store stop talking to domain `domid`.
    pub fn release(&self, domid: DomId) -> Result<()> {
        self.about_domain(Op::Release, domid).map(drop)
    }

    /// Says that domain `domid`, which had shut down, runs again.
    pub fn resume(&self, domid: DomId) -> Result<()> {
        self.about_domain(Op::Resume, domid).map(drop)
    }

    /// Gives `domid` all rights that `target` has.
    pub fn set_target(&self, domid: DomId, target: DomId) -> Result<()> {
        let payload = fields([domid.to_string(), target.to_string()]);
        self.request(Op::SetTarget, Tx::NONE, &domid.to_string(), &payload).map(drop)
    }

    /// Does the store talk to domain `domid`?
    pub fn is_introduced(&self, domid: DomId) -> Result<bool> {
        Ok(self.about_domain(Op::IsDomainIntroduced, domid)?.starts_with(b"T"))
    }

    /// The home of domain `domid`: `/local/domain/N`.
    pub fn get_domain_path(&self, domid: DomId) -> Result<String> {
        let answer = self.about_domain(Op::GetDomainPath, domid)?;
        strings(&answer)
            .pop()
            .ok_or_else(|| protocol(Op::GetDomainPath, &domid.to_string(), &answer))
    }

    /// Sends a command to the daemon itself, as `xenstore-control` does; answers its text.
    pub fn control(&self, words: &[&str]) -> Result<String> {
        let answer = self.request(Op::Control, Tx::NONE, &words.join(" "), &fields(words))?;
        Ok(String::from_utf8_lossy(&answer).trim_end_matches('\0').to_owned())
    }

    fn about_domain(&self, op: Op, domid: DomId) -> Result<Vec<u8>> {
        let domid = domid.to_string();
        self.request(op, Tx::NONE, &domid, &fields([&domid]))
    }

    /// Sends a request and waits for its answer; `path` is for messages.
    fn request(&self, op: Op, tx: Tx, path: &str, payload: &[u8]) -> Result<Vec<u8>> {
        let refused = |errno| Error::Refused { op, path: path.to_owned(), errno };
        if path.contains('\0') {
            return Err(refused(Errno::Inval));
        }
        if payload.len() > PAYLOAD_MAX {
            return Err(refused(Errno::TooBig));
        }
        loop {
            let stale = tx != Tx::NONE && tx.epoch != self.connection.borrow().epoch();
            if stale {
                return Err(refused(Errno::Again));
            }
            let outcome = self.connection.borrow_mut().request(op, tx.id, payload);
            match outcome {
                Ok(answer) if answer.op == op as u32 => return Ok(answer.payload),
                Ok(answer) if answer.op == Op::Error as u32 => {
                    let name = strings(&answer.payload).into_iter().next().unwrap_or_default();
                    // As libxenstore: an error nobody knows counts as EINVAL.
                    return Err(refused(Errno::from_name(&name).unwrap_or(Errno::Inval)));
                }
                Ok(answer) => return Err(protocol(op, path, &answer.payload)),
                Err(Broken) => self.reconnect()?,
            }
        }
    }

    fn reconnect(&self) -> Result<()> {
        let deadline = Instant::now() + RECONNECT_WITHIN;
        loop {
            match self.connection.borrow_mut().reopen() {
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(RECONNECT_PAUSE),
                Ok(()) => return Ok(()),
            }
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.connection.borrow().raw_fd();
        // SAFETY: the connection owns this number and keeps it open until the client is
        // dropped; a reconnection changes what it refers to (dup3), never the number.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }
}

fn strings(payload: &[u8]) -> Vec<String> {
    split(payload).into_iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
}

fn number(payload: &[u8]) -> Option<u32> {
    strings(payload).first()?.parse().ok()
}

fn protocol(op: Op, path: &str, answer: &[u8]) -> Error {
    let answer = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    Error::Protocol { op, path: path.to_owned(), answer }
}
