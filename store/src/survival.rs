//! The daemon is killed at any moment, again and again, and its domain must not notice.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use crate::change::Change;
use crate::link::Link;
use crate::perms::DomId;
use crate::process::Host;
use crate::ring::fake::FakePage;
use crate::ring::{Page, Ring};
use crate::store::Store;
use crate::wire::{Errno, Op, Packet, fields};

const DOMID: DomId = 1;

struct NoHost;

impl Host for NoHost {
    fn introduce(&mut self, _: DomId, _: u64, _: u32) -> Result<(), Errno> {
        Err(Errno::NoSys)
    }

    fn release(&mut self, _: DomId) {}
}

/// The daemon's view of the page: when `left` is used up the daemon is dead, and writes no more.
#[derive(Debug, Clone)]
struct Mortal {
    page: FakePage,
    left: Rc<Cell<u32>>,
}

impl Mortal {
    fn lives(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

impl Page for Mortal {
    fn load(&self, offset: usize) -> u32 {
        self.page.load(offset)
    }

    fn store(&self, offset: usize, value: u32) {
        if self.lives() {
            self.page.store(offset, value);
        }
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.page.read(offset, bytes);
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        if self.lives() {
            self.page.write(offset, bytes);
        }
    }
}

/// When in a round the daemon dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// It doesn't.
    Never,
    /// Before the journal has the round.
    Unkept,
    /// After that many writes to the page.
    Writing(u32),
    /// Not at all, but it replaces its journal by a snapshot.
    Snapshot,
}

struct Daemon {
    page: FakePage,
    left: Rc<Cell<u32>>,
    journal: Vec<Change>,
    store: Store,
    link: Link<Mortal>,
}

impl Daemon {
    fn new(page: &FakePage) -> Self {
        let mut store = Store::new(0);
        store.introduce(DOMID, 0, 0);
        let home = fields(["/local/domain/1"]);
        let tool = store.connect_socket(true);
        store.handle(tool, &Packet::new(Op::Mkdir, 0, 0, home), &mut NoHost);
        let perms = fields(["/local/domain/1", "n1"]);
        store.handle(tool, &Packet::new(Op::SetPerms, 0, 0, perms), &mut NoHost);
        store.disconnect(tool);
        let left = Rc::new(Cell::new(u32::MAX));
        let link = connect(page, &left);
        let journal = store.snapshot();
        Self { page: page.clone(), left, journal, store, link }
    }

    fn round(&mut self, death: Death) {
        self.left.set(u32::MAX);
        let bytes = self.link.requests(&mut self.store).unwrap();
        self.store.receive_ring(DOMID, &bytes, &mut NoHost).unwrap();
        let changes = self.store.take_changes();
        match death {
            Death::Unkept => return self.restart(u32::MAX),
            Death::Writing(left) => self.left.set(left),
            Death::Never | Death::Snapshot => (),
        }
        self.journal.extend(changes);
        self.link.flush(&mut self.store).unwrap();
        match death {
            Death::Writing(left) => self.restart(left),
            Death::Snapshot => self.journal = self.store.snapshot(),
            _ => (),
        }
    }

    /// A new daemon, which may die on its first steps as well.
    fn restart(&mut self, left: u32) {
        for left in [left, u32::MAX] {
            self.left.set(left);
            self.store = Store::recover(0, self.journal.clone());
            self.link = connect(&self.page, &self.left);
            self.link.resume(&mut self.store);
        }
        self.journal = self.store.snapshot();
    }
}

fn connect(page: &FakePage, left: &Rc<Cell<u32>>) -> Link<Mortal> {
    Link::new(DOMID, Ring::new(Mortal { page: page.clone(), left: Rc::clone(left) }))
}

/// What the domain got: its replies in order, and the events, each once.
#[derive(Debug, PartialEq)]
struct Got {
    replies: Vec<Packet>,
    events: Vec<Packet>,
    nodes: Vec<(String, Vec<u8>)>,
}

/// Sends `requests` and reads up to `appetite` bytes of the answers in each round.
fn run(requests: &[Packet], appetite: usize, deaths: &[Death]) -> Got {
    let page = FakePage::new();
    let mut daemon = Daemon::new(&page);
    let mut outgoing: Vec<u8> = requests.iter().flat_map(Packet::encode).collect();
    let mut incoming = Vec::new();
    let mut deaths = deaths.iter().copied();
    let mut idle = 0;
    while idle < 3 {
        let sent = page.send(&outgoing);
        outgoing.drain(..sent);
        let death = deaths.next();
        daemon.round(death.unwrap_or(Death::Never));
        let got = page.receive(appetite);
        let quiet = sent == 0 && got.is_empty() && death.is_none();
        idle = if quiet { idle + 1 } else { 0 };
        incoming.extend(got);
    }
    assert!(outgoing.is_empty(), "{} bytes were never taken", outgoing.len());
    let packets = std::iter::from_fn(|| Packet::take(&mut incoming).unwrap());
    let is_event = |packet: &Packet| packet.op == Op::WatchEvent as u32;
    let (mut events, replies): (Vec<_>, Vec<_>) = packets.partition(is_event);
    events.sort_by(|one, other| one.payload.cmp(&other.payload));
    events.dedup();
    let nodes = daemon.store.tree.nodes();
    let nodes = nodes.map(|(path, node)| (path.to_string(), node.value().to_vec())).collect();
    Got { replies, events, nodes }
}

fn requests() -> impl Strategy<Value = Vec<Packet>> {
    let path = prop::sample::select(vec!["a", "a/b", "c", "c/d/e"]);
    let request = prop_oneof![
        3 => (path.clone(), 0usize..1900, any::<u8>()).prop_map(|(path, len, byte)| {
            (Op::Write, [path.as_bytes(), b"\0", &vec![byte; len]].concat())
        }),
        3 => path.clone().prop_map(|path| (Op::Read, fields([path]))),
        1 => path.clone().prop_map(|path| (Op::Rm, fields([path]))),
        1 => path.clone().prop_map(|path| (Op::Directory, fields([path]))),
        1 => (path.clone(), "[xy]").prop_map(|(path, token)| (Op::Watch, fields([path, &token]))),
        1 => (path, "[xy]").prop_map(|(path, token)| (Op::Unwatch, fields([path, &token]))),
        1 => Just((Op::ResetWatches, vec![0])),
    ];
    let number = |(at, (op, payload))| Packet::new(op, at as u32 + 1, 0, payload);
    prop::collection::vec(request, 1..25)
        .prop_map(move |requests| requests.into_iter().enumerate().map(number).collect())
}

fn deaths() -> impl Strategy<Value = Vec<Death>> {
    let death = prop_oneof![
        Just(Death::Never),
        Just(Death::Unkept),
        (0u32..12).prop_map(Death::Writing),
        Just(Death::Snapshot),
    ];
    prop::collection::vec(death, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_request_is_answered_exactly_once(requests in requests(), appetite in 1usize..1100, deaths in deaths()) {
        let expected = run(&requests, appetite, &[]);
        let got = run(&requests, appetite, &deaths);
        prop_assert_eq!(expected.replies.len(), requests.len());
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn an_open_transaction_goes_on_and_ends_with_eagain() {
    let page = FakePage::new();
    let mut daemon = Daemon::new(&page);
    let mut ask = |op, tx, payload: &[u8], death| {
        page.send(&Packet::new(op, 5, tx, payload).encode());
        daemon.round(death);
        let mut stream = page.receive(4096);
        Packet::take(&mut stream).unwrap().map(|reply| (reply.op, reply.payload))
    };
    let ok = |op: Op, payload: &[u8]| Some((op as u32, payload.to_vec()));
    let start = Op::TransactionStart;
    assert_eq!(ask(start, 0, b"\0", Death::Snapshot), ok(start, b"1\0"));
    assert_eq!(ask(Op::Write, 1, b"a\0x", Death::Never), ok(Op::Write, b"OK\0"));
    assert_eq!(ask(Op::Write, 1, b"b\0x", Death::Unkept), None);
    assert_eq!(ask(Op::Read, 0, b"a\0", Death::Never), ok(Op::Write, b"OK\0"));
    assert_eq!(ask(Op::TransactionEnd, 1, b"T\0", Death::Never), ok(Op::Error, b"EAGAIN\0"));
    assert_eq!(ask(Op::TransactionEnd, 1, b"T\0", Death::Never), ok(Op::Error, b"ENOENT\0"));
}
