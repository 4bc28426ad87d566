//! One client of the store: what it may do, what it has open, what it is still to be told.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::perms::{Caller, DomId};
use crate::transaction::Transaction;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnId {
    /// A tool on one of the host's sockets; numbered in the order of their coming.
    Socket(u64),
    /// A domain's ring.
    Domain(DomId),
}

impl ConnId {
    /// The domain, if it is one. Only these connections outlive the daemon.
    pub fn domain(self) -> Option<DomId> {
        match self {
            ConnId::Domain(domid) => Some(domid),
            ConnId::Socket(_) => None,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// On whose behalf it asks.
    pub caller: Caller,
    /// False: every request that changes something is answered EROFS.
    pub may_write: bool,
    /// The open transactions.
    pub transactions: BTreeMap<u32, Transaction>,
    /// The id given last.
    pub last_transaction: u32,
    /// The beginning of a message that is not all there yet.
    pub inbox: Vec<u8>,
    /// What waits to be sent.
    pub outbox: Outbox,
}

impl Connection {
    /// A connection of `caller`.
    pub fn new(caller: Caller, may_write: bool) -> Self {
        Self {
            caller,
            may_write,
            transactions: BTreeMap::new(),
            last_transaction: 0,
            inbox: Vec::new(),
            outbox: Outbox::default(),
        }
    }

    /// An id that no open transaction has; never 0.
    pub fn free_transaction(&self) -> u32 {
        let mut id = self.last_transaction;
        loop {
            id = id.wrapping_add(1);
            if id != 0 && !self.transactions.contains_key(&id) {
                return id;
            }
        }
    }
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer to a request.
    Reply,
    /// A watch event.
    Event,
    /// The end of a message whose beginning is sent.
    Rest,
}

/// Messages in the order in which they are to be sent.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: VecDeque<(Kind, Arc<[u8]>)>,
    /// Bytes of the first message that are sent.
    sent: usize,
    bytes: usize,
    replies: usize,
    events: HashSet<Arc<[u8]>>,
}

impl Outbox {
    /// Adds a message.
    pub fn push(&mut self, kind: Kind, bytes: Arc<[u8]>) {
        self.bytes += bytes.len();
        match kind {
            Kind::Reply => self.replies += 1,
            Kind::Event => drop(self.events.insert(Arc::clone(&bytes))),
            Kind::Rest => (),
        }
        self.messages.push_back((kind, bytes));
    }

    /// Does the same event wait already? Then another would tell nothing new: whoever gets
    /// the first one looks at the tree only afterwards.
    pub fn has_event(&self, bytes: &[u8]) -> bool {
        self.events.contains(bytes)
    }

    /// The bytes to send next; empty when all is sent.
    pub fn next(&self) -> &[u8] {
        self.messages.front().map_or(&[], |(_, bytes)| &bytes[self.sent..])
    }

    /// Notes that `count` bytes were sent. More than there are is as good as all.
    pub fn advance(&mut self, mut count: usize) {
        while let Some((kind, message)) = self.messages.front() {
            let left = message.len() - self.sent;
            if count < left {
                self.sent += count;
                self.bytes -= count;
                return;
            }
            match kind {
                Kind::Reply => self.replies -= 1,
                Kind::Event => drop(self.events.remove(message)),
                Kind::Rest => (),
            }
            self.bytes -= left;
            self.sent = 0;
            self.messages.pop_front();
            count -= left;
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Is all sent?
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Replies that wait.
    pub fn replies(&self) -> usize {
        self.replies
    }

    /// The messages that wait; the first one without what is sent of it.
    pub fn messages(&self) -> impl Iterator<Item = (Kind, Arc<[u8]>)> {
        let whole = |at: usize, kind: Kind, bytes: &Arc<[u8]>| match (at, self.sent) {
            (0, 1..) => (Kind::Rest, bytes[self.sent..].into()),
            _ => (kind, Arc::clone(bytes)),
        };
        self.messages.iter().enumerate().map(move |(at, (kind, bytes))| whole(at, *kind, bytes))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_in_pieces() {
        let mut outbox = Outbox::default();
        outbox.push(Kind::Reply, (*b"abc").into());
        outbox.push(Kind::Event, (*b"defg").into());
        assert_eq!((outbox.len(), outbox.replies(), outbox.next()), (7, 1, &b"abc"[..]));
        outbox.advance(1);
        let left: Vec<_> = outbox.messages().map(|(kind, bytes)| (kind, bytes.to_vec())).collect();
        assert_eq!(left, [(Kind::Rest, b"bc".to_vec()), (Kind::Event, b"defg".to_vec())]);
        outbox.advance(4);
        assert_eq!((outbox.next(), outbox.replies()), (&b"fg"[..], 0));
        assert!(outbox.has_event(b"defg"));
        outbox.advance(2);
        assert!(outbox.is_empty() && !outbox.has_event(b"defg"));
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn transaction_ids_skip_0_and_those_in_use() {
        let mut connection = Connection::new(Caller::domain(1), true);
        let tree = crate::tree::Tree::new(0);
        connection.last_transaction = u32::MAX;
        assert_eq!(connection.free_transaction(), 1);
        connection.transactions.insert(1, Transaction::new(&tree));
        assert_eq!(connection.free_transaction(), 2);
    }
}
