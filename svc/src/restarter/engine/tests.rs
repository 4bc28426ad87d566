//! The graph on its own: situations from the manual, and random ones.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn fmri(name: &str) -> Fmri {
    Fmri::parse(&format!("svc:/{name}:default")).unwrap()
}

fn needs(names: &[&str], grouping: Grouping, restart_on: RestartOn) -> Dependency {
    let entities = names.iter().map(|name| Entity::Service(fmri(name).service())).collect();
    Dependency { name: names.join("-"), grouping, restart_on, entities }
}

fn config(dependencies: Vec<Dependency>) -> Config {
    Config {
        enabled: true,
        dependencies,
        model: Model::Contract,
        has_refresh: false,
        failure_count: 3,
        failure_period: 60_000,
        invalid: false,
    }
}

/// A graph whose methods succeed when they are told to.
struct World {
    engine: Engine,
    running: BTreeMap<Fmri, Method>,
    dying: BTreeSet<Fmri>,
    order: Vec<(Fmri, Method)>,
    now: u64,
}

impl World {
    fn new() -> Self {
        Self {
            engine: Engine::new(),
            running: BTreeMap::new(),
            dying: BTreeSet::new(),
            order: Vec::new(),
            now: 0,
        }
    }

    fn event(&mut self, event: Event) {
        for action in self.engine.handle(event, self.now, &|path| path != Path::new("/missing")) {
            match action {
                Action::Run(fmri, method) => {
                    assert!(!self.dying.contains(&fmri), "{fmri} is being killed");
                    let before = self.running.insert(fmri.clone(), method);
                    assert!(before.is_none(), "two methods of {fmri}");
                    self.order.push((fmri, method));
                }
                Action::Kill(fmri) => drop(self.dying.insert(fmri)),
                _ => {}
            }
        }
    }

    fn add(&mut self, name: &str, config: Config) {
        self.event(Event::Configure(fmri(name), config));
    }

    /// Lets everything that was killed be gone.
    fn bury(&mut self) {
        while let Some(fmri) = self.dying.pop_first() {
            self.event(Event::Gone(fmri));
        }
    }

    /// Ends methods until none runs.
    fn finish_all(&mut self) {
        self.bury();
        while let Some((fmri, method)) = self.running.pop_first() {
            self.event(Event::Done(fmri, method, Outcome::Ok));
            self.bury();
        }
    }

    /// Has the method that runs now end like this.
    fn finish(&mut self, name: &str, method: Method, outcome: Outcome) {
        assert_eq!(self.running.remove(&fmri(name)), Some(method));
        self.event(Event::Done(fmri(name), method, outcome));
    }

    fn fail_start(&mut self, name: &str, outcome: Outcome) {
        self.finish(name, Method::Start, outcome);
        assert_ne!(self.state(name), State::Maintenance, "it may have processes");
        self.bury();
    }

    fn state(&self, name: &str) -> State {
        self.engine.look(&fmri(name)).unwrap().state
    }

    fn began(&mut self) -> Vec<String> {
        let word = |(fmri, method): &(Fmri, Method)| format!("{} {}", method.name(), fmri.service);
        self.order.drain(..).map(|each| word(&each)).collect()
    }
}

fn store_and_xend(restart_on: RestartOn) -> World {
    let mut world = World::new();
    world.add("xend", config(vec![needs(&["store"], Grouping::RequireAll, restart_on)]));
    assert_eq!(world.state("xend"), State::Offline);
    world.add("store", config(vec![]));
    world.finish_all();
    assert_eq!(world.began(), ["start store", "start xend"]);
    world
}

#[test]
fn services_start_in_the_order_of_their_dependencies() {
    let world = store_and_xend(RestartOn::Restart);
    assert_eq!(world.state("xend"), State::Online);
}

#[test]
fn a_restart_takes_dependents_along_if_they_want_it() {
    let mut world = store_and_xend(RestartOn::Restart);
    world.event(Event::Restart(fmri("store")));
    world.finish_all();
    let began = world.began();
    assert_eq!(began[..2], ["stop store", "stop xend"]);
    assert_eq!(began[2..], ["start store", "start xend"]);
    let mut world = store_and_xend(RestartOn::Error);
    world.event(Event::Restart(fmri("store")));
    world.finish_all();
    assert_eq!(world.began(), ["stop store", "start store"]);
}

#[test]
fn a_fault_stops_those_who_mind_faults() {
    for (restart_on, stops) in [(RestartOn::None, false), (RestartOn::Error, true)] {
        let mut world = store_and_xend(restart_on);
        world.event(Event::Stopped(fmri("store"), StopReason::Core));
        world.finish_all();
        assert_eq!(world.began().contains(&"stop xend".to_owned()), stops);
        assert_eq!(world.state("store"), State::Online);
        assert_eq!(world.state("xend"), State::Online);
    }
}

#[test]
fn disabling_stops_dependents_first() {
    let mut world = store_and_xend(RestartOn::Restart);
    world.add("store", Config { enabled: false, ..config(vec![]) });
    assert_eq!(world.began(), ["stop xend"]);
    world.finish_all();
    assert_eq!(world.began(), ["stop store"]);
    assert_eq!((world.state("store"), world.state("xend")), (State::Disabled, State::Offline));
    world.add("store", config(vec![]));
    world.finish_all();
    assert_eq!(world.state("xend"), State::Online);
}

#[test]
fn shutdown_goes_down_in_reverse_even_for_those_who_do_not_mind() {
    let mut world = store_and_xend(RestartOn::None);
    world.event(Event::Shutdown);
    world.finish_all();
    assert_eq!(world.began(), ["stop xend", "stop store"]);
    assert!(world.engine.is_quiet());
}

#[test]
fn three_failures_or_one_fatal_lead_to_maintenance_and_clear_leads_out() {
    let mut world = World::new();
    world.add("a", config(vec![]));
    for _ in 0..3 {
        world.fail_start("a", Outcome::Failed);
    }
    assert_eq!(world.engine.look(&fmri("a")).unwrap().auxiliary, "fault_threshold_reached");
    world.event(Event::Clear(fmri("a")));
    world.fail_start("a", Outcome::Fatal);
    assert_eq!(world.engine.look(&fmri("a")).unwrap().auxiliary, "method_failed");
    assert_eq!(world.state("a"), State::Maintenance);
    world.event(Event::Clear(fmri("a")));
    world.finish_all();
    assert_eq!(world.state("a"), State::Online);
}

#[test]
fn what_keeps_dying_goes_to_maintenance_and_what_dies_rarely_does_not() {
    let die = |pause: u64| {
        let mut world = World::new();
        world.add("a", config(vec![]));
        for _ in 0..6 {
            world.finish_all();
            world.now += pause;
            world.event(Event::Stopped(fmri("a"), StopReason::Exited));
        }
        world.finish_all();
        world.engine.look(&fmri("a")).unwrap()
    };
    assert_eq!(die(10).auxiliary, "restarting_too_quickly");
    assert_eq!(die(30_000).state, State::Online);
}

#[test]
fn optional_services_are_waited_for_only_if_they_can_come_up() {
    let mut world = World::new();
    world.add("store", Config { enabled: false, ..config(vec![]) });
    world.add("opt", config(vec![needs(&["store"], Grouping::RequireAll, RestartOn::None)]));
    world.add("x", config(vec![needs(&["opt", "absent"], Grouping::OptionalAll, RestartOn::None)]));
    world.finish_all();
    assert_eq!((world.state("opt"), world.state("x")), (State::Offline, State::Online));
    let mut world = World::new();
    world.add("opt", config(vec![]));
    world.add("x", config(vec![needs(&["opt"], Grouping::OptionalAll, RestartOn::None)]));
    assert_eq!(world.began(), ["start opt"]);
    world.finish_all();
    assert_eq!(world.began(), ["start x"]);
}

#[test]
fn require_any_exclude_all_and_files() {
    let mut world = World::new();
    world.add("a", Config { enabled: false, ..config(vec![]) });
    world.add("b", config(vec![]));
    world.add("any", config(vec![needs(&["a", "b"], Grouping::RequireAny, RestartOn::None)]));
    world.add("not", config(vec![needs(&["b"], Grouping::ExcludeAll, RestartOn::Restart)]));
    let file = |path: &str| Dependency {
        entities: vec![Entity::File(path.into())],
        ..needs(&[], Grouping::RequireAll, RestartOn::None)
    };
    world.add("file", config(vec![file("/there")]));
    world.add("nofile", config(vec![file("/missing")]));
    world.finish_all();
    let states = ["any", "not", "file", "nofile"].map(|name| world.state(name));
    assert_eq!(states, [State::Online, State::Offline, State::Online, State::Offline]);
    world.add("b", Config { enabled: false, ..config(vec![]) });
    world.finish_all();
    assert_eq!(world.state("not"), State::Online);
    world.add("b", config(vec![]));
    world.finish_all();
    assert_eq!(world.state("not"), State::Offline);
}

#[test]
fn a_cycle_is_found_and_named() {
    let mut world = World::new();
    world.add("a", config(vec![needs(&["b"], Grouping::RequireAll, RestartOn::None)]));
    world.add("b", config(vec![needs(&["c"], Grouping::RequireAll, RestartOn::None)]));
    world.add("c", config(vec![needs(&["a"], Grouping::RequireAll, RestartOn::None)]));
    assert_eq!(world.engine.look(&fmri("c")).unwrap().auxiliary, "dependency_cycle");
    assert_eq!(world.state("a"), State::Offline);
}

#[test]
fn a_temporary_disable_by_the_method_lasts_until_it_is_enabled_again() {
    let mut world = World::new();
    world.add("a", config(vec![]));
    world.fail_start("a", Outcome::TempDisable);
    assert_eq!(world.state("a"), State::Disabled);
    world.add("a", config(vec![]));
    world.finish_all();
    assert_eq!(world.state("a"), State::Online);
}

#[test]
fn a_refresh_runs_the_method_and_stops_those_who_want_that() {
    let mut world = World::new();
    world.add("a", Config { has_refresh: true, ..config(vec![]) });
    world.add("b", config(vec![needs(&["a"], Grouping::RequireAll, RestartOn::Refresh)]));
    world.finish_all();
    world.began();
    world.event(Event::Refresh(fmri("a")));
    world.finish_all();
    assert_eq!(world.began(), ["refresh a", "stop b", "start b"]);
}

#[test]
fn a_stop_that_fails_is_tried_three_times_and_ends_in_maintenance_with_nothing_left() {
    let mut world = store_and_xend(RestartOn::Error);
    world.event(Event::Restart(fmri("store")));
    for _ in 0..3 {
        world.finish("store", Method::Stop, Outcome::Failed);
    }
    assert_eq!(world.state("store"), State::Online);
    assert_eq!(world.engine.look(&fmri("store")).unwrap().next, Some(State::Maintenance));
    assert_eq!(world.state("xend"), State::Online);
    world.bury();
    assert_eq!(world.state("store"), State::Maintenance);
    // That is a fault, unlike the restart.
    assert_eq!(world.began(), ["stop store", "stop store", "stop store", "stop xend"]);
}

#[test]
fn a_refresh_that_fails_for_good_stops_the_service_in_order() {
    for (outcome, attempts) in [(Outcome::Fatal, 1), (Outcome::Failed, 3)] {
        let mut world = World::new();
        world.add("a", Config { has_refresh: true, ..config(vec![]) });
        world.finish_all();
        world.event(Event::Refresh(fmri("a")));
        for _ in 0..attempts {
            world.finish("a", Method::Refresh, outcome);
        }
        world.finish("a", Method::Stop, Outcome::Ok);
        let look = world.engine.look(&fmri("a")).unwrap();
        assert_eq!((look.state, look.auxiliary.as_str()), (State::Maintenance, "method_failed"));
    }
}

#[test]
fn what_an_earlier_restarter_had_begun_is_begun_anew() {
    let adopted = |state, next| {
        let mut world = World::new();
        let look = Look { state, next, auxiliary: "none".to_owned() };
        world.event(Event::Adopt(fmri("a"), config(vec![]), look));
        world.event(Event::Configure(fmri("a"), config(vec![])));
        let killed = !world.dying.is_empty();
        world.finish_all();
        (killed, world.began().join(", "), world.state("a"))
    };
    let none = String::new;
    use State::{Maintenance, Offline, Online};
    assert_eq!(adopted(Online, None), (false, none(), Online));
    assert_eq!(adopted(Maintenance, None), (false, none(), Maintenance));
    assert_eq!(adopted(Offline, Some(Online)), (true, "start a".into(), Online));
    assert_eq!(adopted(Online, Some(Offline)), (false, "stop a, start a".into(), Online));
    assert_eq!(adopted(Online, Some(Maintenance)), (false, "stop a".into(), Maintenance));
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn any_dependency(index: usize) -> impl Strategy<Value = Dependency> {
    let groupings = prop_oneof![
        Just(Grouping::RequireAll),
        Just(Grouping::RequireAny),
        Just(Grouping::OptionalAll),
    ];
    let classes = prop_oneof![
        Just(RestartOn::None),
        Just(RestartOn::Error),
        Just(RestartOn::Restart),
        Just(RestartOn::Refresh),
    ];
    // On earlier ones only, so there is no cycle.
    let on = proptest::sample::subsequence(NAMES[..index].to_vec(), 0..=index);
    (on, groupings, classes).prop_map(|(on, grouping, class)| needs(&on, grouping, class))
}

#[derive(Debug, Clone)]
enum Move {
    Enable(usize, bool),
    Restart(usize),
    Refresh(usize),
    Clear(usize),
    Mark(usize),
    Finish(usize, Outcome),
    Die(usize, StopReason),
    Bury,
    Pass(u64),
}

fn any_move() -> impl Strategy<Value = Move> {
    let which = 0..NAMES.len();
    let outcome = prop_oneof![
        6 => Just(Outcome::Ok), 1 => Just(Outcome::Failed), 1 => Just(Outcome::Fatal),
        1 => Just(Outcome::TempDisable), 1 => Just(Outcome::Degraded),
    ];
    let reason =
        prop_oneof![Just(StopReason::Exited), Just(StopReason::Core), Just(StopReason::Signal)];
    prop_oneof![
        2 => (which.clone(), any::<bool>()).prop_map(|(i, on)| Move::Enable(i, on)),
        1 => which.clone().prop_map(Move::Restart),
        1 => which.clone().prop_map(Move::Refresh),
        1 => which.clone().prop_map(Move::Clear),
        1 => which.clone().prop_map(Move::Mark),
        6 => (which.clone(), outcome).prop_map(|(i, outcome)| Move::Finish(i, outcome)),
        2 => (which, reason).prop_map(|(i, reason)| Move::Die(i, reason)),
        3 => Just(Move::Bury),
        1 => (0_u64..100_000).prop_map(Move::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens: nothing is started before what it requires runs; nobody is in maintenance
    /// without a reason; and when all methods are let finish, everything that could run does.
    #[test]
    fn invariants_hold_in_every_history(
        dependencies in (
            any_dependency(0), any_dependency(1), any_dependency(2),
            any_dependency(3), any_dependency(4), any_dependency(5),
        ),
        moves in proptest::collection::vec(any_move(), 0..60),
    ) {
        let (a, b, c, d, e, f) = dependencies;
        let dependencies = [a, b, c, d, e, f];
        let mut enabled = [true; NAMES.len()];
        let describe = |i: usize, enabled: bool| Config {
            enabled, has_refresh: true, ..config(vec![dependencies[i].clone()])
        };
        let mut world = World::new();
        for (i, name) in NAMES.iter().enumerate() {
            world.add(name, describe(i, true));
        }
        for step in moves {
            match step {
                Move::Enable(i, on) => {
                    enabled[i] = on;
                    world.add(NAMES[i], describe(i, on));
                }
                Move::Restart(i) => world.event(Event::Restart(fmri(NAMES[i]))),
                Move::Refresh(i) => world.event(Event::Refresh(fmri(NAMES[i]))),
                Move::Clear(i) => world.event(Event::Clear(fmri(NAMES[i]))),
                Move::Mark(i) => world.event(Event::Maintenance(fmri(NAMES[i]))),
                Move::Die(i, reason) => world.event(Event::Stopped(fmri(NAMES[i]), reason)),
                Move::Bury => world.bury(),
                Move::Pass(ms) => { world.now += ms; world.event(Event::Tick); }
                Move::Finish(i, outcome) => {
                    if let Some(method) = world.running.remove(&fmri(NAMES[i])) {
                        if outcome == Outcome::TempDisable && method == Method::Start {
                            enabled[i] = false;
                        }
                        world.event(Event::Done(fmri(NAMES[i]), method, outcome));
                    }
                }
            }
            for (started, method) in world.order.drain(..).collect::<Vec<_>>() {
                let vertex = &world.engine.vertices[&started];
                if method == Method::Start && vertex.method == Some(Method::Start) {
                    for group in &vertex.config.dependencies {
                        if group.grouping == Grouping::RequireAll {
                            for entity in &group.entities {
                                let Entity::Service(name) = entity else { continue };
                                let on = &world.engine.vertices[&name.with_instance("default")];
                                prop_assert!(on.state.is_running(), "{started} started without {name}");
                            }
                        }
                    }
                }
            }
            for name in NAMES {
                let look = world.engine.look(&fmri(name)).unwrap();
                prop_assert!(look.state != State::Maintenance || look.auxiliary != "none");
                prop_assert!(look.state != State::Uninitialized);
            }
        }
        // No wake-up is lost.
        world.finish_all();
        for (i, name) in NAMES.iter().enumerate() {
            let vertex = &world.engine.vertices[&fmri(name)];
            let can = world.engine.satisfaction(vertex, &|_| true) == Satisfaction::Yes;
            match vertex.state {
                State::Offline => prop_assert!(!can, "{name} could run and doesn't"),
                State::Disabled => prop_assert!(!enabled[i]),
                State::Online | State::Degraded => prop_assert!(enabled[i]),
                _ => {}
            }
        }
    }
}
