//! Situations from the manual, in the words of smf(7) and svc.startd(8).

use super::*;

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
fn who_excludes_what_relies_on_it_is_told() {
    let mut world = World::new();
    let excluding = config(vec![needs(&["c"], Grouping::ExcludeAll, RestartOn::Restart)]);
    let requiring = |on: &str| config(vec![needs(&[on], Grouping::RequireAll, RestartOn::Restart)]);
    world.add("a", excluding);
    world.add("b", requiring("a"));
    world.finish_all();
    world.add("c", Config { enabled: false, ..requiring("b") });
    let is_told = |line: &&String| line.starts_with("Excludes what relies on it");
    assert_eq!(world.logs.iter().find(is_told), None, "one of them is disabled");
    world.add("c", requiring("b"));
    world.finish_all();
    let line = "Excludes what relies on it: svc:/c:default -> svc:/b:default -> svc:/a:default";
    assert_eq!(world.logs.iter().filter(is_told).collect::<Vec<_>>(), [line]);
    world.add("d", requiring("a"));
    world.finish_all();
    assert_eq!(world.logs.iter().filter(is_told).count(), 1, "that is no news");
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

#[test]
fn a_disable_goes_from_the_leaves_to_the_root_and_leaves_others_alone() {
    let mut world = World::new();
    let on = |name, grouping, restart_on| config(vec![needs(&[name], grouping, restart_on)]);
    world.add("root", config(vec![]));
    world.add("mid", on("root", Grouping::RequireAll, RestartOn::Restart));
    world.add("leaf", on("mid", Grouping::RequireAny, RestartOn::Refresh));
    world.add("proud", on("root", Grouping::RequireAll, RestartOn::Error));
    world.add("opt", on("root", Grouping::OptionalAll, RestartOn::Restart));
    world.finish_all();
    world.began();
    world.add("root", Config { enabled: false, ..config(vec![]) });
    for (name, before) in [("leaf", "stop leaf"), ("mid", "stop mid")] {
        assert_eq!(world.began(), [before]);
        world.finish(name, Method::Stop, Outcome::Ok);
    }
    // Who has an optional dependency is not waited for, but told.
    assert_eq!(world.began(), ["stop root", "stop opt"]);
    world.finish_all();
    assert_eq!(world.state("proud"), State::Online);
    assert_eq!(world.state("opt"), State::Online);
    assert_eq!((world.state("mid"), world.state("leaf")), (State::Offline, State::Offline));
}

#[test]
fn services_that_came_to_depend_on_each_other_while_running_can_be_stopped() {
    let mut world = store_and_xend(RestartOn::Restart);
    world.add("store", config(vec![needs(&["xend"], Grouping::RequireAll, RestartOn::Restart)]));
    assert_eq!(world.state("store"), State::Online);
    world.event(Event::Shutdown);
    world.finish_all();
    assert!(world.engine.is_quiet());
}

#[test]
fn what_excludes_a_service_that_starts_is_stopped_unless_it_does_not_mind() {
    for (restart_on, stays) in [(RestartOn::None, true), (RestartOn::Error, false)] {
        let mut world = World::new();
        let off = Config { enabled: false, ..config(vec![]) };
        world.add("b", off);
        world.add("not", config(vec![needs(&["b"], Grouping::ExcludeAll, restart_on)]));
        world.finish_all();
        world.add("b", config(vec![]));
        world.finish_all();
        assert_eq!(world.state("b"), State::Online);
        assert_eq!(world.state("not") == State::Online, stays);
    }
}

#[test]
fn a_mark_says_who_asked_and_an_immediate_one_runs_no_method() {
    use Requester::{Administrator, Service};
    for (by, reason) in [(Administrator, "administrative_request"), (Service, "service_request")] {
        let mut world = store_and_xend(RestartOn::Restart);
        world.event(Event::Maintenance(fmri("store"), by));
        assert_eq!(world.engine.look(&fmri("store")).unwrap().next, Some(State::Maintenance));
        world.finish_all();
        assert_eq!(
            (world.state("store"), world.auxiliary("store").as_str()),
            (State::Maintenance, reason)
        );
        assert_eq!(world.state("xend"), State::Offline);
        let mut world = store_and_xend(RestartOn::Restart);
        world.event(Event::Abandon(fmri("store"), by));
        assert_eq!(
            (world.state("store"), world.auxiliary("store").as_str()),
            (State::Maintenance, reason)
        );
        assert_eq!(world.began(), ["stop xend"]);
        assert_eq!(world.abandoned, [fmri("store")]);
        let mut world = store_and_xend(RestartOn::Restart);
        world.event(Event::Degrade(fmri("store"), by));
        assert_eq!(
            (world.state("store"), world.auxiliary("store").as_str()),
            (State::Degraded, reason)
        );
        world.event(Event::Clear(fmri("store")));
        assert_eq!(
            (world.state("store"), world.auxiliary("store").as_str()),
            (State::Online, "none")
        );
        assert!(world.began().is_empty());
    }
}

#[test]
fn a_dump_is_for_what_runs_and_is_no_fault() {
    let mut engine = Engine::new();
    let actions = |engine: &mut Engine, events: Vec<Event>| engine.handle(events, 0, &|_| true);
    let a = fmri("a");
    actions(&mut engine, vec![Event::Configure(a.clone(), config(vec![]))]);
    let both = || vec![Event::Dump(fmri("a")), Event::Restart(fmri("a"))];
    assert!(!actions(&mut engine, both()).contains(&Action::Dump(a.clone())));
    actions(&mut engine, vec![Event::Done(a.clone(), Method::Start, Outcome::Ok)]);
    let done = actions(&mut engine, both());
    assert!(done.contains(&Action::Dump(a.clone())));
    assert!(done.contains(&Action::Log(a.clone(), "Stopping because service restarting.".into())));
    let dumped = actions(&mut engine, vec![Event::Stopped(a, StopReason::Core)]);
    assert!(dumped.is_empty(), "{dumped:?}");
}

#[test]
fn of_two_cycles_in_one_batch_both_are_broken_and_named() {
    let on = |names: &[&str]| config(vec![needs(names, Grouping::RequireAll, RestartOn::None)]);
    let all = [("a", on(&["b", "c"])), ("b", on(&["a"])), ("c", on(&["a"])), ("d", on(&["c"]))];
    let events = all.into_iter().map(|(name, config)| Event::Configure(fmri(name), config));
    let mut engine = Engine::new();
    let actions = engine.handle(events, 0, &|_| true);
    let auxiliary = |name: &str| engine.look(&fmri(name)).unwrap().auxiliary;
    assert_eq!(
        ["a", "b", "c", "d"].map(auxiliary),
        ["none", "dependency_cycle", "dependency_cycle", "none"]
    );
    let line = "Dependency cycle: svc:/b:default -> svc:/a:default -> svc:/b:default";
    assert!(actions.contains(&Action::Log(fmri("b"), line.to_owned())), "{actions:?}");
}

#[test]
fn a_description_that_makes_no_sense_leads_to_maintenance() {
    let mut world = World::new();
    world.add("a", Config { invalid: true, ..config(vec![]) });
    assert_eq!(
        (world.state("a"), world.auxiliary("a").as_str()),
        (State::Maintenance, "invalid_dependency")
    );
    world.add("a", config(vec![]));
    world.event(Event::Clear(fmri("a")));
    world.finish_all();
    assert_eq!(world.state("a"), State::Online);
}

#[test]
fn a_milestone_keeps_what_it_needs_and_the_rest_goes_from_the_leaves_to_the_root() {
    let on = |name| config(vec![needs(&[name], Grouping::RequireAll, RestartOn::None)]);
    let mut world = World::new();
    world.event(Event::Milestone(Milestone::Instance(fmri("ms"))));
    world.events(vec![
        Event::Configure(fmri("leaf"), on("mid")),
        Event::Configure(fmri("mid"), on("base")),
        Event::Configure(fmri("ms"), on("base")),
        Event::Configure(fmri("base"), config(vec![])),
    ]);
    world.finish_all();
    assert_eq!(world.began(), ["start base", "start ms"]);
    assert_eq!((world.state("mid"), world.state("leaf")), (State::Disabled, State::Disabled));
    world.event(Event::Milestone(Milestone::All));
    world.finish_all();
    assert_eq!(world.began(), ["start mid", "start leaf"]);
    world.event(Event::Milestone(Milestone::Nothing));
    world.finish_all();
    let stopped = world.began();
    let at = |name: &str| stopped.iter().position(|line| *line == format!("stop {name}")).unwrap();
    assert!(at("leaf") < at("mid") && at("mid").max(at("ms")) < at("base"), "{stopped:?}");
    assert_eq!(world.state("base"), State::Disabled);
}

#[test]
fn what_comes_later_is_inside_of_a_milestone_if_it_is_needed_there() {
    let mut world = World::new();
    world.event(Event::Milestone(Milestone::Instance(fmri("ms"))));
    world.add("ms", config(vec![needs(&["new"], Grouping::OptionalAll, RestartOn::None)]));
    world.finish_all();
    world.add("new", config(vec![]));
    world.add("other", config(vec![]));
    world.finish_all();
    assert_eq!((world.state("new"), world.state("other")), (State::Online, State::Disabled));
    world.add("ms", config(vec![]));
    world.finish_all();
    assert_eq!(world.state("new"), State::Disabled);
}

#[test]
fn services_that_undo_each_other_are_slowed_down() {
    let mut world = World::new();
    world.add("a", config(vec![]));
    world.add("b", config(vec![needs(&["a"], Grouping::RequireAll, RestartOn::Restart)]));
    world.finish_all();
    world.began();
    // What they run on is restarted again and again, each time as soon as they are up.
    for _ in 0..5 {
        world.event(Event::Restart(fmri("a")));
        world.finish_all();
        assert_eq!(world.state("b"), State::Online);
    }
    world.event(Event::Restart(fmri("a")));
    world.finish_all();
    assert_eq!((world.state("a"), world.state("b")), (State::Online, State::Offline));
    assert!(world.logs.iter().any(|line| line.starts_with("Stopped too often")));
    assert_eq!(world.auxiliary("b"), "dependencies_unsteady");
    world.now += 1000;
    world.event(Event::Tick);
    world.now += 1000;
    world.finish_all();
    assert_eq!(world.state("b"), State::Online);
    world.event(Event::Restart(fmri("a")));
    world.finish_all();
    assert_eq!(world.state("b"), State::Online, "it ran for a while");
}
