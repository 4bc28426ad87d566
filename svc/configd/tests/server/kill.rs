//! SIGKILL at any moment: no committed change is lost, none is made by half.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::fixture::{Configd, fmri, set};
use svc::repo::{Change, View};
use svc::value::PropType;

const KILLS: u32 = 320;

/// A small generator, so that every run kills at other moments without a crate for it.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// One commit to both databases: `a`, `b` and the nonpersistent `live` are always equal.
fn step(value: u64) -> Vec<Change> {
    let mut changes = set(&[("a", value), ("b", value)]);
    changes.extend(live("live", value));
    changes
}

/// Sets a nonpersistent property.
fn live(prop: &str, value: u64) -> [Change; 2] {
    let group = Change::AddPg {
        fmri: fmri("svc:/test:x"),
        pg: "state".into(),
        ty: "framework".into(),
        persistent: false,
    };
    let property = Change::SetProp {
        fmri: fmri("svc:/test:x"),
        pg: "state".into(),
        prop: prop.into(),
        ty: PropType::Count,
        values: vec![value.to_string()],
    };
    [group, property]
}

#[test]
fn committed_changes_survive_and_are_whole() {
    let mut configd = Configd::start();
    configd.repo().commit(step(0)).unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (repo, acknowledged, done) = (configd.repo(), acknowledged.clone(), done.clone());
        move || {
            for value in 1.. {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                repo.commit(step(value)).expect("the client outlives the server");
                acknowledged.store(value, Ordering::SeqCst);
            }
        }
    });
    let mut random = u64::from(std::process::id()) | 1 << 40;
    for _ in 0..KILLS {
        thread::sleep(Duration::from_micros(next_random(&mut random) % 15_000));
        let promised = acknowledged.load(Ordering::SeqCst);
        configd.kill();
        configd.start_again();
        let groups = configd.repo().pgs(&fmri("svc:/test:x"), &View::Direct).unwrap();
        let read = |pg: &str, prop: &str| groups[pg].get(prop).unwrap().as_count().unwrap();
        let values = [read("config", "a"), read("config", "b"), read("state", "live")];
        assert!(values.iter().all(|&value| value == values[0]), "half a commit: {values:?}");
        assert!(values[0] >= promised, "promised {promised}, found {}", values[0]);
    }
    done.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    assert!(acknowledged.load(Ordering::SeqCst) > u64::from(KILLS), "the writer made progress");
}

#[test]
fn a_waiting_client_hears_of_a_change_made_after_a_kill() {
    let mut configd = Configd::start();
    let generation = configd.repo().commit(set(&[("a", 1)])).unwrap();
    let waiter = thread::spawn({
        let repo = configd.repo();
        move || repo.changes_since(generation, None).unwrap()
    });
    thread::sleep(Duration::from_millis(50));
    configd.kill();
    configd.start_again();
    let after = configd.repo().commit(set(&[("a", 2)])).unwrap();
    let (seen, changed) = waiter.join().unwrap();
    assert_eq!(seen, after);
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].pg.as_deref(), Some("config"));
}

/// Commits of several clients at a time are made durable together; each is kept or lost by itself.
#[test]
fn of_many_writers_none_loses_what_was_promised() {
    const WRITERS: usize = 6;
    let mut configd = Configd::start();
    configd.repo().commit(set(&[("start", 0)])).unwrap();
    let promised: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let done = Arc::new(AtomicBool::new(false));
    let write = |number: usize| {
        let (repo, promised, done) = (configd.repo(), promised.clone(), done.clone());
        thread::spawn(move || {
            for value in 1.. {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                let [a, b] = ["a", "b"].map(|half| format!("{half}{number}"));
                let mut changes = set(&[(&a, value), (&b, value)]);
                if number.is_multiple_of(2) {
                    changes.extend(live(&format!("live{number}"), value));
                }
                repo.commit(changes).expect("the client outlives the server");
                promised[number].store(value, Ordering::SeqCst);
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    let mut random = u64::from(std::process::id()) | 1 << 41;
    for _ in 0..KILLS / 4 {
        thread::sleep(Duration::from_micros(next_random(&mut random) % 25_000));
        let before: Vec<u64> = promised.iter().map(|one| one.load(Ordering::SeqCst)).collect();
        configd.kill();
        configd.start_again();
        let groups = configd.repo().pgs(&fmri("svc:/test:x"), &View::Direct).unwrap();
        let read = |pg: &str, prop: String| {
            groups.get(pg).and_then(|group| group.get(&prop)?.as_count()).unwrap_or(0)
        };
        for (number, promised) in before.iter().enumerate() {
            let value = read("config", format!("a{number}"));
            assert_eq!(read("config", format!("b{number}")), value, "half a commit");
            if number.is_multiple_of(2) {
                assert_eq!(read("state", format!("live{number}")), value, "half a commit");
            }
            assert!(value >= *promised, "promised {promised}, found {value}");
        }
    }
    done.store(true, Ordering::SeqCst);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(promised.iter().all(|one| one.load(Ordering::SeqCst) > 0), "all made progress");
}
