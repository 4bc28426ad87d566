//! Domains that come, shut down and go, and their rings as streams of bytes.

use crate::change::Change;
use crate::connection::ConnId;
use crate::event::Event;
use crate::path::Path;
use crate::perms::DomId;
use crate::process::Host;
use crate::quota::Quota;
use crate::store::Store;
use crate::wire::{Oversized, Packet};

/// What is left of a domain, as the hypervisor sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs, or could.
    Alive,
    /// It has shut down or crashed, and its memory is still there.
    ShutDown,
    /// It is gone, or going.
    Gone,
}

/// How many requests of one connection are answered before others get their turn.
const TURN: usize = 32;

impl Store {
    /// Begins to talk to a domain whose ring is mapped and empty.
    pub(crate) fn introduce(&mut self, domid: DomId, gfn: u64, port: u32) -> Vec<Event> {
        let known = self.domains.contains_key(&domid);
        self.record(Change::Introduced { domid, gfn, port });
        if known { Vec::new() } else { self.special(&Path::introduce_domain()) }
    }

    /// Begins to talk to domain 0, whose kernel may have used its ring before.
    pub fn introduce_domain_0(&mut self, port: u32, cons: u32, prod: u32) {
        self.record(Change::Introduced { domid: 0, gfn: 0, port });
        self.record(Change::Ring { domid: 0, cons, prod, backlog: 0 });
    }

    /// Forgets a domain, with the nodes it owned.
    pub(crate) fn release(&mut self, domid: DomId) -> Vec<Event> {
        self.record(Change::Released(domid));
        let mut events = self.clean_up_after(domid);
        events.extend(self.special(&Path::release_domain()));
        events
    }

    /// Takes note of what became of a domain.
    pub fn observe(&mut self, domid: DomId, life: Life, host: &mut dyn Host) {
        let Some(domain) = self.domains.get(&domid) else { return };
        let events = match life {
            Life::ShutDown if !domain.shut_down => {
                self.record(Change::ShutDown(domid, true));
                self.special(&Path::release_domain())
            }
            Life::Gone => {
                host.release(domid);
                self.release(domid)
            }
            _ => return,
        };
        self.send(events);
    }

    /// Does the connection let so much wait that no further request of it is answered?
    pub fn is_congested(&self, conn: ConnId) -> bool {
        let Some(connection) = self.connections.get(&conn) else { return true };
        let outbox = &connection.outbox;
        let over = !self.quotas.allows(Quota::Outstanding, outbox.replies() + 1)
            || !self.quotas.allows(Quota::Memory, outbox.len());
        // The kernel of domain 0 and the tools are trusted, but only to read what they asked for.
        let limited = conn.domain().is_none() || !connection.caller.is_privileged();
        limited && over
    }

    /// Bytes came from a socket, or a congested socket may go on (with no bytes). Says whether
    /// requests are left for another turn.
    pub fn receive(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        host: &mut dyn Host,
    ) -> Result<bool, Oversized> {
        let Some(connection) = self.connections.get_mut(&conn) else { return Ok(false) };
        let mut stream = std::mem::take(&mut connection.inbox);
        stream.extend_from_slice(bytes);
        let outcome = self.answer_some(conn, &mut stream, host);
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.inbox = stream;
        }
        outcome
    }

    /// Takes the bytes that lie on a domain's ring, the last message of them perhaps in part,
    /// and answers the whole ones; says whether requests are left there for another turn.
    ///
    /// If none are left the ring is empty. It has to be: Linux notifies us of more only then.
    pub fn receive_ring(
        &mut self,
        domid: DomId,
        bytes: &[u8],
        host: &mut dyn Host,
    ) -> Result<bool, Oversized> {
        let conn = ConnId::Domain(domid);
        let Some(connection) = self.connections.get(&conn) else { return Ok(false) };
        let before = connection.inbox.len();
        let mut stream = [&connection.inbox[..], bytes].concat();
        let whole = stream.len();
        let more = self.answer_some(conn, &mut stream, host)?;
        // The first message began in the inbox; what waits for another turn stays on the ring.
        let (count, rest) = match (more, whole - stream.len()) {
            (true, 0) => return Ok(true),
            (true, taken) => (taken - before, Vec::new()),
            (false, _) if bytes.is_empty() => return Ok(false),
            (false, _) => (bytes.len(), stream),
        };
        // A request may have ended the very connection it came on.
        if self.domains.contains_key(&domid) {
            self.record(Change::Taken { domid, count: count as u32, rest: rest.into() });
        }
        Ok(more)
    }

    fn answer_some(
        &mut self,
        conn: ConnId,
        stream: &mut Vec<u8>,
        host: &mut dyn Host,
    ) -> Result<bool, Oversized> {
        for _ in 0..TURN {
            if self.is_congested(conn) {
                return Ok(true);
            }
            match Packet::take(stream)? {
                Some(packet) => self.handle(conn, &packet, host),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Notes that bytes of the outbox were sent.
    pub fn sent(&mut self, conn: ConnId, count: usize) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.outbox.advance(count);
        }
        let domain = conn.domain().and_then(|domid| self.domains.get_mut(&domid));
        if let Some(domain) = domain {
            domain.ring.prod = domain.ring.prod.wrapping_add(count as u32);
        }
    }

    /// A domain changed indexes that are ours, as hvmloader does when it is done: they count.
    pub fn ring_moved(&mut self, domid: DomId, cons: u32, prod: u32) {
        let connection = self.connections.get(&ConnId::Domain(domid));
        let backlog = connection.map_or(0, |connection| connection.outbox.len() as u32);
        self.record(Change::Ring { domid, cons, prod, backlog });
    }

    /// After a restart: `cons` and `prod` are what the page says. What was put on the ring
    /// before the end is not put there again, and what was answered is not answered again.
    pub fn resume_ring(&mut self, domid: DomId, cons: u32, prod: u32) {
        let conn = ConnId::Domain(domid);
        let (Some(domain), Some(connection)) =
            (self.domains.get_mut(&domid), self.connections.get_mut(&conn))
        else {
            return;
        };
        let put = prod.wrapping_sub(domain.ring.prod) as usize;
        if put <= connection.outbox.len() {
            connection.outbox.advance(put);
        }
        domain.ring.prod = prod;
        if cons != domain.ring.cons && cons != domain.ring.cons.wrapping_sub(domain.ring.step) {
            domain.ring.cons = cons;
            connection.inbox.clear();
        }
        domain.ring.step = 0;
    }

    /// A domain asked for a new beginning, or misused its ring (`broken`).
    pub fn restart_ring(&mut self, domid: DomId, broken: bool) {
        self.record(if broken { Change::Broken(domid) } else { Change::Emptied(domid) });
    }
}
