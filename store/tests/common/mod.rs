//! A store without I/O, and the requests of its clients.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeSet;

use store::change::Change;
use store::connection::ConnId;
use store::process::Host;
use store::store::Store;
use store::wire::{Errno, Op, Packet, fields, split};

/// An event: path and token.
pub type Event = (String, String);

/// Domains that can always be connected, except those that are said to be missing.
#[derive(Default)]
pub struct FakeHost {
    pub connected: BTreeSet<u16>,
    pub missing: BTreeSet<u16>,
}

impl Host for FakeHost {
    fn introduce(&mut self, domid: u16, _: u64, _: u32) -> Result<(), Errno> {
        if self.missing.contains(&domid) {
            return Err(Errno::Inval);
        }
        self.connected.insert(domid);
        Ok(())
    }

    fn release(&mut self, domid: u16) {
        self.connected.remove(&domid);
    }
}

/// A store with its host and everything that its journal would hold.
pub struct World {
    pub store: Store,
    pub host: FakeHost,
    pub journal: Vec<Change>,
    pub tool: ConnId,
}

impl World {
    /// A new store; the domains 1 and 2 are introduced.
    pub fn new() -> Self {
        let mut store = Store::new(0);
        let tool = store.connect_socket(true);
        let mut world = Self { store, host: FakeHost::default(), journal: Vec::new(), tool };
        for domid in [1, 2] {
            let payload = fields([&domid.to_string(), "9", "7"]);
            world.ask(tool, Op::Introduce, 0, payload).unwrap();
        }
        world
    }

    /// Sends a request; gives its reply. Events stay queued.
    pub fn ask(
        &mut self,
        conn: ConnId,
        op: Op,
        tx: u32,
        payload: impl Into<Vec<u8>>,
    ) -> Result<Vec<u8>, Errno> {
        self.ask_for_events(conn, op, tx, payload).0
    }

    /// Sends a request; gives its reply and the events that the same client got with it.
    pub fn ask_for_events(
        &mut self,
        conn: ConnId,
        op: Op,
        tx: u32,
        payload: impl Into<Vec<u8>>,
    ) -> (Result<Vec<u8>, Errno>, Vec<Event>) {
        let before = self.events(conn);
        self.store.handle(conn, &Packet::new(op, 77, tx, payload), &mut self.host);
        self.journal.extend(self.store.take_changes());
        let mut stream = self.drain(conn);
        let reply = Packet::take(&mut stream).unwrap().expect("a reply");
        assert_eq!((reply.req_id, reply.tx_id), (77, tx));
        let events = [before, events_in(&mut stream)].concat();
        if reply.op == op as u32 {
            return (Ok(reply.payload), events);
        }
        assert_eq!(reply.op, Op::Error as u32);
        let name = String::from_utf8(split(&reply.payload)[0].to_vec()).unwrap();
        (Err(Errno::from_name(&name).expect("a known error")), events)
    }

    /// The events that wait for a client; (path, token).
    pub fn events(&mut self, conn: ConnId) -> Vec<Event> {
        events_in(&mut self.drain(conn))
    }

    /// Sends a client everything that waits, without looking at it.
    pub fn events_dropped(&mut self, conn: ConnId) {
        self.drain(conn);
    }

    /// All bytes that wait for a client.
    fn drain(&mut self, conn: ConnId) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(next) = self.store.connection(conn).map(|it| it.outbox.next().to_vec()) {
            if next.is_empty() {
                break;
            }
            self.store.sent(conn, next.len());
            bytes.extend(next);
        }
        bytes
    }

    /// Reads a node as a tool does.
    pub fn read(&mut self, path: &str) -> Result<String, Errno> {
        let value = self.ask(self.tool, Op::Read, 0, fields([path]))?;
        Ok(String::from_utf8(value).unwrap())
    }

    /// Writes a node.
    pub fn write(&mut self, conn: ConnId, tx: u32, path: &str, value: &str) -> Result<(), Errno> {
        let payload = [path.as_bytes(), b"\0", value.as_bytes()].concat();
        self.ask(conn, Op::Write, tx, payload).map(drop)
    }

    /// Sets permissions, written as `n1 r2`, as a tool does.
    pub fn set_perms(&mut self, path: &str, perms: &str) {
        let payload = fields(std::iter::once(path).chain(perms.split(' ')));
        self.ask(self.tool, Op::SetPerms, 0, payload).unwrap();
    }

    /// Opens a transaction.
    pub fn begin(&mut self, conn: ConnId) -> Result<u32, Errno> {
        let id = self.ask(conn, Op::TransactionStart, 0, b"\0")?;
        Ok(String::from_utf8(split(&id)[0].to_vec()).unwrap().parse().unwrap())
    }

    /// Ends a transaction.
    pub fn end(&mut self, conn: ConnId, tx: u32, commit: bool) -> Result<(), Errno> {
        let word: &[u8] = if commit { b"T\0" } else { b"F\0" };
        self.ask(conn, Op::TransactionEnd, tx, word).map(drop)
    }

    /// Sets a watch, and takes its first event.
    pub fn watch(&mut self, conn: ConnId, path: &str, token: &str) -> Result<(), Errno> {
        let (reply, events) = self.ask_for_events(conn, Op::Watch, 0, fields([path, token]));
        reply?;
        assert_eq!(events, [(path.to_owned(), token.to_owned())]);
        Ok(())
    }
}

/// A domain's connection.
pub fn domain(domid: u16) -> ConnId {
    ConnId::Domain(domid)
}

fn events_in(stream: &mut Vec<u8>) -> Vec<Event> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let next = || {
        let packet = Packet::take(stream).unwrap()?;
        assert_eq!(packet.op, Op::WatchEvent as u32);
        let parts = packet.payload.split(|&byte| byte == 0).map(text).collect::<Vec<_>>();
        Some((parts[0].clone(), parts[1].clone()))
    };
    std::iter::from_fn(next).collect()
}
