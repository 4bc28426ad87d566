//! The store as one value: tree, limits, domains, connections, watches; and the changes that
//! the journal has yet to keep. No I/O happens here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::Change;
use crate::connection::{ConnId, Connection, Kind};
use crate::path::Path;
use crate::perms::{Access, Caller, DomId, Perms};
use crate::quota::{Quota, Quotas};
use crate::transaction::Transaction;
use crate::tree::{Edit, Tree};
use crate::watch::{Watch, Watches};

/// A domain that the store talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The frame of its ring page.
    pub gfn: u64,
    /// Its event channel port.
    pub port: u32,
    /// It has shut down, and @releaseDomain has fired for that.
    pub shut_down: bool,
    /// Its ring was misused: nothing more is read from it or written to it.
    pub broken: bool,
    /// Our indexes on its ring.
    pub ring: RingIndexes,
}

/// The indexes of a ring that are ours to move. The page has them too, but a domain can write
/// whatever it likes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingIndexes {
    /// `req_cons`: requests taken.
    pub cons: u32,
    /// How far `cons` went last; the page may not know of that step yet.
    pub step: u32,
    /// `rsp_prod`: bytes put.
    pub prod: u32,
}

/// Everything.
#[derive(Debug)]
pub struct Store {
    pub(crate) tree: Tree,
    pub(crate) quotas: Quotas,
    pub(crate) domains: BTreeMap<DomId, Domain>,
    pub(crate) connections: BTreeMap<ConnId, Connection>,
    pub(crate) watches: Watches,
    changes: Vec<Change>,
    last_socket: u64,
}

impl Store {
    /// A store with the nodes that it starts with. `generation` must be greater than any that
    /// an earlier daemon gave out.
    pub fn new(generation: u64) -> Self {
        let mut store = Self::empty(generation);
        let perms = Arc::new(Perms::owned(0, Access::None));
        for path in ["/tool", "/tool/xenstored"].into_iter().filter_map(Path::new) {
            let value = [].into();
            store.record(Change::Edit(Edit::Create { path, value, perms: Arc::clone(&perms) }));
        }
        store
    }

    /// The store that `changes` lead to. Its transactions are lost: they will end with EAGAIN.
    pub fn recover(generation: u64, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut store = Self::empty(generation);
        changes.into_iter().for_each(|change| store.apply(&change));
        for connection in store.connections.values_mut() {
            let transactions = connection.transactions.values_mut();
            transactions.for_each(|transaction| *transaction = Transaction::lost(&store.tree));
        }
        store
    }

    fn empty(generation: u64) -> Self {
        Self {
            tree: Tree::new(generation),
            quotas: Quotas::default(),
            domains: BTreeMap::new(),
            connections: BTreeMap::new(),
            watches: Watches::default(),
            changes: Vec::new(),
            last_socket: 0,
        }
    }

    /// The changes since the last call, for the journal. Nothing that follows from them may be
    /// shown to anybody before they are kept.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The domains that are talked to.
    pub fn domains(&self) -> &BTreeMap<DomId, Domain> {
        &self.domains
    }

    /// A connection.
    pub fn connection(&self, conn: ConnId) -> Option<&Connection> {
        self.connections.get(&conn)
    }

    /// A tool came to a socket.
    pub fn connect_socket(&mut self, may_write: bool) -> ConnId {
        self.last_socket += 1;
        let conn = ConnId::Socket(self.last_socket);
        self.connections.insert(conn, Connection::new(Caller::domain(0), may_write));
        conn
    }

    /// A tool went.
    pub fn disconnect(&mut self, conn: ConnId) {
        self.connections.remove(&conn);
        self.watches.remove_all(conn);
    }

    /// Applies a change and keeps it for the journal.
    pub(crate) fn record(&mut self, change: Change) {
        self.apply(&change);
        self.note(change);
    }

    /// Keeps a change that was applied already.
    pub(crate) fn note(&mut self, change: Change) {
        if change.survives() {
            self.changes.push(change);
        }
    }

    /// Applies a change. One that doesn't fit is ignored.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Edit(edit) => self.tree.apply(edit),
            Change::Quota(quota, limit) => self.quotas.set(*quota, *limit),
            Change::Introduced { domid, gfn, port } => self.introduced(*domid, *gfn, *port),
            Change::Released(domid) => self.released(*domid),
            Change::ShutDown(domid, is) => self.at_domain(*domid, |domain| domain.shut_down = *is),
            Change::Broken(domid) => {
                self.at_domain(*domid, |domain| domain.broken = true);
                self.empty_boxes(*domid);
            }
            Change::Target(domid, target) => {
                let conn = ConnId::Domain(*domid);
                self.at_connection(conn, |it| it.caller.target = Some(*target));
            }
            Change::Ring { domid, cons, prod, backlog } => {
                let ring = RingIndexes { cons: *cons, step: 0, prod: *prod };
                self.at_domain(*domid, |domain| domain.ring = ring);
                self.at_connection(ConnId::Domain(*domid), |it| {
                    it.outbox.advance(it.outbox.len().saturating_sub(*backlog as usize));
                    it.inbox.clear();
                });
            }
            Change::Taken { domid, count, rest } => {
                self.at_domain(*domid, |domain| {
                    domain.ring.cons = domain.ring.cons.wrapping_add(*count);
                    domain.ring.step = *count;
                });
                self.at_connection(ConnId::Domain(*domid), |it| it.inbox = rest.to_vec());
            }
            Change::Watched(conn, key) => {
                self.watches.add(Watch { conn: *conn, key: key.clone() });
            }
            Change::Unwatched(conn, key) => drop(self.watches.remove(*conn, key)),
            Change::Began(conn, id) => {
                let transaction = Transaction::new(&self.tree);
                self.at_connection(*conn, |it| {
                    it.transactions.insert(*id, transaction);
                    it.last_transaction = *id;
                });
            }
            Change::Ended(conn, id) => {
                self.at_connection(*conn, |it| drop(it.transactions.remove(id)));
            }
            Change::Reset(conn) => self.reset(*conn),
            Change::Emptied(domid) => {
                self.empty_boxes(*domid);
                self.at_domain(*domid, |domain| {
                    domain.broken = false;
                    domain.ring = RingIndexes::default();
                });
            }
            Change::Queued(conn, kind, message) => {
                let message = Arc::clone(message);
                self.at_connection(*conn, |it| it.outbox.push(*kind, message));
            }
        }
    }

    fn at_domain(&mut self, domid: DomId, change: impl FnOnce(&mut Domain)) {
        if let Some(domain) = self.domains.get_mut(&domid) {
            change(domain);
        }
    }

    fn at_connection(&mut self, conn: ConnId, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            change(connection);
        }
    }

    fn introduced(&mut self, domid: DomId, gfn: u64, port: u32) {
        let conn = ConnId::Domain(domid);
        self.watches.remove_all(conn);
        let before = self.connections.get(&conn).map(|connection| connection.caller);
        let caller = before.unwrap_or(Caller::domain(domid));
        self.connections.insert(conn, Connection::new(caller, true));
        let ring = RingIndexes::default();
        let domain = Domain { gfn, port, shut_down: false, broken: false, ring };
        self.domains.insert(domid, domain);
    }

    fn released(&mut self, domid: DomId) {
        self.domains.remove(&domid);
        self.disconnect(ConnId::Domain(domid));
        for connection in self.connections.values_mut() {
            connection.caller.target = connection.caller.target.filter(|&target| target != domid);
        }
    }

    fn reset(&mut self, conn: ConnId) {
        self.watches.remove_all(conn);
        self.at_connection(conn, |it| it.transactions.clear());
    }

    fn empty_boxes(&mut self, domid: DomId) {
        let conn = ConnId::Domain(domid);
        self.reset(conn);
        self.at_connection(conn, |it| {
            it.inbox.clear();
            it.outbox.clear();
        });
    }

    /// Queues a message.
    pub(crate) fn queue(&mut self, conn: ConnId, kind: Kind, message: Arc<[u8]>) {
        self.record(Change::Queued(conn, kind, message));
    }

    /// The changes that lead from an empty store to this one, sockets apart.
    pub fn snapshot(&self) -> Vec<Change> {
        let quotas = Quota::all().map(|quota| Change::Quota(quota, self.quotas.get(quota)));
        let edits = self.tree.edits().into_iter().map(Change::Edit);
        let domains = self.domains.iter().flat_map(|(&domid, it)| self.snapshot_of(domid, it));
        let of_domain = |watch: &&Watch| watch.conn.domain().is_some();
        let watches = self.watches.all().filter(of_domain);
        let watches = watches.map(|watch| Change::Watched(watch.conn, watch.key.clone()));
        quotas.chain(edits).chain(domains).chain(watches).collect()
    }

    fn snapshot_of(&self, domid: DomId, domain: &Domain) -> Vec<Change> {
        let conn = ConnId::Domain(domid);
        let mut changes = vec![Change::Introduced { domid, gfn: domain.gfn, port: domain.port }];
        let RingIndexes { cons, step, prod } = domain.ring;
        let before = cons.wrapping_sub(step);
        changes.push(Change::Ring { domid, cons: before, prod, backlog: 0 });
        if let Some(connection) = self.connections.get(&conn) {
            let rest = connection.inbox.as_slice().into();
            changes.push(Change::Taken { domid, count: step, rest });
            changes.extend(connection.caller.target.map(|target| Change::Target(domid, target)));
            changes.extend(connection.transactions.keys().map(|&id| Change::Began(conn, id)));
            let messages = connection.outbox.messages();
            changes.extend(messages.map(|(kind, bytes)| Change::Queued(conn, kind, bytes)));
        }
        if domain.shut_down {
            changes.push(Change::ShutDown(domid, true));
        }
        if domain.broken {
            changes.push(Change::Broken(domid));
        }
        changes
    }
}
