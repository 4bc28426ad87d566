//! Requests answered: one short method for each, and what they have in common around them.

use std::sync::Arc;

use crate::change::Change;
use crate::connection::{ConnId, Kind};
use crate::event::Event;
use crate::operation::{self, Operation};
use crate::path::Path;
use crate::perms::{Access, Caller, DomId};
use crate::quota::Quota;
use crate::request::{Request, WatchKey};
use crate::store::Store;
use crate::transaction::Touch;
use crate::tree::{Node, Tree};
use crate::watch::Watch;
use crate::wire::{Errno, Op, PAYLOAD_MAX, Packet, fields};

/// What the store needs from outside to talk to a domain.
pub trait Host {
    /// Maps the domain's ring, with both directions empty, and binds its event channel. A
    /// connection that the domain had before is given up.
    fn introduce(&mut self, domid: DomId, gfn: u64, port: u32) -> Result<(), Errno>;
    /// Unmaps and unbinds.
    fn release(&mut self, domid: DomId);
}

/// A reply's payload.
type Reply = Result<Vec<u8>, Errno>;

impl Store {
    /// Answers one message of `conn`: the reply is queued, then the events it causes.
    pub fn handle(&mut self, conn: ConnId, packet: &Packet, host: &mut dyn Host) {
        let mut events = Vec::new();
        let reply = match self.connections.get(&conn) {
            Some(connection) => {
                let (caller, may_write) = (connection.caller, connection.may_write);
                let mut call = Call { store: self, host, conn, caller, tx: 0, events: &mut events };
                call.answer(packet, may_write)
            }
            None => return,
        };
        let reply = reply.and_then(|payload| match payload.len() {
            ..=PAYLOAD_MAX => Ok(payload),
            _ => Err(Errno::TooBig),
        });
        let (op, payload) = match reply {
            Ok(payload) => (packet.op, payload),
            Err(errno) => (Op::Error as u32, fields([errno.name()])),
        };
        let reply = Packet { op, req_id: packet.req_id, tx_id: packet.tx_id, payload };
        self.queue(conn, Kind::Reply, reply.encode().into());
        self.send(events);
    }
}

/// One request under way.
struct Call<'a> {
    store: &'a mut Store,
    host: &'a mut dyn Host,
    conn: ConnId,
    caller: Caller,
    /// The transaction it is made in, or 0. It exists.
    tx: u32,
    events: &'a mut Vec<Event>,
}

fn ok() -> Reply {
    Ok(b"OK\0".to_vec())
}

impl Call<'_> {
    fn answer(&mut self, packet: &Packet, may_write: bool) -> Reply {
        let request = Request::parse(packet.op, &packet.payload, self.caller.domid)?;
        if !may_write && !request.only_reads() {
            return Err(Errno::Rofs);
        }
        if request.is_privileged() && !self.caller.is_privileged() {
            return Err(Errno::Acces);
        }
        if request.heeds_transaction() && packet.tx_id != 0 {
            self.tx = packet.tx_id;
            let connection = self.store.connections.get(&self.conn);
            if !connection.is_some_and(|it| it.transactions.contains_key(&self.tx)) {
                return Err(Errno::NoEnt);
            }
        }
        match request {
            Request::Control(words) => self.store.control(&words),
            Request::Directory(path) => self.directory(&path),
            Request::DirectoryPart(path, offset) => self.directory_part(&path, offset),
            Request::Read(path) => Ok(self.look(&path, Touch::Node)?.value().to_vec()),
            Request::GetPerms(path) => self.get_perms(&path),
            Request::Watch(key) => self.watch(key),
            Request::Unwatch(key) => self.unwatch(key),
            Request::TransactionStart => self.transaction_start(),
            Request::TransactionEnd(commit) => self.transaction_end(commit),
            Request::Introduce { domid, gfn, port } => self.introduce(domid, gfn, port),
            Request::Release(domid) => self.release(domid),
            Request::GetDomainPath(domid) => Ok(fields([Path::home(domid).as_str()])),
            Request::Write(path, value) => self.perform(Operation::Write(path, value)),
            Request::Mkdir(path) => self.perform(Operation::Mkdir(path)),
            Request::Rm(path) => self.perform(Operation::Rm(path)),
            Request::SetPerms(path, perms) => self.perform(Operation::SetPerms(path, perms)),
            Request::IsDomainIntroduced(domid) => self.is_domain_introduced(domid),
            Request::Resume(domid) => self.resume(domid),
            Request::SetTarget(domid, target) => self.set_target(domid, target),
            Request::ResetWatches => self.reset_watches(),
        }
    }

    /// The node at `path` in the transaction or outside of any, if the caller may read it.
    fn look(&mut self, path: &Path, touch: Touch) -> Result<&Arc<Node>, Errno> {
        let (caller, quotas) = (self.caller, self.store.quotas);
        let tree = self.tree(|transaction| transaction.touch(path, touch, caller, &quotas))?;
        operation::find(tree, caller, path, Access::reads)
    }

    /// The tree that the request sees, after `first` was done to its transaction.
    fn tree(
        &mut self,
        first: impl FnOnce(&mut crate::transaction::Transaction) -> Result<(), Errno>,
    ) -> Result<&Tree, Errno> {
        let connection = self.store.connections.get_mut(&self.conn);
        match connection.and_then(|it| it.transactions.get_mut(&self.tx)) {
            Some(transaction) => {
                first(transaction)?;
                Ok(transaction.tree())
            }
            None => Ok(&self.store.tree),
        }
    }

    fn directory(&mut self, path: &Path) -> Reply {
        Ok(fields(self.look(path, Touch::Children)?.names()))
    }

    fn directory_part(&mut self, path: &Path, offset: usize) -> Reply {
        let node = self.look(path, Touch::Children)?;
        let mut payload = fields([node.generation().to_string()]);
        let mut at = 0;
        for name in node.names() {
            let next = at + name.len() + 1;
            if at >= offset {
                // The last byte is kept for the mark of the end.
                if payload.len() + name.len() + 1 >= PAYLOAD_MAX {
                    return Ok(payload);
                }
                payload.extend_from_slice(name.as_bytes());
                payload.push(0);
            }
            at = next;
        }
        // An empty name marks the end of the whole list.
        payload.push(0);
        Ok(payload)
    }

    fn get_perms(&mut self, path: &Path) -> Reply {
        let perms = Arc::clone(self.look(path, Touch::Node)?.perms());
        Ok(fields(perms.entries().iter().map(ToString::to_string)))
    }

    fn perform(&mut self, operation: Operation) -> Reply {
        if self.tx == 0 {
            self.events.extend(self.store.perform(self.caller, &[operation])?);
            return ok();
        }
        let (caller, quotas) = (self.caller, self.store.quotas);
        self.tree(|transaction| transaction.perform(operation, caller, &quotas))?;
        ok()
    }

    fn watch(&mut self, key: WatchKey) -> Reply {
        if self.store.watches.has(self.conn, &key) {
            return Err(Errno::Exist);
        }
        self.check(Quota::Watches, self.store.watches.count(self.conn) + 1)?;
        let watch = Watch { conn: self.conn, key };
        // The first event comes at once, whatever the caller may read.
        self.events.push(Event::new(&watch, &watch.key.path));
        self.store.record(Change::Watched(self.conn, watch.key));
        ok()
    }

    fn unwatch(&mut self, key: WatchKey) -> Reply {
        if !self.store.watches.has(self.conn, &key) {
            return Err(Errno::NoEnt);
        }
        self.store.record(Change::Unwatched(self.conn, key));
        ok()
    }

    fn reset_watches(&mut self) -> Reply {
        self.store.record(Change::Reset(self.conn));
        ok()
    }

    fn transaction_start(&mut self) -> Reply {
        if self.tx != 0 {
            return Err(Errno::Busy);
        }
        let connection = self.store.connections.get(&self.conn).ok_or(Errno::Io)?;
        let id = connection.free_transaction();
        self.check(Quota::Transactions, connection.transactions.len() + 1)?;
        self.store.record(Change::Began(self.conn, id));
        Ok(fields([id.to_string()]))
    }

    fn transaction_end(&mut self, commit: bool) -> Reply {
        let connection = self.store.connections.get_mut(&self.conn);
        let transaction = connection.and_then(|it| it.transactions.remove(&self.tx));
        let transaction = transaction.ok_or(Errno::NoEnt)?;
        self.store.note(Change::Ended(self.conn, self.tx));
        if !commit {
            return ok();
        }
        if !transaction.holds_in(&self.store.tree) {
            return Err(Errno::Again);
        }
        // What was allowed at the start may not be any more: then it wasn't alone.
        let events = self.store.perform(self.caller, transaction.operations());
        self.events.extend(events.map_err(|_| Errno::Again)?);
        ok()
    }

    fn introduce(&mut self, domid: DomId, gfn: u64, port: u32) -> Reply {
        if domid == 0 || port == 0 {
            return Err(Errno::Inval);
        }
        self.host.introduce(domid, gfn, port)?;
        self.events.extend(self.store.introduce(domid, gfn, port));
        ok()
    }

    fn release(&mut self, domid: DomId) -> Reply {
        self.known(domid)?;
        self.host.release(domid);
        self.events.extend(self.store.release(domid));
        ok()
    }

    fn resume(&mut self, domid: DomId) -> Reply {
        self.known(domid)?;
        self.store.record(Change::ShutDown(domid, false));
        ok()
    }

    fn set_target(&mut self, domid: DomId, target: DomId) -> Reply {
        self.known(domid)?;
        self.known(target)?;
        self.store.record(Change::Target(domid, target));
        ok()
    }

    fn is_domain_introduced(&mut self, domid: DomId) -> Reply {
        /// `DOMID_SELF` of xen.h: the caller itself, which talks to us after all.
        const DOMID_SELF: DomId = 0x7ff0;
        let known = domid == DOMID_SELF || self.store.domains.contains_key(&domid);
        Ok(fields([if known { "T" } else { "F" }]))
    }

    /// Domain 0 can neither be released nor resumed; others must have been introduced.
    fn known(&self, domid: DomId) -> Result<(), Errno> {
        match domid {
            0 => Err(Errno::Inval),
            _ if self.store.domains.contains_key(&domid) => Ok(()),
            _ => Err(Errno::NoEnt),
        }
    }

    fn check(&self, quota: Quota, used: usize) -> Result<(), Errno> {
        if self.caller.is_privileged() { Ok(()) } else { self.store.quotas.check(quota, used) }
    }
}
