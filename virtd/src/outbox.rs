//! What waits to be sent to a client.
//!
//! Whoever has something to say puts it here and goes on. What the socket takes at once is sent at
//! once; one thread sends what it doesn't. A client that does not read fills its own box only, and
//! when that is full it is hung up on.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, send};

/// So much may wait. The longest answer there is fits, beside some others.
const MOST_BYTES: usize = 40 << 20;
/// A stream is not read on while more than this waits.
const STREAM_BYTES: usize = 256 << 10;
/// Notices beyond so many that wait are too many: who does not read them is hung up on.
const MOST_MESSAGES: usize = 10_000;

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// One that was taken out may not be sent yet.
    sending: bool,
    closed: bool,
}

/// The messages for one client.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Where they go. Without one they wait to be taken out.
    socket: Option<OwnedFd>,
}

/// What [`Outbox::next`] gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// To be sent.
    Message(Vec<u8>),
    /// Nothing to send for now.
    Silence,
    /// Nothing will ever be.
    Closed,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages for the client at the other end of a socket.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket: Some(socket), ..Self::default() }
    }

    /// Has a message sent. False if the client is given up, now or before.
    pub fn push(&self, mut message: Vec<u8>) -> bool {
        let mut waiting = self.lock();
        if self.send(&waiting, &mut message) {
            return true;
        }
        let full =
            waiting.bytes + message.len() > MOST_BYTES || waiting.messages.len() >= MOST_MESSAGES;
        if full {
            waiting.closed = true;
            waiting.messages.clear();
        }
        if waiting.closed {
            self.changed.notify_all();
            return false;
        }
        waiting.bytes += message.len();
        waiting.messages.push_back(message);
        self.changed.notify_all();
        true
    }

    /// Sends as much of a message as can be sent at once. True if that is all of it.
    fn send(&self, waiting: &Waiting, message: &mut Vec<u8>) -> bool {
        let Some(socket) = &self.socket else { return false };
        if waiting.closed || waiting.sending || !waiting.messages.is_empty() {
            return false;
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // What is wrong with the socket is found by who sends the rest.
        let sent = send(socket.as_raw_fd(), message, flags).unwrap_or(0);
        message.drain(..sent);
        message.is_empty()
    }

    /// Takes the next message out, waiting for one no longer than `patience`.
    pub fn next(&self, patience: Duration) -> Next {
        let deadline = Instant::now() + patience;
        let mut waiting = self.lock();
        waiting.sending = false;
        loop {
            if let Some(message) = waiting.messages.pop_front() {
                waiting.sending = true;
                waiting.bytes -= message.len();
                self.changed.notify_all();
                return Next::Message(message);
            }
            if waiting.closed {
                return Next::Closed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Silence;
            }
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a stream may go on. False if the client is gone.
    pub fn wait_for_room(&self) -> bool {
        let full = |waiting: &mut Waiting| !waiting.closed && waiting.bytes > STREAM_BYTES;
        let waiting = self.changed.wait_while(self.lock(), full);
        !waiting.unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Lets what waits be sent, and nothing more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn messages_leave_in_order_and_what_waits_is_sent_before_the_end() {
        let outbox = Outbox::default();
        assert!(outbox.push(vec![1]) && outbox.push(vec![2]));
        outbox.close();
        assert!(!outbox.push(vec![3]));
        assert_eq!(outbox.next(Duration::ZERO), Next::Message(vec![1]));
        assert_eq!(outbox.next(Duration::ZERO), Next::Message(vec![2]));
        assert_eq!(outbox.next(Duration::ZERO), Next::Closed);
    }

    #[test]
    fn what_a_socket_takes_is_sent_at_once_and_the_rest_follows() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::new(ours.into());
        assert!(outbox.push(vec![1; 4]));
        let mut first = [0; 4];
        theirs.read_exact(&mut first).unwrap();
        assert_eq!((first, outbox.next(Duration::ZERO)), ([1; 4], Next::Silence));
        assert!(outbox.push(vec![2; 8 << 20]) && outbox.push(vec![3]));
        let Next::Message(rest) = outbox.next(Duration::ZERO) else { panic!("nothing waits") };
        assert!(!rest.is_empty() && rest.len() < 8 << 20);
        // Nobody overtakes it.
        theirs.set_nonblocking(true).unwrap();
        while theirs.read(&mut [0; 4096]).is_ok() {}
        assert!(outbox.push(vec![4]));
        assert_eq!(outbox.next(Duration::ZERO), Next::Message(vec![3]));
        assert_eq!(outbox.next(Duration::ZERO), Next::Message(vec![4]));
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up() {
        let outbox = Outbox::default();
        assert_eq!(outbox.next(Duration::ZERO), Next::Silence);
        while outbox.push(vec![0; 1 << 20]) {
            assert!(outbox.lock().bytes <= MOST_BYTES);
        }
        assert_eq!(outbox.next(Duration::ZERO), Next::Closed);
        assert!(!outbox.wait_for_room());
        let outbox = Outbox::default();
        assert_eq!((0..).take_while(|_| outbox.push(vec![0])).count(), MOST_MESSAGES);
    }
}
