//! Changes of tables that are in use, and of what keeps whole tables in use.

use super::entry::Entry;
use super::linear::Place;
use super::page::{Dropped, Owner, Page, Use};
use super::rules::{Error, Machine, Rules};
use super::shape::{PAE_LAST, Shape};
use super::walk::{Progress, Walk};

/// Whether a call is over, or has to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is over.
    Done,
    /// It takes long: make the same call again, with the same walk.
    Again,
}

impl<M: Machine> Rules<'_, M> {
    /// Finishes what an earlier call left to do. A check that was not gone on with is undone: what it
    /// counted would be nobody's.
    pub fn settle(&self, walk: &mut Walk) -> Outcome {
        walk.cancel();
        match walk.is_pending() && walk.run(self) == Progress::Yielded {
            true => Outcome::Again,
            false => Outcome::Done,
        }
    }

    /// Counts a reference and a use of one of the domain's tables, which is checked if need be.
    pub fn get_table(&self, mfn: u64, kind: Use, walk: &mut Walk) -> Result<Outcome, Error> {
        let page = self.machine.page(mfn);
        if !walk.is_pending() && page.is_some_and(|page| page.count(self.owner, kind)) {
            return Ok(Outcome::Done);
        }
        if !walk.checks(mfn, kind) {
            if self.settle(walk) == Outcome::Again {
                return Ok(Outcome::Again);
            }
            if kind.level() > self.shape.top().level() {
                return Err(Error::Invalid);
            }
            if !self.get(mfn, self.owner, kind)? {
                return Ok(Outcome::Done);
            }
            *walk = Walk::check(self, mfn, kind);
        }
        match walk.run(self) {
            Progress::Yielded => Ok(Outcome::Again),
            Progress::Done(result) => result.map(|()| Outcome::Done),
        }
    }

    /// Drops a use and a reference of a table. What is left to do is in the walk, which was settled
    /// before: what it had to do would be lost.
    pub fn put_table(&self, mfn: u64, kind: Use, walk: &mut Walk) {
        debug_assert!(!walk.is_pending());
        if self.put(mfn, kind) == Dropped::Last {
            *walk = Walk::release(self, mfn, kind);
            let _ = walk.run(self);
        }
    }

    /// Changes an entry of a table of level 1 into one that maps a frame of domain `from`, or
    /// nothing. Gives what it was.
    pub fn update_mapping(
        &self,
        mfn: u64,
        index: usize,
        from: Owner,
        change: impl Fn(Entry) -> Entry,
    ) -> Result<Entry, Error> {
        loop {
            let old = self.machine.read(mfn, index);
            if self.replace((mfn, index), old, change(old), from)? {
                return Ok(old);
            }
        }
    }

    /// Replaces an entry of level 1; false if it is another by now. That there is a page where none
    /// was, and none where one was, is most of what a kernel does with its tables.
    #[inline]
    fn replace(
        &self,
        (mfn, index): (u64, usize),
        old: Entry,
        new: Entry,
        from: Owner,
    ) -> Result<bool, Error> {
        if !new.is_present() {
            let is_done = self.machine.exchange(mfn, index, old, new);
            if is_done && old.is_present() {
                self.release(old);
            }
            return Ok(is_done);
        }
        if old.is_present() {
            return self.remap((mfn, index), old, new, from);
        }
        let held = self.hold(new, from)?;
        let is_done = self.machine.exchange(mfn, index, old, held);
        if !is_done {
            self.release(held);
        }
        Ok(is_done)
    }

    /// Replaces an entry that maps a page by one that does; false if it is another by now.
    #[inline(never)]
    fn remap(
        &self,
        (mfn, index): (u64, usize),
        old: Entry,
        new: Entry,
        from: Owner,
    ) -> Result<bool, Error> {
        if old.holds_the_same(new) || self.is_right(old, new, from) {
            if !self.shape.allows(new, Use::L1, self.caching) {
                return Err(Error::Invalid);
            }
            return self.change_flags(mfn, index, old, new);
        }
        let held = self.hold(new, from)?;
        let is_done = self.machine.exchange(mfn, index, old, held);
        self.release(if is_done { old } else { held });
        Ok(is_done)
    }

    /// Whether all that changes is whether the domain may write to a frame of its own.
    fn is_right(&self, old: Entry, new: Entry, from: Owner) -> bool {
        let owner = |mfn| self.machine.page(mfn).and_then(Page::owner);
        old.differs_in_writing(new) && from == self.owner && owner(old.mfn()) == Some(from)
    }

    /// Replaces an entry by another of the same frame; false if it is another by now.
    fn change_flags(&self, mfn: u64, index: usize, old: Entry, new: Entry) -> Result<bool, Error> {
        let [had, has] = [old, new].map(Entry::is_writable);
        if has && !had {
            self.change_right(new.mfn(), true)?;
        }
        let adjusted = self.shape.adjusted(new, Use::L1);
        let is_done = self.machine.exchange(mfn, index, old, adjusted);
        // The right is dropped that it has no more, or did not get.
        if had != has && had == is_done {
            self.change_right(new.mfn(), false)?;
        }
        Ok(is_done)
    }

    /// Replaces an entry of a table of level 2 to 4.
    pub fn update_table(
        &self,
        (mfn, kind): Place,
        index: usize,
        new: Entry,
        walk: &mut Walk,
    ) -> Result<Outcome, Error> {
        // The last GiB of 32 bits is there as long as its table, and the hypervisor's part in it.
        let is_last = self.shape == Shape::Pae && (kind, index) == (Use::L3, PAE_LAST);
        if is_last || self.shape.is_hypervisors(kind, index) {
            return Err(Error::Invalid);
        }
        let below = self.shape.below(kind, index);
        let old = self.machine.read(mfn, index);
        if new.is_present() {
            if !self.shape.allows(new, kind, false) {
                return Err(Error::Invalid);
            }
            if old.is_present() && old.holds_the_same(new) {
                self.machine.write(mfn, index, self.shape.adjusted(new, kind));
                return Ok(Outcome::Done);
            }
            let held = match self.is_linear((mfn, kind), new) {
                true => self.get_linear((mfn, kind), new, walk)?,
                false => self.get_table(new.mfn(), below, walk)?,
            };
            if held == Outcome::Again {
                return Ok(Outcome::Again);
            }
        } else if self.settle(walk) == Outcome::Again {
            return Ok(Outcome::Again);
        }
        // What an earlier call had left may have been what the table was used by: it can be anything
        // by now. The caller looks again.
        let page = self.machine.page(mfn);
        if !page.is_some_and(|page| page.is_table_of(kind, self.owner)) {
            if new.is_present() {
                self.put_entry((mfn, kind), index, new, walk);
            }
            return Err(Error::Busy);
        }
        let old = self.machine.read(mfn, index);
        self.machine.write(mfn, index, self.shape.adjusted(new, kind));
        if old.is_present() {
            self.put_entry((mfn, kind), index, old, walk);
        }
        Ok(Outcome::Done)
    }

    /// Counts what an entry refers to that is of its own table's level.
    fn get_linear(&self, place: Place, entry: Entry, walk: &mut Walk) -> Result<Outcome, Error> {
        if self.settle(walk) == Outcome::Again {
            return Ok(Outcome::Again);
        }
        // It may have been released just now.
        if !self.is_linear(place, entry) {
            return Err(Error::Busy);
        }
        self.hold_linear(place, entry).map(|()| Outcome::Done)
    }

    /// Drops what an entry held that isn't there any more, or never was.
    fn put_entry(&self, place: Place, index: usize, entry: Entry, walk: &mut Walk) {
        if let Some(counted) = self.counted_as(place, index, entry) {
            self.put_table(entry.mfn(), counted, walk);
        }
    }
}
