//! Checking a page table with all tables below it, and releasing one, step by step: both may take
//! long, so that they can stop anywhere and go on later.

use super::entry::Entry;
use super::page::{Dropped, Owner, Use};
use super::rules::{Error, Machine, Rules};
use super::shape::{PAE_LAST, Shape};

/// Entries of a table.
pub(super) const ENTRIES: u16 = 512;
/// So many tables below each other at most: one of each level, and one that another of its level
/// refers to.
const LEVELS: usize = 5;

/// A table on the way from the root to where the walk is.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    mfn: u64,
    kind: Use,
    /// The entry that is next.
    next: u16,
    /// Where it ends.
    end: u16,
    /// Entries are released, not checked.
    releases: bool,
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// To its end: the table is good, or released, or refused with all undone.
    Done(Result<(), Error>),
    /// It goes on when it is run again.
    Yielded,
}

/// A table being checked or released. The frames on the way are in nobody else's hands: they have
/// one use and are not valid.
#[derive(Debug, Default)]
pub struct Walk {
    steps: [Step; LEVELS],
    depth: usize,
    /// Whose tables they are, whoever goes on with the walk, how they may be cached, and what they
    /// look like.
    owner: Owner,
    caching: bool,
    shape: Shape,
    /// Somebody waits for what comes of it.
    is_check: bool,
    error: Option<Error>,
}

impl Walk {
    /// A walk that checks a table, whose use was just counted for the first time. If it fails, the
    /// use is undone and the reference that came with it dropped.
    pub fn check<M>(rules: &Rules<'_, M>, mfn: u64, kind: Use) -> Self {
        let mut walk = Self { is_check: true, ..Self::of(rules) };
        walk.push(Step { mfn, kind, next: 0, end: ENTRIES, releases: false });
        walk
    }

    /// A walk that releases a table, whose last use was dropped, and then the reference that came
    /// with that use.
    pub fn release<M>(rules: &Rules<'_, M>, mfn: u64, kind: Use) -> Self {
        let mut walk = Self::of(rules);
        walk.push(Step { mfn, kind, next: 0, end: ENTRIES, releases: true });
        walk
    }

    fn of<M>(rules: &Rules<'_, M>) -> Self {
        let &Rules { owner, caching, shape, .. } = rules;
        Self { owner, caching, shape, ..Self::default() }
    }

    /// Whether it has not ended.
    pub fn is_pending(&self) -> bool {
        self.depth > 0
    }

    /// Whether somebody waits for its check of that frame as a table of that kind.
    pub fn checks(&self, mfn: u64, kind: Use) -> bool {
        let Step { mfn: checked, kind: as_kind, .. } = self.steps[0];
        self.depth > 0 && self.is_check && (checked, as_kind) == (mfn, kind)
    }

    /// Nobody waits for the check any more: all is undone when it is run.
    pub fn cancel(&mut self) {
        if self.depth > 0 && self.is_check && self.error.is_none() {
            self.give_up(Error::Busy);
        }
        self.is_check = false;
    }

    fn push(&mut self, step: Step) {
        self.steps[self.depth] = step;
        self.depth += 1;
    }

    /// Goes on until the end, or until the machine wants something else done.
    pub fn run<M: Machine>(&mut self, rules: &Rules<'_, M>) -> Progress {
        let Self { owner, caching, shape, .. } = *self;
        let rules = &Rules { machine: rules.machine, owner, caching, shape };
        while self.depth > 0 {
            if self.steps[self.depth - 1].releases {
                self.release_some(rules);
            } else if let Err(error) = self.check_some(rules) {
                self.give_up(error);
            }
            if self.depth > 0 && rules.machine.should_yield() {
                return Progress::Yielded;
            }
        }
        Progress::Done(self.error.take().map_or(Ok(()), Err))
    }

    /// Everything that was checked so far is to be released.
    fn give_up(&mut self, error: Error) {
        self.error = Some(error);
        for step in &mut self.steps[..self.depth] {
            *step = Step { next: 0, end: step.next, releases: true, ..*step };
        }
    }

    /// Checks entries of the deepest table until it ends or a table below has to be checked first.
    fn check_some<M: Machine>(&mut self, rules: &Rules<'_, M>) -> Result<(), Error> {
        let depth = self.depth - 1;
        let Step { mfn, kind, next, .. } = self.steps[depth];
        let mut index = usize::from(next);
        loop {
            index = rules.machine.skip_zeros(mfn, index, ENTRIES.into());
            self.steps[depth].next = index as u16;
            if index == usize::from(ENTRIES) {
                break;
            }
            let entry = rules.machine.read(mfn, index);
            if entry.is_present() && !rules.shape.is_hypervisors(kind, index) {
                let adjusted = if kind == Use::L1 {
                    rules.hold(entry, rules.owner)?
                } else {
                    if !rules.shape.allows(entry, kind, false) {
                        return Err(Error::Invalid);
                    }
                    let below = rules.shape.below(kind, index);
                    if rules.is_linear((mfn, kind), entry) {
                        rules.hold_linear((mfn, kind), entry)?;
                    } else if rules.get(entry.mfn(), rules.owner, below)? {
                        let mfn = entry.mfn();
                        let child =
                            Step { mfn, kind: below, next: 0, end: ENTRIES, releases: false };
                        self.push(child);
                        return Ok(());
                    }
                    rules.shape.adjusted(entry, kind)
                };
                if adjusted != entry {
                    rules.machine.write(mfn, index, adjusted);
                }
            }
            index += 1;
        }
        let is_top = rules.shape == Shape::Pae && kind == Use::L3;
        if is_top && !rules.machine.read(mfn, PAE_LAST).is_present() {
            return Err(Error::Invalid);
        }
        self.finish_check(rules);
        Ok(())
    }

    /// The deepest table is good: it is one now, and the entry above that led to it is done.
    fn finish_check<M: Machine>(&mut self, rules: &Rules<'_, M>) {
        self.depth -= 1;
        let Step { mfn, kind, .. } = self.steps[self.depth];
        complete(rules, mfn, kind);
        if let Some(page) = rules.machine.page(mfn) {
            page.set_valid();
        }
        if self.depth == 0 {
            return;
        }
        let above = &mut self.steps[self.depth - 1];
        let index = usize::from(above.next);
        let entry = rules.machine.read(above.mfn, index);
        rules.machine.write(above.mfn, index, rules.shape.adjusted(entry, above.kind));
        above.next += 1;
    }

    /// Releases entries of the deepest table until it ends or a table below is to be released.
    fn release_some<M: Machine>(&mut self, rules: &Rules<'_, M>) {
        let depth = self.depth - 1;
        let Step { mfn, kind, next, end, .. } = self.steps[depth];
        let (mut next, end) = (usize::from(next), usize::from(end));
        loop {
            let index = rules.machine.skip_zeros(mfn, next, end);
            if index == end {
                break;
            }
            next = index + 1;
            self.steps[depth].next = next as u16;
            if rules.shape.is_hypervisors(kind, index) {
                continue;
            }
            let entry = rules.machine.read(mfn, index);
            if kind == Use::L1 {
                rules.release(entry);
            } else if entry.is_present()
                && let Some(counted) = rules.counted_as((mfn, kind), index, entry)
                && self.release_child(rules, entry, counted)
            {
                return;
            }
        }
        self.depth -= 1;
        let mfn = self.steps[self.depth].mfn;
        if let Some(page) = rules.machine.page(mfn) {
            page.finish_release(rules.machine.epochs(rules.owner));
        }
        rules.put_reference(mfn);
    }

    /// Drops a table's use by the table above; true if it is to be released itself.
    fn release_child<M: Machine>(&mut self, rules: &Rules<'_, M>, entry: Entry, kind: Use) -> bool {
        let mfn = entry.mfn();
        let is_last = rules.put(mfn, kind) == Dropped::Last;
        if is_last {
            self.push(Step { mfn, kind, next: 0, end: ENTRIES, releases: true });
        }
        is_last
    }
}

/// Gives a table that was found good the hypervisor's entries. The top table of a guest of 32 bits has
/// four; to the processor there are others, which lead nowhere.
fn complete<M: Machine>(rules: &Rules<'_, M>, mfn: u64, kind: Use) {
    match kind {
        Use::L4 | Use::LastL2 => rules.machine.complete(mfn, kind),
        Use::L3 if rules.shape == Shape::Pae => {
            (PAE_LAST + 1..ENTRIES.into()).for_each(|it| rules.machine.write(mfn, it, Entry(0)));
        }
        _ => (),
    }
}
