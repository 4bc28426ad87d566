//! A machine of vcpus that are busy, or sleep and wake, run by the clock.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::{Affinity, GROUPS, Id, Scheduler, Set, Settings, State};

const MS: u64 = 1_000_000;

/// Processors that obey the scheduler to the letter.
struct Machine {
    scheduler: Scheduler<usize>,
    now: u64,
    /// When each processor has to choose.
    until: Vec<u64>,
    running: Vec<Option<Id>>,
    ran: Vec<u64>,
}

impl Machine {
    fn new(processors: usize) -> Self {
        let mut scheduler = Scheduler::new();
        (0..processors).for_each(|number| scheduler.start(number, 0));
        let (until, running) = (vec![u64::MAX; processors], vec![None; processors]);
        Self { scheduler, now: 0, until, running, ran: Vec::new() }
    }

    fn add(&mut self, group: usize, settings: Settings) -> Id {
        let id = self.scheduler.add(self.ran.len(), group, self.now);
        self.scheduler.set_settings(group, settings, self.now);
        self.ran.push(0);
        id
    }

    fn ask(&mut self, processor: Option<usize>) {
        let mut asked = processor;
        while let Some(processor) = asked {
            let choice = self.scheduler.choose(processor, self.now);
            self.running[processor] = choice.run;
            self.until[processor] = choice.until;
            asked = choice.ask;
        }
    }

    fn wake(&mut self, id: Id) {
        let asked = self.scheduler.wake(id, self.now);
        self.ask(asked);
    }

    fn sleep(&mut self, id: Id) {
        let asked = self.scheduler.sleep(id, State::Blocked, self.now);
        self.ask(asked);
    }

    /// Lets time pass until then.
    fn run_until(&mut self, end: u64) {
        while self.now < end {
            let next = self.until.iter().copied().min().unwrap_or(end).min(end);
            assert!(next > self.now || next == end, "a processor that chooses without end");
            let next = next.max(self.now);
            for id in self.running.iter().flatten() {
                self.ran[*id] += next - self.now;
            }
            self.now = next;
            for processor in 0..self.until.len() {
                if self.until[processor] <= self.now {
                    self.ask(Some(processor));
                }
            }
        }
    }

    /// Nobody runs twice, or where it may not; nobody waits while a processor could run it.
    fn check(&self) {
        let mut running: Vec<Id> = self.running.iter().flatten().copied().collect();
        running.sort_unstable();
        running.dedup();
        assert_eq!(running.len(), self.running.iter().flatten().count(), "one runs twice");
        for (number, id) in self.running.iter().enumerate() {
            if let Some(id) = id {
                assert_eq!(self.scheduler.runs_on(*id), Some(number));
                assert!(self.scheduler.affinity(*id).hard.has(number));
            }
        }
        for (id, entity) in self.scheduler.ready() {
            // A group's cap may let it go on a moment before a processor looks.
            let is_idle = |number: &usize| {
                entity.affinity.hard.has(*number)
                    && self.running[*number].is_none()
                    && self.until[*number] > self.now + 2
            };
            let parked = self.scheduler.groups[entity.group].is_parked();
            let idle = (0..self.running.len()).find(is_idle);
            assert!(idle.is_none() || parked, "{id} waits, and {idle:?} is idle");
        }
    }
}

fn weight(weight: u16) -> Settings {
    Settings { weight, cap: 0 }
}

#[test]
fn six_share_two_processors_by_weight() {
    let weights = [128, 256, 256, 512, 512, 768];
    let mut machine = Machine::new(2);
    for (group, of) in weights.iter().enumerate() {
        let id = machine.add(group, weight(*of));
        machine.wake(id);
    }
    machine.run_until(10_000 * MS);
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    for (ran, weight) in machine.ran.iter().zip(weights) {
        let fair = 20_000 * MS * u64::from(weight) / total;
        assert!(ran.abs_diff(fair) * 20 < fair, "{ran} is not {fair}");
    }
}

#[test]
fn nobody_waits_for_what_cannot_be_used() {
    // The heavy one can have a processor at most; the others share what is left.
    let mut machine = Machine::new(2);
    let ids: Vec<Id> = [5000, 256, 256]
        .iter()
        .enumerate()
        .map(|(group, of)| machine.add(group, weight(*of)))
        .collect();
    ids.iter().for_each(|id| machine.wake(*id));
    machine.run_until(4000 * MS);
    assert!(machine.ran[0].abs_diff(4000 * MS) < 200 * MS, "{:?}", machine.ran);
    assert!(machine.ran[1].abs_diff(2000 * MS) < 100 * MS, "{:?}", machine.ran);
    // When all may only use one, it has what it weighs, not what it missed.
    for id in &ids {
        let affinity = Affinity { hard: Set(1), soft: Set::ALL };
        let asked = machine.scheduler.set_affinity(*id, affinity);
        machine.ask(asked);
    }
    machine.ran.fill(0);
    machine.run_until(machine.now + 8000 * MS);
    assert!(machine.ran[1] > 200 * MS, "{:?}", machine.ran);
}

#[test]
fn who_wakes_goes_first() {
    let mut machine = Machine::new(2);
    for group in 0..6 {
        let id = machine.add(group, weight(256));
        machine.wake(id);
    }
    let idle = machine.add(7, weight(256));
    for round in 10..200 {
        machine.run_until(round * 20 * MS);
        machine.wake(idle);
        let woke = machine.now;
        while !machine.running.contains(&Some(idle)) {
            assert!(machine.now < woke + 2 * MS, "it waits since {woke}");
            machine.run_until(machine.now + MS / 10);
        }
        machine.run_until(machine.now + MS / 2);
        machine.sleep(idle);
    }
}

#[test]
fn who_sleeps_saves_nothing_up() {
    let mut machine = Machine::new(1);
    let (busy, other) = (machine.add(0, weight(256)), machine.add(1, weight(256)));
    machine.wake(busy);
    machine.run_until(5000 * MS);
    machine.wake(other);
    machine.ran.fill(0);
    machine.run_until(5100 * MS);
    assert!(machine.ran[busy] > 30 * MS, "{:?}", machine.ran);
}

#[test]
fn caps_are_kept() {
    for (cap, vcpus, most) in [(25, 1, 250), (50, 2, 500), (150, 2, 1500), (0, 2, 2000)] {
        let mut machine = Machine::new(2);
        let ids: Vec<Id> =
            (0..vcpus).map(|_| machine.add(3, Settings { weight: 256, cap })).collect();
        ids.iter().for_each(|id| machine.wake(*id));
        machine.run_until(4000 * MS);
        let ran = machine.ran.iter().sum::<u64>() / 4;
        assert!(ran.abs_diff(most * MS) * 20 <= most * MS, "cap {cap}: {ran}");
    }
}

#[test]
fn who_yields_lets_others_run() {
    let mut machine = Machine::new(1);
    let (one, other) = (machine.add(0, weight(256)), machine.add(1, weight(256)));
    machine.wake(one);
    machine.wake(other);
    for _ in 0..10 {
        let running = machine.running[0].unwrap();
        machine.scheduler.give_way(running);
        machine.ask(Some(0));
        assert_ne!(machine.running[0], Some(running));
        machine.run_until(machine.now + MS / 10);
    }
    machine.sleep(other);
    machine.scheduler.give_way(one);
    machine.ask(Some(0));
    assert_eq!(machine.running[0], Some(one));
}

#[test]
fn times_add_up() {
    let mut machine = Machine::new(1);
    let (one, other) = (machine.add(0, weight(256)), machine.add(0, weight(256)));
    machine.wake(one);
    machine.wake(other);
    machine.run_until(100 * MS);
    machine.sleep(one);
    machine.run_until(250 * MS);
    for id in [one, other] {
        let account = machine.scheduler.account(id, machine.now);
        assert_eq!(account.times.iter().sum::<u64>(), 250 * MS);
        assert_eq!(account.times[State::Running as usize], machine.ran[id]);
    }
    assert_eq!(machine.scheduler.account(one, machine.now).state, State::Blocked);
    machine.sleep(other);
    machine.run_until(260 * MS);
    assert_eq!(machine.scheduler.idle(0, machine.now), 10 * MS);
}

#[test]
fn a_cap_that_is_refilled_elsewhere_is_noticed() {
    let mut machine = Machine::new(3);
    for id in 0..8 {
        machine.add(id % 4, Settings::USUAL);
    }
    let set = |machine: &mut Machine, group, settings| {
        machine.scheduler.set_settings(group, settings, machine.now);
        (0..3).for_each(|processor| machine.ask(Some(processor)));
        machine.check();
    };
    set(&mut machine, 3, Settings { weight: 1, cap: 1 });
    machine.wake(6);
    machine.check();
    set(&mut machine, 1, weight(2478));
    machine.run_until(8_099_272);
    machine.check();
    machine.wake(3);
    machine.check();
    machine.wake(1);
    machine.check();
    machine.run_until(10_000_001);
    machine.check();
}

#[derive(Debug, Clone)]
enum Step {
    Wake(usize),
    Sleep(usize),
    Yield(usize),
    Pin(usize, u64),
    Weigh(usize, Settings),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let settings = (1_u16.., prop_oneof![3 => Just(0), 1 => 1_u16..300]);
    let settings = settings.prop_map(|(weight, cap)| Settings { weight, cap });
    prop_oneof![
        4 => (0_usize..8).prop_map(Step::Wake),
        4 => (0_usize..8).prop_map(Step::Sleep),
        1 => (0_usize..8).prop_map(Step::Yield),
        1 => (0_usize..8, 1_u64..8).prop_map(|(id, set)| Step::Pin(id, set)),
        1 => (0_usize..4, settings).prop_map(|(group, settings)| Step::Weigh(group, settings)),
        6 => (1_u64..40 * MS).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens, who may run does so where it may, or somebody else does; no wake-up is
    /// lost, and nobody is forgotten for good.
    #[test]
    fn nobody_is_forgotten(steps in proptest::collection::vec(step(), 1..100)) {
        let mut machine = Machine::new(3);
        for id in 0..8 {
            machine.add(id % 4, Settings::USUAL);
        }
        for step in steps {
            match step {
                Step::Wake(id) => machine.wake(id),
                Step::Sleep(id) => machine.sleep(id),
                Step::Yield(id) => {
                    machine.scheduler.give_way(id);
                    let processor = machine.scheduler.runs_on(id);
                    machine.ask(processor);
                }
                Step::Pin(id, set) => {
                    let affinity = Affinity { hard: Set(set), soft: Set::ALL };
                    let asked = machine.scheduler.set_affinity(id, affinity);
                    machine.ask(asked);
                }
                Step::Weigh(group, settings) => {
                    machine.scheduler.set_settings(group, settings, machine.now);
                    (0..3).for_each(|processor| machine.ask(Some(processor)));
                }
                Step::Pass(time) => machine.run_until(machine.now + time),
            }
            machine.check();
        }
        // Everybody is awake, without caps and with weights that aren't too far apart: each runs.
        for group in 0..4 {
            machine.scheduler.set_settings(group, Settings::USUAL, machine.now);
        }
        (0..8).for_each(|id| machine.wake(id));
        (0..3).for_each(|processor| machine.ask(Some(processor)));
        machine.ran.fill(0);
        machine.run_until(machine.now + 10_000 * MS);
        machine.check();
        prop_assert!(machine.ran.iter().all(|ran| *ran > 0), "{:?}", machine.ran);
    }

    /// Shares are as weights, whatever the weights, when each can have what it weighs.
    #[test]
    fn shares_are_as_weights(weights in proptest::collection::vec(64_u16..1024, 6)) {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        prop_assume!(weights.iter().all(|weight| u64::from(*weight) * 2 < total));
        let mut machine = Machine::new(2);
        for (group, of) in weights.iter().enumerate() {
            let id = machine.add(GROUPS - 1 - group, weight(*of));
            machine.wake(id);
        }
        machine.run_until(10_000 * MS);
        for (ran, weight) in machine.ran.iter().zip(weights) {
            let fair = 20_000 * MS * u64::from(weight) / total;
            prop_assert!(ran.abs_diff(fair) * 20 < fair, "{} is not {}", ran, fair);
        }
    }
}
