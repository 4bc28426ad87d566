//! Which vcpu runs where: a fair scheduler with weights and caps, as pure logic.
//!
//! Each vcpu has a virtual time, which passes the faster the less its domain weighs; the one whose
//! time is the earliest runs. Who was asleep is set at most a bit before those that wait, so that
//! it goes first when it wakes, and can't save up what it didn't use. Virtual time is the credit
//! that Xen's tools speak of.

mod group;
mod set;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use group::Group;
pub use group::Settings;
pub use set::Set;

/// How long a vcpu runs before others have their turn, in nanoseconds.
const SLICE: u64 = 10_000_000;
/// How long it runs at least before one that woke goes first.
const LEAST: u64 = 1_000_000;
/// How far before those that wait one that woke is set, in virtual nanoseconds.
const BOOST: u64 = 5_000_000;
/// How far from those that wait one can be, in nanoseconds of its own: who has more than its weight's
/// worth of processors doesn't save up, and who had them alone doesn't pay for it later.
const LAG: u64 = 50_000_000;
/// How many groups there are.
pub const GROUPS: usize = 256;

/// A vcpu's place in the scheduler.
pub type Id = usize;

/// What a vcpu does (RUNSTATE_*, vcpu.h, in this order).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It could.
    Ready,
    /// It waits for an event.
    Blocked,
    /// It is down, or its domain is paused.
    Offline,
}

/// What a vcpu did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// What it does now.
    pub state: State,
    /// Since when.
    pub since: u64,
    /// How long it did each, until now.
    pub times: [u64; 4],
    /// How long of that it does what it does now.
    pub current: u64,
    /// Where it runs, or ran last.
    pub processor: usize,
}

/// Who may run on which processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affinity {
    /// Nowhere else.
    pub hard: Set,
    /// Rather there.
    pub soft: Set,
}

impl Default for Affinity {
    fn default() -> Self {
        Self { hard: Set::ALL, soft: Set::ALL }
    }
}

/// What a processor does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Who runs; nobody if there is nobody.
    pub run: Option<Id>,
    /// When the processor has to choose again; `u64::MAX` is when somebody says so.
    pub until: u64,
    /// A processor that has to choose now.
    pub ask: Option<usize>,
}

struct Entity<T> {
    vcpu: T,
    group: usize,
    state: State,
    since: u64,
    times: [u64; 4],
    virtual_time: u64,
    affinity: Affinity,
    /// Where it runs or ran last.
    processor: usize,
    /// Others go first, once.
    yields: bool,
}

#[derive(Clone, Copy, Default)]
struct Processor {
    running: Option<Id>,
    /// When the one that runs was chosen, and until when it was accounted for.
    chosen: u64,
    charged: u64,
    /// When it chooses again.
    until: u64,
    idle: u64,
}

/// All vcpus and processors; `T` is what the caller knows a vcpu by.
pub struct Scheduler<T> {
    entities: Vec<Option<Entity<T>>>,
    groups: [Group; GROUPS],
    processors: [Processor; Set::SIZE],
    online: Set,
    /// Those that run somebody.
    busy: Set,
    /// Some group has a cap.
    has_caps: bool,
    slice: u64,
    least: u64,
}

impl<T> Default for Scheduler<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Scheduler<T> {
    /// Nobody, nowhere.
    pub const fn new() -> Self {
        const OFF: Processor =
            Processor { running: None, chosen: 0, charged: 0, until: u64::MAX, idle: 0 };
        Self {
            entities: Vec::new(),
            groups: [const { Group::new() }; GROUPS],
            processors: [OFF; Set::SIZE],
            online: Set(0),
            busy: Set(0),
            has_caps: false,
            slice: SLICE,
            least: LEAST,
        }
    }

    /// A processor runs vcpus from now on.
    pub fn start(&mut self, processor: usize, now: u64) {
        self.processors[processor] =
            Processor { charged: now, until: u64::MAX, ..Processor::default() };
        self.online.set(processor, true);
    }

    /// Adds a vcpu, which is offline. `vcpu` is what the caller knows it by; a group's first has
    /// the usual settings.
    pub fn add(&mut self, vcpu: T, group: usize, now: u64) -> Id {
        if self.groups[group].members == 0 {
            self.groups[group] = Group::new();
        }
        self.groups[group].members += 1;
        let entity = Entity {
            vcpu,
            group,
            state: State::Offline,
            since: now,
            times: [0; 4],
            virtual_time: 0,
            affinity: Affinity::default(),
            processor: 0,
            yields: false,
        };
        match self.entities.iter().position(Option::is_none) {
            Some(place) => {
                self.entities[place] = Some(entity);
                place
            }
            None => {
                self.entities.push(Some(entity));
                self.entities.len() - 1
            }
        }
    }

    /// Removes a vcpu, which doesn't run.
    pub fn remove(&mut self, id: Id) {
        if let Some(entity) = self.entities[id].take() {
            debug_assert!(entity.state != State::Running);
            self.groups[entity.group].members -= 1;
        }
    }

    /// What the caller knows a vcpu by.
    pub fn vcpu(&self, id: Id) -> &T {
        &self.entity(id).vcpu
    }

    fn entity(&self, id: Id) -> &Entity<T> {
        self.entities[id].as_ref().expect("a vcpu has its place until it is removed")
    }

    fn entity_mut(&mut self, id: Id) -> &mut Entity<T> {
        self.entities[id].as_mut().expect("a vcpu has its place until it is removed")
    }

    fn set_state(&mut self, id: Id, state: State, now: u64) {
        let entity = self.entity_mut(id);
        entity.times[entity.state as usize] += now.saturating_sub(entity.since);
        (entity.state, entity.since) = (state, now.max(entity.since));
    }

    fn all(&self) -> impl Iterator<Item = (Id, &Entity<T>)> {
        let places = self.entities.iter().enumerate();
        places.filter_map(|(id, entity)| entity.as_ref().map(|entity| (id, entity)))
    }

    fn ready(&self) -> impl Iterator<Item = (Id, &Entity<T>)> {
        self.all().filter(|(_, entity)| entity.state == State::Ready)
    }

    /// The earliest virtual time of those that run or wait.
    fn earliest(&self) -> Option<u64> {
        let is_up = |entity: &Entity<T>| matches!(entity.state, State::Running | State::Ready);
        self.all().filter(|(_, it)| is_up(it)).map(|(_, entity)| entity.virtual_time).min()
    }

    /// Has a vcpu run, as soon as it is its turn; a processor that has to choose now.
    pub fn wake(&mut self, id: Id, now: u64) -> Option<usize> {
        if matches!(self.entity(id).state, State::Running | State::Ready) {
            return None;
        }
        self.busy.iter().for_each(|processor| self.charge(processor, now));
        let earliest = self.earliest().map_or(0, |earliest| earliest.saturating_sub(BOOST));
        let entity = self.entity_mut(id);
        entity.virtual_time = entity.virtual_time.max(earliest);
        // One that was about to sleep on its processor goes on there.
        let here = entity.processor;
        if self.processors[here].running == Some(id) {
            self.set_state(id, State::Running, now);
            return None;
        }
        self.set_state(id, State::Ready, now);
        self.place_for(id)
    }

    /// The processor that should look at one that waits.
    fn place_for(&self, id: Id) -> Option<usize> {
        let entity = self.entity(id);
        let allowed = self.online.and(entity.affinity.hard);
        let idle = allowed.without(self.busy);
        if idle.has(entity.processor) {
            return Some(entity.processor);
        }
        let idle = idle.and(entity.affinity.soft).first().or(idle.first());
        if idle.is_some() {
            return idle;
        }
        let time = |number: &usize| {
            let running = self.processors[*number].running?;
            Some(self.entity(running).virtual_time)
        };
        let latest = allowed.iter().max_by_key(time)?;
        let is_later = time(&latest)? > entity.virtual_time;
        // Who runs alone has no time set at which others have their turn.
        let alone = || allowed.iter().find(|number| self.processors[*number].until == u64::MAX);
        if is_later { Some(latest) } else { alone() }
    }

    fn is_through(&self, processor: usize, now: u64) -> bool {
        now.saturating_sub(self.processors[processor].chosen) >= self.slice
    }

    /// Has a vcpu not run any more; the processor that has to choose, if it runs.
    pub fn sleep(&mut self, id: Id, state: State, now: u64) -> Option<usize> {
        debug_assert!(matches!(state, State::Blocked | State::Offline));
        let (processor, old) = (self.entity(id).processor, self.entity(id).state);
        let runs = self.processors[processor].running == Some(id);
        if runs && old == State::Running {
            self.charge(processor, now);
        }
        if old != state {
            self.set_state(id, state, now);
        }
        runs.then_some(processor)
    }

    /// Where a vcpu runs, if it does, or is about to stop.
    pub fn runs_on(&self, id: Id) -> Option<usize> {
        let processor = self.entity(id).processor;
        (self.processors[processor].running == Some(id)).then_some(processor)
    }

    /// Lets others run first, once.
    pub fn give_way(&mut self, id: Id) {
        self.entity_mut(id).yields = true;
    }

    /// Counts the time that passed on a processor.
    fn charge(&mut self, processor: usize, now: u64) {
        let it = &mut self.processors[processor];
        let passed = now.saturating_sub(it.charged);
        it.charged = now.max(it.charged);
        let Some(id) = it.running else {
            it.idle += passed;
            return;
        };
        let virtually = self.virtually(self.entity(id), passed);
        let group = self.entity(id).group;
        self.groups[group].spend(passed);
        self.entity_mut(id).virtual_time += virtually;
        self.stay_near(id);
    }

    /// How much virtual time passes for a vcpu.
    fn virtually(&self, entity: &Entity<T>, passed: u64) -> u64 {
        self.groups[entity.group].virtually(passed)
    }

    /// Keeps a vcpu's time near that of those that wait.
    fn stay_near(&mut self, id: Id) {
        let others = self.ready().filter(|(other, _)| *other != id);
        let Some((_, first)) = others.min_by_key(|(_, entity)| entity.virtual_time) else { return };
        let earliest = first.virtual_time;
        let far = self.virtually(self.entity(id), LAG) + self.virtually(first, self.slice);
        let entity = self.entity_mut(id);
        let least = earliest.saturating_sub(far);
        entity.virtual_time = entity.virtual_time.clamp(least, earliest + far);
    }

    /// Chooses who runs on a processor. Who ran there waits from now on, if it isn't asleep.
    pub fn choose(&mut self, processor: usize, now: u64) -> Choice {
        self.charge(processor, now);
        if self.has_caps {
            let groups = &mut self.groups;
            self.entities.iter().flatten().for_each(|entity| groups[entity.group].refill(now));
        }
        let old = self.processors[processor].running.take();
        if let Some(old) = old.filter(|old| self.entity(*old).state == State::Running) {
            self.set_state(old, State::Ready, now);
        }
        let run = self.best(processor, old, now);
        if let Some(run) = run {
            self.set_state(run, State::Running, now);
            let entity = self.entity_mut(run);
            (entity.processor, entity.yields) = (processor, false);
        }
        let is_new = run != old || self.is_through(processor, now);
        let it = &mut self.processors[processor];
        it.running = run;
        if is_new {
            it.chosen = now;
        }
        self.busy.set(processor, run.is_some());
        let until = self.until(processor, now);
        self.processors[processor].until = until;
        let left = old.filter(|old| self.entity(*old).state == State::Ready && run != Some(*old));
        let ask = self.idle_for_unparked().or_else(|| self.place_for(left?));
        Choice { run, until, ask: ask.filter(|ask| *ask != processor) }
    }

    /// An idle processor for one that waits: a group goes on when any processor sees that its cap
    /// lets it, which may be one that has somebody better to run.
    fn idle_for_unparked(&self) -> Option<usize> {
        let idle = self.online.without(self.busy);
        if !self.has_caps {
            return None;
        }
        let waiting = self.ready().filter(|(_, entity)| !self.groups[entity.group].is_parked());
        waiting.filter_map(|(_, entity)| idle.and(entity.affinity.hard).first()).next()
    }

    /// Who of those that wait has the earliest time.
    fn best(&mut self, processor: usize, old: Option<Id>, now: u64) -> Option<Id> {
        let may = |entity: &Entity<T>| {
            entity.affinity.hard.has(processor) && !self.groups[entity.group].is_parked()
        };
        let key = |(id, entity): &(Id, &Entity<T>)| {
            // One that yields goes last; among equals the one that ran goes on.
            (entity.yields && old == Some(*id), entity.virtual_time, old != Some(*id))
        };
        let best = self.ready().filter(|(_, entity)| may(entity)).min_by_key(key)?.0;
        // One that was chosen a moment ago stays, but for those that are to go first.
        let stays = old.filter(|old| {
            let old = self.entity(*old);
            let ran = now.saturating_sub(self.processors[processor].chosen);
            old.state == State::Ready && may(old) && !old.yields && ran < self.least
        });
        Some(stays.unwrap_or(best))
    }

    /// When a processor has to choose again.
    fn until(&self, processor: usize, now: u64) -> u64 {
        let it = &self.processors[processor];
        let mut until = u64::MAX;
        let mut others = false;
        let mut earlier = false;
        let running = it.running.map(|id| self.entity(id));
        for (_, entity) in self.ready().filter(|(_, entity)| entity.affinity.hard.has(processor)) {
            match self.groups[entity.group].parked_until(now) {
                Some(time) => until = until.min(time),
                None => {
                    others = true;
                    earlier |= running.is_some_and(|it| entity.virtual_time < it.virtual_time);
                }
            }
        }
        if let Some(running) = running {
            let sharers = self.busy.iter().filter_map(|number| self.processors[number].running);
            let sharers = sharers.filter(|id| self.entity(*id).group == running.group).count();
            if let Some(rest) = self.groups[running.group].rest() {
                until = until.min(now + (rest / sharers.max(1) as u64).max(self.least / 10));
            }
            let ends = it.chosen + if earlier { self.least } else { self.slice };
            if others {
                until = until.min(ends.max(now + self.least / 10));
            }
        }
        until
    }

    /// What a vcpu did so far.
    pub fn account(&self, id: Id, now: u64) -> Account {
        let entity = self.entity(id);
        let Entity { state, since, mut times, processor, .. } = *entity;
        let current = now.saturating_sub(since);
        times[state as usize] += current;
        Account { state, since, times, current, processor }
    }

    /// How long a processor had nothing to do so far.
    pub fn idle(&self, processor: usize, now: u64) -> u64 {
        let it = &self.processors[processor];
        let is_idle = self.online.has(processor) && it.running.is_none();
        it.idle + if is_idle { now.saturating_sub(it.charged) } else { 0 }
    }

    /// The processors that run vcpus.
    pub fn online(&self) -> Set {
        self.online
    }

    /// Where a vcpu may run.
    pub fn affinity(&self, id: Id) -> Affinity {
        self.entity(id).affinity
    }

    /// Says where a vcpu may run, which is somewhere; a processor that has to choose now.
    pub fn set_affinity(&mut self, id: Id, affinity: Affinity) -> Option<usize> {
        self.entity_mut(id).affinity = affinity;
        self.stay_near(id);
        match (self.entity(id).state, self.runs_on(id)) {
            (_, Some(processor)) => (!affinity.hard.has(processor)).then_some(processor),
            (State::Ready, None) => self.place_for(id),
            _ => None,
        }
    }

    /// How much a group may use.
    pub fn settings(&self, group: usize) -> Settings {
        self.groups[group].settings
    }

    /// Says how much a group may use.
    pub fn set_settings(&mut self, group: usize, settings: Settings, now: u64) {
        self.groups[group].set(settings, now);
        for id in 0..self.entities.len() {
            if self.entities[id].as_ref().is_some_and(|entity| entity.group == group) {
                self.stay_near(id);
            }
        }
        self.has_caps = self.groups.iter().any(|group| group.settings.cap != 0);
    }

    /// How long a vcpu runs before others have their turn, and how long at least, in nanoseconds.
    pub fn slices(&self) -> (u64, u64) {
        (self.slice, self.least)
    }

    /// Sets those.
    pub fn set_slices(&mut self, slice: u64, least: u64) {
        (self.slice, self.least) = (slice, least);
    }
}
