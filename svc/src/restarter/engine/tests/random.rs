//! Random graphs and histories, and what holds in all of them.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn any_dependency(index: usize) -> impl Strategy<Value = Dependency> {
    let groupings = prop_oneof![
        Just(Grouping::RequireAll),
        Just(Grouping::RequireAny),
        Just(Grouping::OptionalAll),
        Just(Grouping::ExcludeAll),
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
    Abandon(usize),
    Degrade(usize),
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
        1 => which.clone().prop_map(Move::Abandon),
        1 => which.clone().prop_map(Move::Degrade),
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
                Move::Mark(i) => world.event(Event::Maintenance(fmri(NAMES[i]), Requester::Administrator)),
                Move::Abandon(i) => {
                    world.event(Event::Abandon(fmri(NAMES[i]), Requester::Service));
                }
                Move::Degrade(i) => {
                    world.event(Event::Degrade(fmri(NAMES[i]), Requester::Administrator));
                }
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
                if method == Method::Start {
                    let unmet = unmet(&world, &started);
                    prop_assert!(unmet.is_none(), "{started} started without {unmet:?}");
                }
            }
            for name in NAMES {
                let look = world.engine.look(&fmri(name)).unwrap();
                prop_assert!(look.state != State::Maintenance || look.auxiliary != "none");
                prop_assert!(look.state != State::Uninitialized);
            }
            check_tallies(&world.engine);
        }
        // No wake-up is lost. Those that exclude what they rely on wait for their time again and
        // again, but leave the others time.
        world.finish_all();
        for (i, name) in NAMES.iter().enumerate() {
            let vertex = &world.engine.vertices[&fmri(name)];
            let can = vertex.satisfaction() == Satisfaction::Yes && vertex.not_before.is_none();
            match vertex.state {
                State::Offline => prop_assert!(!can, "{name} could run and doesn't"),
                State::Disabled => prop_assert!(!enabled[i]),
                State::Online | State::Degraded => prop_assert!(enabled[i]),
                _ => {}
            }
        }
        // When everything has to end, everything does.
        world.event(Event::Shutdown);
        world.finish_all();
        prop_assert!(world.engine.is_quiet());
        prop_assert!(world.engine.holding.is_empty() && world.engine.busy.is_empty());
    }

    /// Whatever depends on whatever: no cycle is waited for without a word, and all can be stopped.
    #[test]
    fn no_cycle_goes_unnoticed(
        edges in proptest::collection::vec((0..NAMES.len(), 0..NAMES.len()), 0..14),
        at_once in any::<bool>(),
    ) {
        let on = |from: usize| edges.iter().filter(move |edge| edge.0 == from && edge.1 != from);
        let describe = |i: usize| {
            let names: Vec<&str> = on(i).map(|edge| NAMES[edge.1]).collect();
            config(vec![needs(&names, Grouping::RequireAll, RestartOn::Restart)])
        };
        let mut world = World::new();
        let events: Vec<Event> =
            (0..NAMES.len()).map(|i| Event::Configure(fmri(NAMES[i]), describe(i))).collect();
        match at_once {
            true => world.events(events),
            false => events.into_iter().for_each(|event| world.event(event)),
        }
        world.finish_all();
        for name in NAMES {
            match world.state(name) {
                State::Online => {}
                State::Maintenance => prop_assert_eq!(world.auxiliary(name), "dependency_cycle"),
                // It waits, then, for somebody who closes a cycle, or who waits for one.
                State::Offline => {
                    prop_assert!(waits_for_a_cycle(&world, name), "{} waits for ever", name);
                }
                state => prop_assert!(false, "{} is {}", name, state),
            }
        }
        world.event(Event::Shutdown);
        world.finish_all();
        prop_assert!(world.engine.is_quiet());
    }
}

/// A service that must run for `fmri` to start and doesn't, going by the manual and not by tallies.
fn unmet(world: &World, fmri: &Fmri) -> Option<Fmri> {
    let runs = |name: &&Fmri| {
        let vertex = &world.engine.vertices[&name.with_instance("default")];
        vertex.state.is_running()
    };
    let groups = &world.engine.vertices[fmri].config.dependencies;
    groups
        .iter()
        .find_map(|group| match group.grouping {
            Grouping::RequireAll => group.services().find(|name| !runs(name)),
            Grouping::RequireAny if group.services().any(|name| runs(&name)) => None,
            Grouping::RequireAny => group.services().next(),
            Grouping::ExcludeAll => group.services().find(runs),
            Grouping::OptionalAll => None,
        })
        .cloned()
}

/// What is counted is what a look at everything finds.
fn check_tallies(engine: &Engine) {
    for (fmri, vertex) in &engine.vertices {
        for (group, tally) in vertex.config.dependencies.iter().zip(&vertex.groups) {
            let each = group.services().map(|name| {
                let all = engine.named(name).map(|(_, on)| on.meaning()[group.grouping as usize]);
                group.grouping.of_service(&all.collect())
            });
            assert_eq!(*tally, each.collect(), "group {} of {fmri}", group.name);
        }
    }
}

fn waits_for_a_cycle(world: &World, name: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut rest = vec![fmri(name)];
    while let Some(at) = rest.pop() {
        let vertex = &world.engine.vertices[&at];
        if vertex.state == State::Maintenance {
            return true;
        }
        if vertex.state == State::Offline && seen.insert(at.clone()) {
            let names = vertex.config.dependencies.iter().flat_map(Dependency::services);
            rest.extend(names.map(|name| name.with_instance("default")));
        }
    }
    false
}
