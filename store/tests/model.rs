//! Random requests of several clients, in and outside of transactions, against a naive model;
//! and what the journal makes of them.

mod common;

use std::collections::BTreeMap;

use common::{World, domain};
use proptest::prelude::*;
use store::connection::ConnId;
use store::perms::{Access, Perm};
use store::store::Store;
use store::wire::{Errno, Op, fields};

/// A request for one node.
#[derive(Debug, Clone, PartialEq)]
enum Action {
    Read(String),
    Directory(String),
    GetPerms(String),
    Write(String, String),
    Mkdir(String),
    Rm(String),
    SetPerms(String, Vec<Perm>),
}

#[derive(Debug, Clone)]
enum Step {
    Begin(u16),
    End(u16, bool),
    Act(u16, bool, Action),
}

/// All nodes, by full path, and nothing clever.
#[derive(Debug, Clone, PartialEq)]
struct Model(BTreeMap<String, (String, Vec<Perm>)>);

type Answer = Result<Vec<u8>, Errno>;

fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

fn below(path: &str, other: &str) -> bool {
    path == other
        || other == "/"
        || path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

impl Model {
    fn may(&self, who: u16, path: &str, right: fn(Access) -> bool) -> Result<(), Errno> {
        let mut at = path;
        while !self.0.contains_key(at) {
            at = parent(at).unwrap();
        }
        let perms = &self.0[at].1;
        let own = perms[1..].iter().find(|perm| perm.domid == who).unwrap_or(&perms[0]);
        if who != 0 && perms[0].domid != who && !right(own.access) {
            return Err(Errno::Acces);
        }
        if at == path { Ok(()) } else { Err(Errno::NoEnt) }
    }

    fn make(&mut self, who: u16, path: &str, value: &str) {
        let above = parent(path).unwrap();
        if !self.0.contains_key(above) {
            self.make(who, above, "");
        }
        let mut perms = self.0[above].1.clone();
        if who != 0 {
            perms[0].domid = who;
        }
        self.0.insert(path.to_owned(), (value.to_owned(), perms));
    }

    fn act(&mut self, who: u16, action: &Action) -> Answer {
        let ok = Ok(b"OK\0".to_vec());
        match action {
            Action::Read(path) => {
                self.may(who, path, Access::reads)?;
                Ok(self.0[path].0.clone().into_bytes())
            }
            Action::Directory(path) => {
                self.may(who, path, Access::reads)?;
                let children = self.0.keys().filter(|it| parent(it) == Some(path));
                Ok(fields(children.map(|it| it.rsplit('/').next().unwrap())))
            }
            Action::GetPerms(path) => {
                self.may(who, path, Access::reads)?;
                Ok(fields(self.0[path].1.iter().map(Perm::to_string)))
            }
            Action::Write(path, value) => match self.may(who, path, Access::writes) {
                Ok(()) => {
                    self.0.get_mut(path).unwrap().0 = value.clone();
                    ok
                }
                Err(Errno::NoEnt) => {
                    self.make(who, path, value);
                    ok
                }
                Err(error) => Err(error),
            },
            Action::Mkdir(path) => match self.may(who, path, Access::writes) {
                Err(Errno::NoEnt) => {
                    self.make(who, path, "");
                    ok
                }
                other => other.and(ok),
            },
            Action::Rm(path) => match self.may(who, path, Access::writes) {
                Ok(()) if path == "/" => Err(Errno::Inval),
                Ok(()) => {
                    self.0.retain(|it, _| !below(it, path));
                    ok
                }
                Err(Errno::NoEnt) => {
                    self.may(who, parent(path).unwrap(), Access::writes)?;
                    ok
                }
                Err(error) => Err(error),
            },
            Action::SetPerms(path, perms) => {
                self.may(who, path, Access::writes)?;
                let owner = self.0[path].1[0].domid;
                if who != 0 && who != owner {
                    return Err(Errno::Acces);
                }
                if who != 0 && perms[0].domid != owner {
                    return Err(Errno::Perm);
                }
                self.0.get_mut(path).unwrap().1 = perms.clone();
                ok
            }
        }
    }

    /// The nodes at, above and below `path`.
    fn around(&self, path: &str) -> Vec<(&String, &(String, Vec<Perm>))> {
        let near = |it: &str| below(it, path) || below(path, it);
        self.0.iter().filter(|(it, _)| near(it)).collect()
    }
}

impl Action {
    fn path(&self) -> &str {
        match self {
            Action::Read(path)
            | Action::Directory(path)
            | Action::GetPerms(path)
            | Action::Write(path, _)
            | Action::Mkdir(path)
            | Action::Rm(path)
            | Action::SetPerms(path, _) => path,
        }
    }

    fn ask(&self, world: &mut World, conn: ConnId, tx: u32) -> Answer {
        let (op, payload) = match self {
            Action::Read(path) => (Op::Read, fields([path])),
            Action::Directory(path) => (Op::Directory, fields([path])),
            Action::GetPerms(path) => (Op::GetPerms, fields([path])),
            Action::Write(path, value) => (Op::Write, format!("{path}\0{value}").into_bytes()),
            Action::Mkdir(path) => (Op::Mkdir, fields([path])),
            Action::Rm(path) => (Op::Rm, fields([path])),
            Action::SetPerms(path, perms) => {
                let perms = perms.iter().map(Perm::to_string);
                (Op::SetPerms, fields(std::iter::once(path.clone()).chain(perms)))
            }
        };
        world.ask(conn, op, tx, payload)
    }
}

/// A transaction of the model.
struct Open {
    id: u32,
    start: Model,
    view: Model,
    log: Vec<(Action, Answer)>,
}

struct Run {
    world: World,
    model: Model,
    open: BTreeMap<u16, Open>,
}

impl Run {
    fn new() -> Self {
        let root = [("/".to_owned(), (String::new(), vec!["n0".parse().unwrap()]))];
        let mut run =
            Self { world: World::new(), model: Model(root.into()), open: BTreeMap::new() };
        run.world.ask(run.world.tool, Op::Rm, 0, fields(["/tool"])).unwrap();
        for (path, perms) in [("/a", "n1"), ("/b", "r2 b1"), ("/c", "b0")] {
            let perms = perms.split(' ').map(|perm| perm.parse().unwrap()).collect();
            run.act(0, false, &Action::Mkdir(path.to_owned()));
            run.act(0, false, &Action::SetPerms(path.to_owned(), perms));
        }
        run
    }

    fn conn(&self, who: u16) -> ConnId {
        if who == 0 { self.world.tool } else { domain(who) }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Begin(who) if self.open.contains_key(who) => (),
            Step::Begin(who) => {
                let id = self.world.begin(self.conn(*who)).unwrap();
                let (start, view) = (self.model.clone(), self.model.clone());
                self.open.insert(*who, Open { id, start, view, log: Vec::new() });
            }
            Step::End(who, commit) => self.end(*who, *commit),
            Step::Act(who, inside, action) => self.act(*who, *inside, action),
        }
    }

    fn act(&mut self, who: u16, inside: bool, action: &Action) {
        let conn = self.conn(who);
        let Some(open) = self.open.get_mut(&who).filter(|_| inside) else {
            let expected = self.model.act(who, action);
            assert_eq!(action.ask(&mut self.world, conn, 0), expected, "{who}: {action:?}");
            return;
        };
        let expected = open.view.act(who, action);
        let answer = action.ask(&mut self.world, conn, open.id);
        assert_eq!(answer, expected, "{who} in a transaction: {action:?}");
        open.log.push((action.clone(), answer));
    }

    /// A commit must be as if the whole transaction had run just now, and may only be refused
    /// if something near to what it touched has changed.
    fn end(&mut self, who: u16, commit: bool) {
        let Some(open) = self.open.remove(&who) else { return };
        let outcome = self.world.end(self.conn(who), open.id, commit);
        if !commit {
            return assert_eq!(outcome, Ok(()));
        }
        let mut serial = self.model.clone();
        let same = open.log.iter().all(|(action, answer)| serial.act(who, action) == *answer);
        match outcome {
            Ok(()) => {
                assert!(same, "not serializable: {:?}", open.log);
                self.model = serial;
            }
            Err(error) => {
                assert_eq!(error, Errno::Again);
                let untouched = |(action, _): &(Action, Answer)| {
                    open.start.around(action.path()) == self.model.around(action.path())
                };
                assert!(!open.log.iter().all(untouched), "no conflict in {:?}", open.log);
            }
        }
    }

    /// The store's nodes, as a tool sees them.
    fn nodes(&mut self) -> Model {
        let mut nodes = BTreeMap::new();
        let mut left = vec!["/".to_owned()];
        while let Some(path) = left.pop() {
            let mut ask = |op| self.world.ask(self.world.tool, op, 0, fields([&path])).unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            let (value, perms, names) =
                (text(ask(Op::Read)), text(ask(Op::GetPerms)), text(ask(Op::Directory)));
            let above = if path == "/" { "" } else { &path };
            left.extend(names.split_terminator('\0').map(|name| format!("{above}/{name}")));
            let perms = perms.split_terminator('\0').map(|perm| perm.parse().unwrap()).collect();
            nodes.insert(path, (value, perms));
        }
        Model(nodes)
    }
}

fn paths() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let deep = prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")));
    prop_oneof![20 => deep, 1 => Just("/".to_owned())]
}

fn perms() -> impl Strategy<Value = Vec<Perm>> {
    let access =
        prop::sample::select(vec![Access::None, Access::Read, Access::Write, Access::Both]);
    let perm = (0u16..3, access).prop_map(|(domid, access)| Perm::new(domid, access));
    prop::collection::vec(perm, 1..4)
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => paths().prop_map(Action::Read),
        2 => paths().prop_map(Action::Directory),
        1 => paths().prop_map(Action::GetPerms),
        4 => (paths(), "[xyz]?").prop_map(|(path, value)| Action::Write(path, value)),
        2 => paths().prop_map(Action::Mkdir),
        2 => paths().prop_map(Action::Rm),
        2 => (paths(), perms()).prop_map(|(path, perms)| Action::SetPerms(path, perms)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0u16..3;
    let step = prop_oneof![
        1 => who().prop_map(Step::Begin),
        1 => (who(), prop::bool::weighted(0.8)).prop_map(|(who, commit)| Step::End(who, commit)),
        8 => (who(), any::<bool>(), actions())
            .prop_map(|(who, inside, action)| Step::Act(who, inside, action)),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in steps()) {
        let mut run = Run::new();
        steps.iter().for_each(|step| run.step(step));
        let model = run.model.clone();
        prop_assert_eq!(run.nodes(), model);
        let check = run.world.ask(run.world.tool, Op::Control, 0, b"check\0").unwrap();
        prop_assert_eq!(String::from_utf8(check).unwrap(), "OK\0");

        // What the journal holds leads to the same store, and so does a snapshot of it.
        let mut changes = Store::new(0).snapshot();
        changes.extend(run.world.journal.clone());
        let snapshot = run.world.store.snapshot();
        for changes in [changes, snapshot.clone()] {
            let mut recovered = Store::recover(0, changes);
            // The journal doesn't know what was sent since; the ring's page does.
            for domid in [1, 2] {
                let ring = run.world.store.domains()[&domid].ring;
                recovered.resume_ring(domid, ring.cons, ring.prod);
            }
            prop_assert_eq!(recovered.snapshot(), snapshot.clone());
        }
    }
}
