//! Instances of another restarter: what it is told, and when.

use proptest::prelude::*;

use super::*;

fn ward(name: &str, dependencies: Vec<Dependency>) -> (Fmri, Config) {
    let mut config = config(dependencies);
    config.manage(Manager::Delegate(fmri("keeper")));
    (fmri(name), config)
}

/// A graph with a restarter `keeper` that runs.
struct Keeper {
    world: World,
    told: Vec<String>,
}

impl Keeper {
    fn new() -> Self {
        let mut world = World::new();
        world.add("keeper", config(vec![]));
        world.finish_all();
        Self { world, told: Vec::new() }
    }

    fn event(&mut self, event: Event) {
        let now = self.world.now;
        for action in self.world.engine.handle([event], now, &|_| true) {
            match action {
                Action::Add { fmri, enabled, .. } => {
                    self.told.push(format!("ADD {} {enabled}", fmri.service));
                }
                Action::Remove { fmri, .. } => self.told.push(format!("REMOVE {}", fmri.service)),
                Action::Order { fmri, order, .. } => {
                    self.told.push(format!("{order:?} {}", fmri.service));
                }
                Action::Synced(_) => self.told.push("SYNCED".to_owned()),
                Action::Run(fmri, method) => drop(self.world.running.insert(fmri, method)),
                Action::Kill(fmri) => drop(self.world.dying.insert(fmri)),
                _ => {}
            }
        }
    }

    fn add(&mut self, (fmri, config): (Fmri, Config)) {
        self.event(Event::Configure(fmri, config));
    }

    fn report(&mut self, name: &str, state: State, is_answer: bool) {
        let look = Look { state, next: None, auxiliary: "none".to_owned() };
        self.event(Event::Reported { fmri: fmri(name), look, is_error: false, is_answer });
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn bound(&mut self) {
        self.event(Event::Bound(fmri("keeper")));
    }
}

#[test]
fn nothing_is_ordered_before_the_answer() {
    let mut keeper = Keeper::new();
    keeper.add(ward("a", vec![]));
    assert_eq!((keeper.told(), keeper.world.state("a")), (vec![], State::Uninitialized));
    keeper.bound();
    assert_eq!(keeper.told(), ["ADD a true", "SYNCED"]);
    keeper.event(Event::Degrade(fmri("a"), Requester::Administrator));
    keeper.report("a", State::Offline, true);
    assert_eq!(keeper.told(), ["Start a"]);
    keeper.report("a", State::Online, false);
    assert_eq!((keeper.told(), keeper.world.state("a")), (vec![], State::Online));
}

#[test]
fn a_start_that_fails_is_tried_again_once_a_second() {
    let mut keeper = Keeper::new();
    keeper.add(ward("a", vec![]));
    keeper.bound();
    keeper.report("a", State::Offline, true);
    keeper.told();
    // What it said before it knew of the order is no answer.
    keeper.report("a", State::Offline, false);
    keeper.world.now += 5000;
    keeper.event(Event::Tick);
    assert_eq!(keeper.told(), [""; 0]);
    keeper.report("a", State::Offline, true);
    assert_eq!(keeper.told(), [""; 0]);
    keeper.world.now += 1000;
    keeper.event(Event::Tick);
    assert_eq!(keeper.told(), ["Start a"]);
}

#[test]
fn a_start_is_broken_off_when_it_is_not_wanted_any_more() {
    let mut keeper = Keeper::new();
    keeper.add(ward("a", vec![]));
    keeper.bound();
    keeper.report("a", State::Offline, true);
    let (name, mut config) = ward("a", vec![]);
    config.enabled = false;
    keeper.add((name, config));
    assert_eq!(keeper.told(), ["ADD a true", "SYNCED", "Start a", "Disable a"]);
    keeper.report("a", State::Online, false);
    keeper.report("a", State::Disabled, true);
    assert_eq!((keeper.told(), keeper.world.state("a")), (vec![], State::Disabled));
}

#[test]
fn a_restarter_that_is_gone_keeps_nobody_waiting() {
    let mut keeper = Keeper::new();
    let on_below = vec![needs(&["below"], Grouping::RequireAll, RestartOn::Restart)];
    keeper.add((fmri("below"), config(vec![])));
    keeper.world.finish_all();
    keeper.add(ward("a", on_below));
    keeper.bound();
    keeper.report("a", State::Online, true);
    keeper.told();
    keeper.event(Event::Configure(fmri("below"), Config { enabled: false, ..config(vec![]) }));
    assert_eq!(keeper.told(), ["StopReset a"]);
    assert!(keeper.world.running.is_empty());
    keeper.event(Event::Unbound(fmri("keeper")));
    assert_eq!(keeper.world.running.get(&fmri("below")), Some(&Method::Stop));
    assert_eq!(keeper.world.state("a"), State::Online);
    keeper.event(Event::Shutdown);
    keeper.world.finish_all();
    assert!(keeper.world.engine.is_quiet());
}

#[test]
fn another_restarter_gets_it_stopped() {
    let mut keeper = Keeper::new();
    keeper.add(ward("a", vec![]));
    keeper.bound();
    keeper.report("a", State::Online, true);
    keeper.told();
    keeper.add((fmri("a"), config(vec![])));
    assert_eq!(keeper.told(), ["Disable a"]);
    keeper.report("a", State::Disabled, true);
    assert_eq!(keeper.told(), ["REMOVE a"]);
    assert_eq!(keeper.world.running.get(&fmri("a")), Some(&Method::Start));
}

#[derive(Debug, Clone)]
enum Move {
    Report(usize, State, Option<State>, bool),
    Enable(usize, bool),
    Restart(usize),
    Clear(usize),
    Mark(usize),
    Bind(bool),
    Delegate(usize, bool),
    Delete(usize),
    Pass,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn any_move() -> impl Strategy<Value = Move> {
    let state = || {
        prop_oneof![
            Just(State::Uninitialized),
            Just(State::Offline),
            Just(State::Online),
            Just(State::Degraded),
            Just(State::Maintenance),
            Just(State::Disabled),
        ]
    };
    let which = 0..NAMES.len();
    let report = (which.clone(), state(), proptest::option::of(state()), any::<bool>());
    prop_oneof![
        8 => report.prop_map(|(i, state, next, over)| Move::Report(i, state, next, over)),
        2 => (which.clone(), any::<bool>()).prop_map(|(i, on)| Move::Enable(i, on)),
        1 => which.clone().prop_map(Move::Restart),
        1 => which.clone().prop_map(Move::Clear),
        1 => which.clone().prop_map(Move::Mark),
        1 => any::<bool>().prop_map(Move::Bind),
        1 => (which.clone(), any::<bool>()).prop_map(|(i, on)| Move::Delegate(i, on)),
        1 => which.prop_map(Move::Delete),
        1 => Just(Move::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a restarter says, and whenever it comes and goes: once it does what it is told,
    /// all is as wanted, and all can be stopped.
    #[test]
    fn a_restarter_may_say_anything(moves in proptest::collection::vec(any_move(), 0..60)) {
        let mut keeper = Keeper::new();
        let mut configs: Vec<Option<Config>> = Vec::new();
        for (i, name) in NAMES.iter().enumerate() {
            let on = needs(&NAMES[..i], Grouping::RequireAll, RestartOn::Restart);
            let (name, config) = ward(name, vec![on]);
            configs.push(Some(config.clone()));
            keeper.add((name, config));
        }
        for step in moves {
            match step {
                Move::Report(i, state, next, is_answer) => {
                    let look = Look { state, next, auxiliary: "none".to_owned() };
                    let (fmri, is_error) = (fmri(NAMES[i]), i == 0);
                    keeper.event(Event::Reported { fmri, look, is_error, is_answer });
                }
                Move::Enable(i, on) => if let Some(config) = &mut configs[i] {
                    config.enabled = on;
                    keeper.event(Event::Configure(fmri(NAMES[i]), config.clone()));
                },
                Move::Delegate(i, on) => if let Some(config) = &mut configs[i] {
                    let keeper_is = Manager::Delegate(fmri("keeper"));
                    config.manage(if on { keeper_is } else { Manager::Master });
                    keeper.event(Event::Configure(fmri(NAMES[i]), config.clone()));
                },
                Move::Restart(i) => keeper.event(Event::Restart(fmri(NAMES[i]))),
                Move::Clear(i) => keeper.event(Event::Clear(fmri(NAMES[i]))),
                Move::Mark(i) => {
                    keeper.event(Event::Maintenance(fmri(NAMES[i]), Requester::Administrator));
                }
                Move::Bind(true) => keeper.bound(),
                Move::Bind(false) => keeper.event(Event::Unbound(fmri("keeper"))),
                Move::Delete(i) => {
                    configs[i] = None;
                    keeper.event(Event::Delete(fmri(NAMES[i])));
                }
                Move::Pass => { keeper.world.now += 2000; keeper.event(Event::Tick); }
            }
        }
        keeper.bound();
        obey(&mut keeper);
        for (name, config) in NAMES.iter().zip(&configs) {
            let Some(config) = config else { continue };
            let state = keeper.world.state(name);
            let vertex = &keeper.world.engine.vertices[&fmri(name)];
            prop_assert!(!vertex.is_busy(), "{name}");
            match state {
                State::Disabled => prop_assert!(!config.enabled, "{name}"),
                State::Online | State::Degraded => prop_assert!(config.enabled, "{name}"),
                State::Offline => prop_assert!(vertex.satisfaction() != Satisfaction::Yes, "{name}"),
                State::Maintenance => {}
                State::Uninitialized => prop_assert!(false, "{name} is not known"),
            }
        }
        keeper.event(Event::Shutdown);
        obey(&mut keeper);
        prop_assert!(keeper.world.engine.is_quiet());
        prop_assert!(keeper.world.engine.holding.is_empty());
    }
}

/// Has the restarter do what it was told last, of each instance, until it is told nothing more.
fn obey(keeper: &mut Keeper) {
    for _ in 0..200 {
        keeper.world.now += 2000;
        keeper.event(Event::Tick);
        while let Some((fmri, method)) = keeper.world.running.pop_first() {
            keeper.event(Event::Done(fmri, method, Outcome::Ok));
        }
        while let Some(fmri) = keeper.world.dying.pop_first() {
            keeper.event(Event::Gone(fmri));
        }
        let told = keeper.told();
        if told.is_empty() {
            return;
        }
        for name in NAMES {
            let ends = format!(" {name}");
            let is_its =
                |line: &&String| line.replace(" true", "").replace(" false", "").ends_with(&ends);
            let Some(last) = told.iter().rfind(is_its) else { continue };
            let Some(look) = keeper.world.engine.look(&fmri(name)) else { continue };
            let word = last.split(' ').next().unwrap();
            let state = match word {
                "ADD" | "AdminMaintOff" | "Enable"
                    if look.state == State::Maintenance && word != "AdminMaintOff" =>
                {
                    State::Maintenance
                }
                "ADD" if last.ends_with("false") => State::Disabled,
                "ADD" if look.state.is_running() => look.state,
                "Disable" => State::Disabled,
                "Start" | "AdminRestore" => State::Online,
                "AdminDegraded" => State::Degraded,
                "AdminMaintOn" | "AdminMaintOnImmediate" => State::Maintenance,
                "REMOVE" => continue,
                _ => State::Offline,
            };
            keeper.report(name, state, true);
        }
    }
    panic!("orders are given for ever");
}
