//! Entries that refer to tables of their own level, or to their own table: a kernel that has one sees
//! all of its tables in a row of addresses, the linear page table. NetBSD's kernels want that.
//!
//! Such an entry can only be read through. A table refers to itself without being counted, as it would
//! never be released else. What other tables refer to so doesn't refer to others itself: there is at
//! most one table more on the way down than there are levels.

use super::entry::Entry;
use super::page::{Page, Use};
use super::rules::{Error, Machine, Rules};
use super::shape::Shape;
use super::walk::ENTRIES;

/// A table: its frame, and its kind.
pub type Place = (u64, Use);

impl<M: Machine> Rules<'_, M> {
    /// Whether an entry of a table above level 1 refers to one of its own level.
    pub(super) fn is_linear(&self, (mfn, kind): Place, entry: Entry) -> bool {
        let is_table = |page: Page<'_>| page.is_table_of(kind, self.owner);
        self.shape == Shape::Wide
            && (entry.mfn() == mfn || self.machine.page(entry.mfn()).is_some_and(is_table))
    }

    /// What an entry that is there counts as; nothing if it is its own table's.
    pub(super) fn counted_as(&self, place: Place, index: usize, entry: Entry) -> Option<Use> {
        let (mfn, kind) = place;
        match self.is_linear(place, entry) {
            true => (entry.mfn() != mfn).then_some(kind),
            false => Some(self.shape.below(kind, index)),
        }
    }

    /// Counts what such an entry refers to.
    pub(super) fn hold_linear(&self, place: Place, entry: Entry) -> Result<(), Error> {
        let (mfn, kind) = place;
        if entry.is_writable() {
            return Err(Error::Invalid);
        }
        if entry.mfn() == mfn {
            return Ok(());
        }
        let [from, to] = [mfn, entry.mfn()].map(|mfn| self.machine.page(mfn));
        let (from, to) = (from.ok_or(Error::Invalid)?, to.ok_or(Error::Invalid)?);
        let is_end = !from.is_linear() && !self.refers_to_others((entry.mfn(), kind));
        if !is_end || !to.count(self.owner, kind) {
            return Err(Error::Invalid);
        }
        to.mark_linear();
        Ok(())
    }

    fn refers_to_others(&self, place: Place) -> bool {
        let (mfn, kind) = place;
        (0..ENTRIES.into()).any(|index| {
            let entry = self.machine.read(mfn, index);
            entry.is_present()
                && !self.shape.is_hypervisors(kind, index)
                && entry.mfn() != mfn
                && self.is_linear(place, entry)
        })
    }
}
