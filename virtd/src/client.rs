//! One client: what it asks is read here, carried out by a few threads of its own, and answered
//! through its outbox.
//!
//! ```text
//!   socket ─► reader ─┬─► calls ─► up to CALLS workers ─┬─► outbox ─► writer ─► socket
//!                     ├─► keepalive ────────────────────┤
//!                     └─► streams ─► the guest's console┘   (events come from their hub)
//! ```
//!
//! What needs nothing but the list of guests, while that is fresh, the reader answers itself; and
//! what a socket takes at once is sent by whoever has it. So the calls that clients make by the
//! thousand wake no other thread.
//!
//! The reader stops reading while the most calls that a client may have are under way. A client
//! that does not read what it gets fills its outbox, and is hung up on.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};

use crate::error::{Code, Error};
use crate::outbox::Next;
use crate::packet::{self, Header, Packet, kind, program};
use crate::procedures::{self, Access};
use crate::session::{Call, Session};

/// Calls of one client under way at a time (libvirt's `max_client_requests`).
const CALLS: usize = 5;
/// Stack of each thread.
const STACK: usize = 512 << 10;
/// Silence after which a client that understands it is asked whether it is still there.
const PING_AFTER: Duration = Duration::from_secs(5);
/// So many questions without an answer, and a client is gone.
const PINGS: u32 = 6;

/// Messages of the keepalive program.
mod keepalive {
    pub const PING: i32 = 1;
    pub const PONG: i32 = 2;
}

/// Serves a client until it leaves. `socket` is connected and blocking.
pub fn serve(socket: OwnedFd, session: Session) -> io::Result<()> {
    let socket = File::from(socket);
    let hang_up = socket.try_clone()?;
    let client = Arc::new(Client {
        session: Arc::new(session),
        calls: Mutex::default(),
        changed: Condvar::new(),
        unanswered: AtomicU32::new(0),
    });
    let writer = {
        let (client, socket) = (Arc::clone(&client), socket.try_clone()?);
        spawn("writer", move || client.write(socket))?
    };
    let result = client.read(&mut BufReader::with_capacity(64 << 10, &socket));
    client.session.end();
    client.lock().closed = true;
    client.changed.notify_all();
    client.session.outbox.close();
    let _ = writer.join();
    let _ = shut(&hang_up);
    result
}

fn shut(socket: &File) -> io::Result<()> {
    Ok(shutdown(socket.as_raw_fd(), Shutdown::Both)?)
}

fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body)
}

struct Client {
    session: Arc<Session>,
    calls: Mutex<Calls>,
    changed: Condvar,
    /// Pings that were not answered yet.
    unanswered: AtomicU32,
}

#[derive(Default)]
struct Calls {
    waiting: VecDeque<Packet>,
    /// Those that wait and those that are carried out.
    under_way: usize,
    workers: usize,
    idle: usize,
    closed: bool,
}

impl Client {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(self: &Arc<Self>, socket: &mut impl io::Read) -> io::Result<()> {
        while let Some(packet) = packet::read(socket)? {
            self.unanswered.store(0, Ordering::Relaxed);
            let header = packet.header;
            match (header.program, header.kind) {
                (program::KEEPALIVE, kind::MESSAGE) => self.keepalive(header),
                (program::REMOTE, kind::CALL) => self.call(packet)?,
                (program::REMOTE, kind::STREAM) => self.session.stream(packet),
                // With descriptors, which nobody was told that they could send.
                (program::REMOTE, _) => return Err(unexpected(header)),
                _ if header.kind == kind::CALL => {
                    let error = Error::rpc(format!(
                        "Cannot find program {} version {}",
                        header.program, header.version
                    ));
                    self.session.outbox.push(packet::refusal(header, &error));
                }
                _ => return Err(unexpected(header)),
            }
        }
        Ok(())
    }

    fn keepalive(&self, header: Header) {
        if header.procedure == keepalive::PING {
            self.session.outbox.push(keepalive_message(keepalive::PONG));
        }
    }

    /// Answers a call, or hands it to a worker; waits while there are too many.
    fn call(self: &Arc<Self>, packet: Packet) -> io::Result<()> {
        let by_list = procedures::goes_by_list(packet.header.procedure);
        if by_list && self.session.host.xend.knows_guests() {
            self.answer(&packet);
            return Ok(());
        }
        let full = |calls: &mut Calls| calls.under_way >= CALLS;
        let calls = self.changed.wait_while(self.lock(), full);
        let mut calls = calls.unwrap_or_else(PoisonError::into_inner);
        calls.waiting.push_back(packet);
        calls.under_way += 1;
        if calls.idle < calls.waiting.len() && calls.workers < CALLS {
            let client = Arc::clone(self);
            spawn("worker", move || client.work())?;
            calls.workers += 1;
        }
        self.changed.notify_all();
        Ok(())
    }

    fn answer(&self, packet: &Packet) {
        let answer = answer(&self.session, packet.header, &packet.payload);
        self.session.outbox.push(packet::answer(packet.header, answer));
    }

    fn work(&self) {
        while let Some(packet) = self.next_call() {
            self.answer(&packet);
            self.lock().under_way -= 1;
            self.changed.notify_all();
        }
    }

    fn next_call(&self) -> Option<Packet> {
        let mut calls = self.lock();
        calls.idle += 1;
        let none = |calls: &mut Calls| calls.waiting.is_empty() && !calls.closed;
        let calls = self.changed.wait_while(calls, none);
        let mut calls = calls.unwrap_or_else(PoisonError::into_inner);
        calls.idle -= 1;
        calls.waiting.pop_front()
    }

    fn write(&self, socket: File) {
        while let Some(message) = self.next_message() {
            if (&socket).write_all(&message).is_err() {
                break;
            }
        }
        self.session.outbox.close();
        // Wakes the reader, and ends what a client waits for.
        let _ = shut(&socket);
    }

    /// What is to be sent next: an answer, or a ping to a client that is silent.
    fn next_message(&self) -> Option<Vec<u8>> {
        loop {
            match self.session.outbox.next(PING_AFTER) {
                Next::Message(message) => return Some(message),
                Next::Closed => return None,
                Next::Silence if self.session.loiters() => return None,
                Next::Silence if !self.session.understands_keepalive() => {}
                Next::Silence => {
                    if self.unanswered.fetch_add(1, Ordering::Relaxed) >= PINGS {
                        tracing::info!("a client does not answer any more");
                        return None;
                    }
                    return Some(keepalive_message(keepalive::PING));
                }
            }
        }
    }
}

fn unexpected(header: Header) -> io::Error {
    let reason = format!("a message of kind {} of program {:#x}", header.kind, header.program);
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn keepalive_message(procedure: i32) -> Vec<u8> {
    let header = Header::notice(program::KEEPALIVE, program::KEEPALIVE_VERSION, procedure);
    packet::message(header, |_| ())
}

/// Carries a call out, if this client may have it.
fn answer(session: &Arc<Session>, header: Header, payload: &[u8]) -> Result<Vec<u8>, Error> {
    if header.version != program::REMOTE_VERSION {
        let version = header.version;
        return Err(Error::rpc(format!(
            "Cannot find program {} version {version}",
            header.program
        )));
    }
    let Some(procedure) = procedures::find(header.procedure) else {
        return Err(unknown(header.procedure));
    };
    if procedure.access != Access::Anyone && !session.is_open() {
        return Err(Error::internal("connection not open"));
    }
    if procedure.access == Access::Write && session.is_read_only() {
        let reason =
            format!("read only access prevents {}", procedures::function(procedure.number));
        return Err(Error::new(Code::OperationDenied, reason));
    }
    let run = || (procedure.run)(&Call { session, header }, payload);
    // A defect costs the call that meets it. No lock of ours is of use to nobody afterwards.
    let result = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Error::internal(format!("{} panicked", procedure.name()))));
    match &result {
        Ok(_) => tracing::debug!("{}", procedure.name()),
        Err(error) => tracing::debug!("{}: {error}", procedure.name()),
    }
    result
}

/// What libvirt says of a procedure that a driver does not have, and of one that it never heard of.
fn unknown(number: i32) -> Error {
    match procedures::NAMES.get(number) {
        Some(_) => Error::new(Code::NoSupport, procedures::function(number)),
        None => Error::rpc(format!("unknown procedure: {number}")),
    }
}
