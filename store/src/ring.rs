//! The ring page that a domain shares with us (`struct xenstore_domain_interface` in
//! `io/xs_wire.h`; `docs/misc/xenstore-ring.txt`). Whatever it says may be a lie.

use std::sync::atomic::{Ordering, fence};

use xen::abi::xs_wire::{
    CONNECTED, CONNECTION, ERROR, FEATURE_ERROR, FEATURE_RECONNECTION, RECONNECT, REQ, REQ_CONS,
    REQ_PROD, RING_SIZE, RSP, RSP_CONS, RSP_PROD, SERVER_FEATURES,
};

/// A page that somebody else may change at any moment.
pub trait Page {
    /// Reads a word, before whatever is read after it.
    fn load(&self, offset: usize) -> u32;
    /// Writes a word, after whatever was written before it.
    fn store(&self, offset: usize, value: u32);
    /// Copies bytes out.
    fn read(&self, offset: usize, bytes: &mut [u8]);
    /// Copies bytes in.
    fn write(&self, offset: usize, bytes: &[u8]);
}

impl Page for xen::sys::Mapping {
    fn load(&self, offset: usize) -> u32 {
        self.load(offset)
    }

    fn store(&self, offset: usize, value: u32) {
        self.store(offset, value);
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.read(offset, bytes);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        self.write(offset, bytes);
    }
}

/// A producer is more than a ring's size ahead of its consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("impossible ring indexes: producer {prod:#x}, consumer {cons:#x}")]
pub struct BadIndexes {
    prod: u32,
    cons: u32,
}

/// Why a ring is given up, as its `error` field says it.
pub use xen::abi::xs_wire::{ERROR_COMM, ERROR_PROTO, ERROR_RINGIDX};

/// How many bytes fit into each direction.
pub const CAPACITY: usize = RING_SIZE;

/// The two directions of a ring page.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
}

impl<P: Page> Ring<P> {
    /// Uses a page and says on it what we support.
    pub fn new(page: P) -> Self {
        page.store(SERVER_FEATURES, FEATURE_RECONNECTION | FEATURE_ERROR);
        Self { page }
    }

    /// Our indexes as the page has them: requests taken, replies put.
    pub fn indexes(&self) -> (u32, u32) {
        (self.page.load(REQ_CONS), self.page.load(RSP_PROD))
    }

    /// Does no request wait?
    pub fn is_idle(&self) -> bool {
        self.page.load(REQ_PROD) == self.page.load(REQ_CONS)
    }

    /// A copy of the requests that wait.
    pub fn requests(&self) -> Result<Vec<u8>, BadIndexes> {
        let cons = self.page.load(REQ_CONS);
        let len = distance(self.page.load(REQ_PROD), cons)?;
        let mut bytes = vec![0; len];
        let at = index(cons);
        let (first, second) = bytes.split_at_mut(len.min(CAPACITY - at));
        self.page.read(REQ + at, first);
        self.page.read(REQ, second);
        Ok(bytes)
    }

    /// Says that requests were taken up to `cons`.
    pub fn take_to(&self, cons: u32) {
        self.page.store(REQ_CONS, cons);
        // The domain doesn't notify us of what it sent before it saw this: look again.
        fence(Ordering::SeqCst);
    }

    /// Puts as much of `bytes` as there is room for; says how much.
    pub fn put(&self, bytes: &[u8]) -> Result<usize, BadIndexes> {
        let prod = self.page.load(RSP_PROD);
        let room = CAPACITY - distance(prod, self.page.load(RSP_CONS))?;
        let len = room.min(bytes.len());
        let at = index(prod);
        let (first, second) = bytes[..len].split_at(len.min(CAPACITY - at));
        self.page.write(RSP + at, first);
        self.page.write(RSP, second);
        self.page.store(RSP_PROD, prod.wrapping_add(len as u32));
        // Nor does it notify us of room that it made before: try again until there is none.
        fence(Ordering::SeqCst);
        Ok(len)
    }

    /// Does the domain want to begin anew?
    pub fn wants_reconnect(&self) -> bool {
        self.page.load(CONNECTION) == RECONNECT
    }

    /// Empties both directions, and says that all is well.
    pub fn reset(&self) {
        for offset in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD, ERROR] {
            self.page.store(offset, 0);
        }
        self.connected();
    }

    /// Says that the ring can be used.
    pub fn connected(&self) {
        self.page.store(CONNECTION, CONNECTED);
    }

    /// Says why the ring is given up.
    pub fn fail(&self, error: u32) {
        self.page.store(ERROR, error);
    }
}

fn index(count: u32) -> usize {
    count as usize % CAPACITY
}

fn distance(prod: u32, cons: u32) -> Result<usize, BadIndexes> {
    match prod.wrapping_sub(cons) as usize {
        len @ ..=CAPACITY => Ok(len),
        _ => Err(BadIndexes { prod, cons }),
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A ring page in our own memory, and the domain's end of it.

    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// A page that outlives the daemon that uses it.
    #[derive(Debug, Clone)]
    pub(crate) struct FakePage(Rc<RefCell<[u8; 4096]>>);

    impl FakePage {
        pub(crate) fn new() -> Self {
            Self(Rc::new(RefCell::new([0; 4096])))
        }

        /// The domain puts as much of a request as there is room for.
        pub(crate) fn send(&self, bytes: &[u8]) -> usize {
            let (prod, cons) = (self.load(REQ_PROD), self.load(REQ_CONS));
            let len = (CAPACITY - prod.wrapping_sub(cons) as usize).min(bytes.len());
            for (at, byte) in bytes[..len].iter().enumerate() {
                self.write(REQ + index(prod.wrapping_add(at as u32)), &[*byte]);
            }
            self.store(REQ_PROD, prod.wrapping_add(len as u32));
            len
        }

        /// The domain takes up to `max` bytes of replies.
        pub(crate) fn receive(&self, max: usize) -> Vec<u8> {
            let (prod, cons) = (self.load(RSP_PROD), self.load(RSP_CONS));
            let len = (prod.wrapping_sub(cons) as usize).min(max);
            let byte = |at: usize| {
                let mut byte = [0];
                self.read(RSP + index(cons.wrapping_add(at as u32)), &mut byte);
                byte[0]
            };
            let bytes = (0..len).map(byte).collect();
            self.store(RSP_CONS, cons.wrapping_add(len as u32));
            bytes
        }
    }

    impl Page for FakePage {
        fn load(&self, offset: usize) -> u32 {
            let mut bytes = [0; 4];
            self.read(offset, &mut bytes);
            u32::from_ne_bytes(bytes)
        }

        fn store(&self, offset: usize, value: u32) {
            self.write(offset, &value.to_ne_bytes());
        }

        fn read(&self, offset: usize, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0.borrow()[offset..offset + bytes.len()]);
        }

        fn write(&self, offset: usize, bytes: &[u8]) {
            self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::FakePage;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever lengths each side moves, the same bytes come out in the same order, also
        /// where the indexes wrap around.
        #[test]
        fn bytes_pass_in_both_directions(start in any::<u32>(), steps in proptest::collection::vec((0usize..1500, 0usize..1500), 1..30)) {
            let page = FakePage::new();
            for offset in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD] {
                page.store(offset, start);
            }
            let ring = Ring::new(page.clone());
            let mut bytes = (0u32..).map(|byte| byte as u8);
            let (mut sent, mut got, mut put, mut received) = (vec![], vec![], vec![], vec![]);
            for (more, max) in steps {
                let chunk: Vec<_> = bytes.by_ref().take(more).collect();
                sent.extend_from_slice(&chunk[..page.send(&chunk)]);
                let waiting = ring.requests().unwrap();
                let taken = &waiting[..waiting.len().min(max)];
                got.extend_from_slice(taken);
                ring.take_to(ring.indexes().0.wrapping_add(taken.len() as u32));
                put.extend_from_slice(&chunk[..ring.put(&chunk).unwrap()]);
                received.extend(page.receive(max));
            }
            got.extend(ring.requests().unwrap());
            received.extend(page.receive(CAPACITY));
            prop_assert_eq!(sent, got);
            prop_assert_eq!(put, received);
        }

        #[test]
        fn no_indexes_are_too_strange(indexes in any::<[u32; 4]>(), len in 0usize..3000) {
            let page = FakePage::new();
            for (offset, value) in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD].into_iter().zip(indexes) {
                page.store(offset, value);
            }
            let ring = Ring::new(page);
            let possible = |prod: u32, cons: u32| prod.wrapping_sub(cons) as usize <= CAPACITY;
            prop_assert_eq!(ring.requests().is_ok(), possible(indexes[1], indexes[0]));
            prop_assert_eq!(ring.put(&vec![0; len]).is_ok(), possible(indexes[3], indexes[2]));
        }
    }

    #[test]
    fn a_reset_empties_both_directions() {
        let page = FakePage::new();
        let ring = Ring::new(page.clone());
        page.send(b"abc");
        ring.put(b"def").unwrap();
        ring.fail(ERROR_RINGIDX);
        page.store(CONNECTION, RECONNECT);
        assert!(ring.wants_reconnect());
        ring.reset();
        assert!(!ring.wants_reconnect());
        assert!(ring.requests().unwrap().is_empty() && page.receive(9).is_empty());
        assert_eq!(page.load(SERVER_FEATURES), 3);
    }
}
