//! What an entry may refer to, and the counts it holds.

use super::entry::Entry;
use super::epoch::{Epochs, Stale};
use super::page::{Dropped, Owner, Page, Refused, Use};
use super::shape::Shape;

/// Why an entry or a table is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A flag that guests may not set, a frame that can't be had, a table of another level.
    Invalid,
    /// A frame that can't be mapped so.
    InUse,
    /// Device memory that isn't the domain's.
    NotPermitted,
    /// Somebody else is checking it just now; the caller tries again.
    Busy,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::Busy,
            Refused::NotOwned | Refused::OtherUse | Refused::TooOften => Self::Invalid,
        }
    }
}

/// Frames and processors, as the rules need them.
pub trait Machine {
    /// A frame; there are none beyond memory.
    fn page(&self, mfn: u64) -> Option<Page<'_>>;
    /// Reads an entry of a table.
    fn read(&self, mfn: u64, index: usize) -> Entry;
    /// The first entry from `index` on that is not zero, or `end`. Most tables are mostly empty.
    fn skip_zeros(&self, mfn: u64, index: usize, end: usize) -> usize {
        (index..end).find(|index| self.read(mfn, *index) != Entry(0)).unwrap_or(end)
    }
    /// Writes an entry of a table; the processor's own changes of ACCESSED and DIRTY may be lost.
    fn write(&self, mfn: u64, index: usize, entry: Entry);
    /// Writes an entry if it is as expected; the processor may have set ACCESSED or DIRTY.
    fn exchange(&self, mfn: u64, index: usize, expected: Entry, new: Entry) -> bool;
    /// Makes a checked table complete, of level 4 or the last one of 32 bits: the hypervisor's slots
    /// are set.
    fn complete(&self, mfn: u64, kind: Use);
    /// Whether that domain may map device memory there.
    fn is_io_allowed(&self, owner: Owner, mfn: u64) -> bool;
    /// Complete TLB flushes of that domain's processors, and of all.
    fn epochs(&self, owner: Owner) -> Epochs;
    /// Has no processor remember any translation of that domain.
    fn flush(&self, owner: Owner);
    /// Has no processor remember any translation.
    fn flush_all(&self);
    /// Nobody refers to the frame any more.
    fn free(&self, mfn: u64);
    /// Whether a long operation should stop, to go on later.
    fn should_yield(&self) -> bool;
}

/// The rules for one domain's page tables.
pub struct Rules<'a, M> {
    /// Frames and processors.
    pub machine: &'a M,
    /// Whose tables they are.
    pub owner: Owner,
    /// The domain has devices, and chooses how its mappings are cached.
    pub caching: bool,
    /// How its tables are put together.
    pub shape: Shape,
}

impl<M: Machine> Rules<'_, M> {
    /// Counts a reference and a use of a domain's frame. True: its contents are to be checked.
    pub fn get(&self, mfn: u64, from: Owner, wanted: Use) -> Result<bool, Error> {
        let page = self.machine.page(mfn).ok_or(Error::Invalid)?;
        if page.count(from, wanted) {
            return Ok(false);
        }
        page.get(from)?;
        match page.get_use(wanted, self.machine.epochs(from)) {
            Ok(got) => {
                self.forget(from, got.stale);
                Ok(got.unchecked)
            }
            Err(refused) => {
                self.put_reference(mfn);
                Err(refused.into())
            }
        }
    }

    /// Drops a reference.
    pub fn put_reference(&self, mfn: u64) {
        if self.machine.page(mfn).is_some_and(Page::put) {
            self.machine.free(mfn);
        }
    }

    /// Drops a reference and a use of a table. If the use is the last one, the reference stays until what
    /// the table's entries hold is released.
    pub(super) fn put(&self, mfn: u64, kind: Use) -> Dropped {
        let epochs = |owner| self.machine.epochs(owner);
        if self.machine.page(mfn).is_some_and(|page| page.uncount(kind, epochs)) {
            return Dropped::Done;
        }
        let dropped = self.put_use(mfn);
        if dropped == Dropped::Done {
            self.put_reference(mfn);
        }
        dropped
    }

    /// Drops a use; the epoch is its owner's.
    pub(super) fn put_use(&self, mfn: u64) -> Dropped {
        let Some(page) = self.machine.page(mfn) else { return Dropped::Done };
        let owner = page.owner().unwrap_or(self.owner);
        page.put_use(self.machine.epochs(owner))
    }

    /// Counts what an entry of level 1 maps, a frame of domain `from`, and gives the entry as the
    /// processor gets it.
    pub fn hold(&self, entry: Entry, from: Owner) -> Result<Entry, Error> {
        if !self.shape.allows(entry, Use::L1, self.caching) {
            return Err(Error::Invalid);
        }
        let count = |page: Page<'_>| match entry.is_writable() {
            true => from == self.owner && page.count(from, Use::Writable),
            false => page.refer(from),
        };
        match self.machine.page(entry.mfn()).is_some_and(count) {
            true => Ok(self.shape.adjusted(entry, Use::L1)),
            false => self.hold_any(entry, from),
        }
    }

    /// The same, where it is more than just counting.
    #[inline(never)]
    fn hold_any(&self, entry: Entry, from: Owner) -> Result<Entry, Error> {
        let mfn = entry.mfn();
        let Some(page) = self.machine.page(mfn) else { return self.hold_device(entry, from) };
        let writable = entry.is_writable();
        let held = match writable {
            true => self.get(mfn, from, Use::Writable).map(|_| ()),
            false => page.get(from).map_err(Error::from),
        };
        match held {
            Ok(()) => {
                if from != self.owner && writable {
                    page.mark_foreign_writer();
                }
                Ok(self.shape.adjusted(entry, Use::L1))
            }
            Err(Error::Busy) if !writable => Err(Error::Busy),
            Err(_) if page.owner().is_none() => self.hold_device(entry, from),
            Err(_) => Err(Error::InUse),
        }
    }

    /// Counts or drops a use as data, where an entry that holds the frame gets the right to write or
    /// loses it.
    pub(super) fn change_right(&self, mfn: u64, writable: bool) -> Result<(), Error> {
        let Some(page) = self.machine.page(mfn) else { return Ok(()) };
        if !writable {
            self.put_use(mfn);
            return Ok(());
        }
        let got = page.get_use(Use::Writable, self.machine.epochs(self.owner));
        self.forget(self.owner, got.map_err(|_| Error::InUse)?.stale);
        Ok(())
    }

    /// Has forgotten what may be remembered of another use.
    fn forget(&self, owner: Owner, stale: Stale) {
        match stale {
            Stale::Nobody => (),
            Stale::Owner => self.machine.flush(owner),
            Stale::Anybody => self.machine.flush_all(),
        }
    }

    /// Device memory is counted nowhere. It is not cached unless the domain knows better.
    fn hold_device(&self, entry: Entry, from: Owner) -> Result<Entry, Error> {
        let mfn = entry.mfn();
        if mfn == Entry(u64::MAX).mfn() {
            return Err(Error::Invalid);
        }
        if !self.machine.is_io_allowed(from, mfn) || !self.machine.is_io_allowed(self.owner, mfn) {
            return Err(Error::NotPermitted);
        }
        let uncached = match entry.0 & Entry::CACHING {
            0 => Entry::WRITE_THROUGH | Entry::UNCACHED,
            Entry::WRITE_THROUGH => Entry::UNCACHED,
            _ => 0,
        };
        Ok(self.shape.adjusted(Entry(entry.0 | uncached), Use::L1))
    }

    /// Drops what an entry of level 1 held.
    pub fn release(&self, entry: Entry) {
        let Some(page) = self.machine.page(entry.mfn()) else { return };
        if !entry.is_present() {
            return;
        }
        let is_done = match entry.is_writable() {
            true => page.uncount(Use::Writable, |owner| self.machine.epochs(owner)),
            false => page.drop_reference(),
        };
        if !is_done {
            self.release_any(entry, page);
        }
    }

    /// The same, where it is more than just counting.
    #[inline(never)]
    fn release_any(&self, entry: Entry, page: Page<'_>) {
        // Nobody's are no more than devices' memory, which is counted nowhere.
        if page.owner().is_none() {
            return;
        }
        if entry.is_writable() {
            self.put_use(entry.mfn());
        }
        self.put_reference(entry.mfn());
    }
}
