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
