//! One domain's ring and what the store knows of it, kept in step.
//!
//! Nothing of a round is shown on the page before [`Link::flush`], and that is called when the
//! journal has the round. Wherever the daemon is killed, [`Link::resume`] can tell from the page
//! how far it came: our indexes there are the last step of everything we do.

use crate::connection::ConnId;
use crate::perms::DomId;
use crate::ring::{BadIndexes, Page, Ring};
use crate::store::Store;

/// A domain's ring.
#[derive(Debug)]
pub struct Link<P> {
    domid: DomId,
    ring: Ring<P>,
    /// The ring is to be emptied as soon as the journal knows that it is.
    reset: bool,
}

impl<P: Page> Link<P> {
    /// The ring of domain `domid`.
    pub fn new(domid: DomId, ring: Ring<P>) -> Self {
        Self { domid, ring, reset: false }
    }

    /// The ring itself.
    pub fn ring(&self) -> &Ring<P> {
        &self.ring
    }

    /// Goes on where an earlier daemon was killed.
    pub fn resume(&self, store: &mut Store) {
        let (cons, prod) = self.ring.indexes();
        store.resume_ring(self.domid, cons, prod);
        let domain = store.domains().get(&self.domid);
        if let Some(domain) = domain.filter(|domain| !domain.broken) {
            self.ring.take_to(domain.ring.cons);
        }
    }

    /// The bytes of requests that lie on the ring; none if there is nothing to answer.
    pub fn requests(&mut self, store: &mut Store) -> Result<Vec<u8>, BadIndexes> {
        let Some(domain) = store.domains().get(&self.domid) else { return Ok(Vec::new()) };
        if self.ring.wants_reconnect() {
            self.reset = true;
            store.restart_ring(self.domid, false);
            return Ok(Vec::new());
        }
        if domain.broken {
            return Ok(Vec::new());
        }
        let (cons, prod) = self.ring.indexes();
        if (cons, prod) != (domain.ring.cons, domain.ring.prod) {
            store.ring_moved(self.domid, cons, prod);
        }
        self.ring.requests()
    }

    /// Shows the domain what the journal has by now: requests taken, replies put.
    pub fn flush(&mut self, store: &mut Store) -> Result<Shown, BadIndexes> {
        let domain = store.domains().get(&self.domid);
        let Some(domain) = domain.filter(|domain| !domain.broken) else {
            return Ok(Shown::default());
        };
        let mut notify = std::mem::take(&mut self.reset);
        if notify {
            self.ring.reset();
        }
        if self.ring.indexes().0 != domain.ring.cons {
            self.ring.take_to(domain.ring.cons);
            notify = true;
        }
        let conn = ConnId::Domain(self.domid);
        while let Some(connection) = store.connection(conn).filter(|it| !it.outbox.is_empty()) {
            let len = self.ring.put(connection.outbox.next())?;
            if len == 0 {
                break;
            }
            store.sent(conn, len);
            notify = true;
        }
        Ok(Shown { notify, more: notify && !self.ring.is_idle() })
    }
}

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// Something changed, and the domain is to be notified.
    pub notify: bool,
    /// The domain has sent more in the meantime, of which it may not have notified us.
    pub more: bool,
}
