//! What is counted as a failure, for how long, and what comes of too many.

use super::*;

fn child() -> Config {
    Config { model: Model::Child, ..config(vec![]) }
}

fn tried_for_ever() -> Config {
    Config { retry: Some(Backoff { first: 1000, limit: 4000 }), ..config(vec![]) }
}

/// How long after the last event `a` is started, in steps of 100 ms.
fn pause(world: &mut World) -> u64 {
    let before = world.now;
    while !world.running.contains_key(&fmri("a")) {
        world.now += 100;
        world.event(Event::Tick);
        assert!(world.now < before + 60_000, "it is not started any more");
    }
    world.now - before
}

/// Starts child `a` over and over, which lives for `life` and ends like this; returns the pauses.
fn pauses(life: u64, reason: StopReason, times: usize) -> Vec<u64> {
    let mut world = World::new();
    world.add("a", child());
    let mut end = || {
        world.finish("a", Method::Start, Outcome::Ok);
        world.now += life;
        world.event(Event::Stopped(fmri("a"), reason));
        world.finish("a", Method::Stop, Outcome::Ok);
        let pause = pause(&mut world);
        assert_eq!(world.auxiliary("a"), "none");
        pause
    };
    (0..times).map(|_| end()).collect()
}

#[test]
fn a_child_that_fails_fast_is_started_once_a_second_and_one_that_succeeds_at_once() {
    assert_eq!(pauses(100, StopReason::Exited, 20), [0; 20]);
    let fast = pauses(100, StopReason::ExitedBadly, 12);
    assert_eq!(fast[..5], [0; 5]);
    assert_eq!(fast[5..], [900; 7]);
    // Five a second are not too many.
    assert_eq!(pauses(200, StopReason::ExitedBadly, 20), [0; 20]);
}

#[test]
fn what_is_tried_for_ever_waits_twice_as_long_each_time_up_to_the_limit() {
    let mut world = World::new();
    world.add("a", tried_for_ever());
    let outcomes = [Outcome::Failed, Outcome::Fatal, Outcome::Failed, Outcome::Failed];
    let waits = outcomes.map(|outcome| {
        world.fail_start("a", outcome);
        assert_eq!(
            (world.state("a"), world.auxiliary("a").as_str()),
            (State::Offline, "retry_pending")
        );
        pause(&mut world)
    });
    assert_eq!(waits, [1000, 2000, 4000, 4000]);
    assert!(world.logs.contains(&"Failed.  Trying again in 4 seconds.".to_owned()));
    // What has run for long begins anew, whatever it dies of, and however often.
    for _ in 0..10 {
        world.finish("a", Method::Start, Outcome::Ok);
        assert_eq!(world.auxiliary("a"), "none");
        world.now += 5000;
        world.event(Event::Stopped(fmri("a"), StopReason::Core));
        world.finish("a", Method::Stop, Outcome::Ok);
        assert_eq!(pause(&mut world), 1000);
    }
}

#[test]
fn who_enables_or_clears_need_not_wait_for_another_try() {
    let mut world = World::new();
    world.add("a", tried_for_ever());
    world.fail_start("a", Outcome::Fatal);
    world.add("a", Config { enabled: false, ..tried_for_ever() });
    assert_eq!((world.state("a"), world.auxiliary("a").as_str()), (State::Disabled, "none"));
    world.add("a", tried_for_ever());
    assert_eq!(pause(&mut world), 0);
}

/// Lets `xend` have three faults, then `event` at `store`, then a fourth fault, which is one too
/// many if the others are not forgotten.
fn after_three_faults(restart_on: RestartOn, event: Event) -> State {
    let mut world = World::new();
    world.add("store", config(vec![]));
    world.add("xend", config(vec![needs(&["store"], Grouping::RequireAll, restart_on)]));
    world.finish_all();
    for _ in 0..3 {
        world.event(Event::Stopped(fmri("xend"), StopReason::Core));
        world.finish_all();
    }
    world.began();
    world.event(event);
    world.finish_all();
    assert!(world.began().contains(&"stop xend".to_owned()));
    world.event(Event::Stopped(fmri("xend"), StopReason::Core));
    world.finish_all();
    world.state("xend")
}

#[test]
fn a_restart_below_forgets_faults_and_a_fault_below_does_not() {
    let store = fmri("store");
    let restart = after_three_faults(RestartOn::Restart, Event::Restart(store.clone()));
    assert_eq!(restart, State::Online);
    let fault = Event::Stopped(store, StopReason::Core);
    assert_eq!(after_three_faults(RestartOn::Restart, fault), State::Maintenance);
    let own = after_three_faults(RestartOn::None, Event::Restart(fmri("xend")));
    assert_eq!(own, State::Online);
}
