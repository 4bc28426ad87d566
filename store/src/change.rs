//! Changes: the one way in which what outlives the daemon is changed, and what the journal
//! keeps. Replaying them on an empty store gives the same tree, domains, watches and messages.

use std::sync::Arc;

use crate::codec::{Put, Take};
use crate::connection::{ConnId, Kind};
use crate::perms::DomId;
use crate::quota::Quota;
use crate::request::WatchKey;
use crate::tree::Edit;

/// One step of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The tree.
    Edit(Edit),
    /// A limit.
    Quota(Quota, u32),
    /// A domain is talked to, from the beginning.
    Introduced {
        /// The domain.
        domid: DomId,
        /// The frame of its ring page.
        gfn: u64,
        /// Its event channel port.
        port: u32,
    },
    /// A domain is talked to no longer.
    Released(DomId),
    /// A domain has shut down, or runs again.
    ShutDown(DomId, bool),
    /// A domain's ring can't be used; it stays known until it is gone.
    Broken(DomId),
    /// A domain has another's rights.
    Target(DomId, DomId),
    /// Where a ring's indexes stand that are ours to move: requests taken, replies put.
    Ring {
        /// The domain.
        domid: DomId,
        /// `req_cons`.
        cons: u32,
        /// `rsp_prod`.
        prod: u32,
        /// How many bytes wait to be put on it after that.
        backlog: u32,
    },
    /// Bytes were taken from a ring.
    Taken {
        /// The domain.
        domid: DomId,
        /// How many.
        count: u32,
        /// The beginning of a message that is not all there yet.
        rest: Arc<[u8]>,
    },
    /// A watch was set.
    Watched(ConnId, WatchKey),
    /// A watch was ended.
    Unwatched(ConnId, WatchKey),
    /// A transaction was opened.
    Began(ConnId, u32),
    /// A transaction was ended.
    Ended(ConnId, u32),
    /// Watches and transactions were dropped.
    Reset(ConnId),
    /// Messages to and from a domain were dropped as well.
    Emptied(DomId),
    /// A message is to be sent.
    Queued(ConnId, Kind, Arc<[u8]>),
}

impl Change {
    /// Does it matter to a later daemon? Sockets die with this one.
    pub fn survives(&self) -> bool {
        match self {
            Change::Watched(conn, _)
            | Change::Unwatched(conn, _)
            | Change::Began(conn, _)
            | Change::Ended(conn, _)
            | Change::Reset(conn)
            | Change::Queued(conn, ..) => conn.domain().is_some(),
            _ => true,
        }
    }

    /// Appends the change to `bytes`.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Edit(Edit::Create { path, value, perms }) => {
                (0u8, path, value, perms).put(bytes);
            }
            Change::Edit(Edit::Value { path, value }) => (1u8, path, value).put(bytes),
            Change::Edit(Edit::Perms { path, perms }) => (2u8, path, perms).put(bytes),
            Change::Edit(Edit::Remove { path }) => (3u8, path).put(bytes),
            Change::Quota(quota, limit) => (4u8, quota, limit).put(bytes),
            Change::Introduced { domid, gfn, port } => (5u8, domid, gfn, port).put(bytes),
            Change::Released(domid) => (6u8, domid).put(bytes),
            Change::ShutDown(domid, is) => (7u8, domid, is).put(bytes),
            Change::Broken(domid) => (8u8, domid).put(bytes),
            Change::Target(domid, target) => (9u8, domid, target).put(bytes),
            Change::Ring { domid, cons, prod, backlog } => {
                (10u8, domid, (cons, prod, backlog)).put(bytes);
            }
            Change::Taken { domid, count, rest } => (11u8, domid, count, rest).put(bytes),
            Change::Watched(conn, key) => (12u8, conn, key).put(bytes),
            Change::Unwatched(conn, key) => (13u8, conn, key).put(bytes),
            Change::Began(conn, id) => (14u8, conn, id).put(bytes),
            Change::Ended(conn, id) => (15u8, conn, id).put(bytes),
            Change::Reset(conn) => (16u8, conn).put(bytes),
            Change::Emptied(domid) => (17u8, domid).put(bytes),
            Change::Queued(conn, kind, message) => (18u8, conn, kind, message).put(bytes),
        }
    }

    /// Takes one change off `bytes`; `None` if there is none that makes sense.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let tag = u8::take(bytes)?;
        let from = bytes;
        Some(match tag {
            0 => {
                let (path, value, perms) = Take::take(from)?;
                Change::Edit(Edit::Create { path, value, perms })
            }
            1 => {
                let (path, value) = Take::take(from)?;
                Change::Edit(Edit::Value { path, value })
            }
            2 => {
                let (path, perms) = Take::take(from)?;
                Change::Edit(Edit::Perms { path, perms })
            }
            3 => Change::Edit(Edit::Remove { path: Take::take(from)? }),
            4 => Change::Quota(Take::take(from)?, Take::take(from)?),
            5 => {
                let (domid, gfn, port) = Take::take(from)?;
                Change::Introduced { domid, gfn, port }
            }
            6 => Change::Released(Take::take(from)?),
            7 => Change::ShutDown(Take::take(from)?, Take::take(from)?),
            8 => Change::Broken(Take::take(from)?),
            9 => Change::Target(Take::take(from)?, Take::take(from)?),
            10 => {
                let (domid, (cons, prod, backlog)) = Take::take(from)?;
                Change::Ring { domid, cons, prod, backlog }
            }
            11 => {
                let (domid, count, rest) = Take::take(from)?;
                Change::Taken { domid, count, rest }
            }
            12 => Change::Watched(Take::take(from)?, Take::take(from)?),
            13 => Change::Unwatched(Take::take(from)?, Take::take(from)?),
            14 => Change::Began(Take::take(from)?, Take::take(from)?),
            15 => Change::Ended(Take::take(from)?, Take::take(from)?),
            16 => Change::Reset(Take::take(from)?),
            17 => Change::Emptied(Take::take(from)?),
            18 => Change::Queued(Take::take(from)?, Take::take(from)?, Take::take(from)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;
    use crate::perms::Perms;
    use proptest::prelude::*;

    fn samples() -> Vec<Change> {
        let path = Path::new("/local/domain/3").unwrap();
        let perms = Perms::new(vec!["b3".parse().unwrap(), "r7".parse().unwrap()]).unwrap();
        let perms = Arc::new(perms);
        let bytes: Arc<[u8]> = (*b"\0value\xff").into();
        let conn = ConnId::Domain(3);
        let key = WatchKey { path: path.clone(), token: bytes.clone(), relative: true };
        vec![
            Change::Edit(Edit::Create {
                path: path.clone(),
                value: bytes.clone(),
                perms: perms.clone(),
            }),
            Change::Edit(Edit::Value { path: path.clone(), value: bytes.clone() }),
            Change::Edit(Edit::Perms { path: Path::release_domain(), perms }),
            Change::Edit(Edit::Remove { path }),
            Change::Quota(Quota::NodeSize, 7),
            Change::Introduced { domid: 3, gfn: u64::MAX, port: 9 },
            Change::Released(3),
            Change::ShutDown(3, true),
            Change::Broken(3),
            Change::Target(4, 3),
            Change::Ring { domid: 3, cons: u32::MAX, prod: 1, backlog: 2 },
            Change::Taken { domid: 3, count: 24, rest: bytes.clone() },
            Change::Watched(conn, key.clone()),
            Change::Unwatched(ConnId::Socket(1 << 40), key),
            Change::Began(conn, 1),
            Change::Ended(conn, 1),
            Change::Reset(conn),
            Change::Emptied(3),
            Change::Queued(conn, Kind::Event, bytes),
        ]
    }

    #[test]
    fn changes_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        samples().iter().for_each(|change| change.encode(&mut bytes));
        let mut left = &bytes[..];
        let read: Vec<_> = std::iter::from_fn(|| Change::decode(&mut left)).collect();
        assert_eq!(read, samples());
        assert!(left.is_empty());
    }

    #[test]
    fn half_a_change_is_none() {
        for change in samples() {
            let mut bytes = Vec::new();
            change.encode(&mut bytes);
            for len in 0..bytes.len() {
                assert_eq!(Change::decode(&mut &bytes[..len]), None, "{change:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut left = &bytes[..];
            while Change::decode(&mut left).is_some() {}
        }
    }
}
