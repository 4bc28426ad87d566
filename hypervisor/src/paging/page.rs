//! One machine frame: who owns it, what it may be used as, and how often it is used.
//!
//! A frame has a general count, which keeps it from being freed, and a type with a count of its own,
//! which keeps it from being used in two ways at once: a page table can't be written to by its owner
//! as long as it is one. Every change is one of the frame's word, so that another domain's mapping
//! needs no lock of the owner.

use core::fmt;

use super::counts::{Counts, Full};
use super::epoch::{Epochs, Stale};
use super::word::{ALLOCATED, FOREIGN_WRITER, Few, LINEAR, PINNED, SHARED, State, VALID, Word};

/// Which domain owns a frame: its place in the table of domains, not its number.
pub type Owner = u8;

/// What a frame is used as. Two uses exclude each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Use {
    /// Nothing yet.
    #[default]
    None = 0,
    /// Data that its owner, or who was granted it, writes to.
    Writable = 1,
    /// A page table of level 1: its entries map frames.
    L1 = 2,
    /// A page table of level 2.
    L2 = 3,
    /// A page table of level 3.
    L3 = 4,
    /// A page table of level 4.
    L4 = 5,
    /// Segment descriptors.
    Descriptors = 6,
    /// The page table of level 2 for the last GiB of 32 bits, where the hypervisor has its part.
    LastL2 = 7,
}

impl Use {
    /// The page table of that level, 1 to 4.
    pub fn table(level: u8) -> Self {
        match level {
            1 => Self::L1,
            2 => Self::L2,
            3 => Self::L3,
            _ => Self::L4,
        }
    }

    /// The level of a page table.
    pub fn level(self) -> Option<u8> {
        match self {
            Self::L1 => Some(1),
            Self::L2 | Self::LastL2 => Some(2),
            Self::L3 => Some(3),
            Self::L4 => Some(4),
            Self::None | Self::Writable | Self::Descriptors => None,
        }
    }

    /// From its number, the lowest three bits.
    pub fn from_bits(bits: u32) -> Self {
        match bits & 7 {
            1 => Self::Writable,
            2 => Self::L1,
            3 => Self::L2,
            4 => Self::L3,
            5 => Self::L4,
            6 => Self::Descriptors,
            7 => Self::LastL2,
            _ => Self::None,
        }
    }
}

/// Why a frame can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is free, or somebody else's.
    NotOwned,
    /// It is used as something else.
    OtherUse,
    /// A counter is full.
    TooOften,
    /// Its contents are being checked by somebody else just now.
    Busy,
}

impl From<Full> for Refused {
    fn from(_: Full) -> Self {
        Self::TooOften
    }
}

/// What is left to do after a use was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Got {
    /// The use is new and not for data: the contents have to be checked before anybody relies on it.
    pub unchecked: bool,
    /// It was used otherwise a moment ago: who may still have a translation that lets them write to
    /// it, or that takes it for a page table.
    pub stale: Stale,
}

/// What dropping a type led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Others still use it so, or there is nothing to undo.
    Done,
    /// It was the last use as a page table or as descriptors: what its entries hold has to be
    /// released, then [`Page::finish_release`] called.
    Last,
}

/// Who may remember the use that ended last.
fn remembered(state: &State, epochs: Epochs) -> Stale {
    let mark = state.mark.into();
    match state.has(FOREIGN_WRITER) {
        true if epochs.all.remembers(mark) => Stale::Anybody,
        false if epochs.owner.remembers(mark) => Stale::Owner,
        _ => Stale::Nobody,
    }
}

/// The mark of a use that ends now.
fn mark(has_foreign_writer: bool, epochs: Epochs) -> u8 {
    if has_foreign_writer { epochs.all } else { epochs.owner }.mark() as u8
}

fn end_use(state: &mut State, epochs: Epochs) {
    state.uses = 0;
    state.mark = mark(state.has(FOREIGN_WRITER), epochs);
}

/// One more.
fn more(count: u32) -> Result<u32, Refused> {
    count.checked_add(1).ok_or(Refused::TooOften)
}

/// A frame.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    word: &'a Word,
    counts: &'a Counts,
}

impl<'a> Page<'a> {
    /// The frame of that word.
    #[inline]
    pub fn new(word: &'a Word, counts: &'a Counts) -> Self {
        Self { word, counts }
    }

    #[inline]
    fn update<T>(
        self,
        change: impl FnOnce(&mut State) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.word.update(self.counts, change)
    }

    /// A change that needs no count.
    fn change<T>(self, change: impl FnOnce(&mut State) -> T) -> T {
        self.update(|state| Ok(change(state))).expect("smaller counts can be kept")
    }

    fn state(self) -> State {
        self.word.read(self.counts)
    }

    /// Gives the frame, which is free, to a domain; one reference is the allocation's.
    pub fn allocate(self, owner: Owner) {
        self.word.begin(owner, ALLOCATED);
    }

    /// Makes the hypervisor's own frame one that a domain may map. It is data for good: the
    /// hypervisor writes to it, so that it must never become a table.
    pub fn share(self, owner: Owner) {
        self.change(|state| {
            *state = State::new(owner, SHARED | VALID);
            state.set_kind(Use::Writable);
            state.uses = 1;
        });
    }

    /// Takes the hypervisor's own use of a shared frame back; true if nobody refers to it any more.
    #[must_use]
    pub fn unshare(self, epochs: Epochs) -> bool {
        let _ = self.put_use(epochs);
        self.put()
    }

    /// Another domain may write to it: what its processors remember outlives the mapping, too.
    pub fn mark_foreign_writer(self) {
        self.change(|state| state.set(FOREIGN_WRITER));
    }

    /// Who owns it, or did when it was last freed.
    pub fn last_owner(self) -> Owner {
        self.word.head().owner()
    }

    /// Who owns it, if anybody does.
    #[inline]
    pub fn owner(self) -> Option<Owner> {
        self.word.is_referred_to().then(|| self.last_owner())
    }

    /// Whether it is the hypervisor's, shared with its owner.
    pub fn is_shared(self) -> bool {
        self.word.head().is_shared()
    }

    /// Whether another table of its level refers to it, or did.
    pub fn is_linear(self) -> bool {
        self.word.head().has(LINEAR)
    }

    /// Another table of its level refers to it, which is a table.
    pub fn mark_linear(self) {
        self.word.remark(|state| state.set(LINEAR));
    }

    /// Whether its owner still has it allocated.
    pub fn is_allocated(self) -> bool {
        self.word.head().has(ALLOCATED)
    }

    /// What it is used as, and how often.
    pub fn usage(self) -> (Use, u32) {
        let state = self.state();
        (state.kind(), state.uses)
    }

    /// Whether it is that domain's table of that kind, checked and in use.
    #[inline]
    pub fn is_table_of(self, kind: Use, owner: Owner) -> bool {
        // A table is in use as long as it is valid.
        self.word.head().is_as_of(kind, owner)
    }

    /// Which of that domain's tables it is, checked and in use; `None` if it is none.
    #[inline]
    pub fn table_of(self, owner: Owner) -> Option<Use> {
        self.word.head().table_of(owner)
    }

    /// How many references there are.
    pub fn references(self) -> u32 {
        self.state().references
    }

    /// Whether its contents were checked.
    pub fn is_valid(self) -> bool {
        self.word.head().has(VALID)
    }

    /// Counts a reference, if it is that domain's; false if it is not just counting: [`Page::get`]
    /// does what is to be done then.
    #[inline]
    pub fn refer(self, owner: Owner) -> bool {
        self.word.recount(|few| few.owner() == owner && few.refer())
    }

    /// Drops a reference that is not the last; false if it is not just counting: [`Page::put`] does
    /// what is to be done then.
    #[inline]
    pub fn drop_reference(self) -> bool {
        self.word.recount(Few::drop_reference)
    }

    /// Counts a reference, if it is that domain's.
    #[inline]
    pub fn get(self, owner: Owner) -> Result<(), Refused> {
        if self.refer(owner) {
            return Ok(());
        }
        self.update(|state| {
            if state.references == 0 || state.owner() != owner {
                return Err(Refused::NotOwned);
            }
            state.references = more(state.references)?;
            Ok(())
        })
    }

    /// Drops a reference; true if it was the last and the frame is free now.
    #[must_use]
    pub fn put(self) -> bool {
        if self.drop_reference() {
            return false;
        }
        self.change(|state| {
            debug_assert!(state.references != 0);
            state.references -= 1;
            state.references == 0
        })
    }

    /// Takes the allocation's own reference back, once; true if the caller has to [`Page::put`] it.
    #[must_use]
    pub fn deallocate(self) -> bool {
        self.word.remark(|state| state.unset(ALLOCATED)).has(ALLOCATED)
    }

    /// Counts a reference and one more use at once; false if it is not just counting: [`Page::get`] and
    /// [`Page::get_use`] do what is to be done then.
    #[inline]
    pub fn count(self, owner: Owner, wanted: Use) -> bool {
        let count = |few: &mut Few| {
            few.owner() == owner && few.is_as(wanted) && few.refer() && few.add_use()
        };
        self.word.recount(count) || self.word.has_many() && self.count_many(owner, wanted)
    }

    #[cold]
    fn count_many(self, owner: Owner, wanted: Use) -> bool {
        let counted = self.update(|state| {
            if state.references == 0 || !state.is_as_of(wanted, owner) {
                return Err(Refused::NotOwned);
            }
            (state.references, state.uses) = (more(state.references)?, more(state.uses)?);
            Ok(())
        });
        counted.is_ok()
    }

    /// Drops a reference and a use at once; false if it is not just counting: they are the last, and
    /// others have to hear of it.
    #[inline]
    pub fn uncount(self, used: Use, epochs: impl Fn(Owner) -> Epochs) -> bool {
        let uncount = |few: &mut Few| {
            let mark = |few: &Few| {
                let is_data = used == Use::Writable;
                is_data.then(|| mark(few.has_foreign_writer(), epochs(few.owner())))
            };
            few.is_as(used) && few.drop_reference() && few.drop_use(mark)
        };
        self.word.recount(uncount) || self.word.has_many() && self.uncount_many(used)
    }

    #[cold]
    fn uncount_many(self, used: Use) -> bool {
        let uncounted = self.update(|state| {
            if state.references < 2 || state.uses < 2 || !state.is_as(used) {
                return Err(Refused::OtherUse);
            }
            state.references -= 1;
            state.uses -= 1;
            Ok(())
        });
        uncounted.is_ok()
    }

    /// Counts a use. What processors remember of a use that ended in an earlier epoch is forgotten.
    pub fn get_use(self, wanted: Use, epochs: Epochs) -> Result<Got, Refused> {
        let unchecked = !matches!(wanted, Use::None | Use::Writable);
        self.update(|state| {
            let now = state.kind();
            if state.uses > 0 {
                if now != wanted {
                    return Err(Refused::OtherUse);
                }
                if !state.has(VALID) {
                    return Err(Refused::Busy);
                }
                state.uses = more(state.uses)?;
                return Ok(Got { unchecked: false, stale: Stale::Nobody });
            }
            if unchecked && state.is_shared() {
                return Err(Refused::OtherUse);
            }
            let mut stale = Stale::Nobody;
            if now != Use::None && now != wanted {
                stale = remembered(state, epochs);
                state.unset(FOREIGN_WRITER);
            }
            state.set_kind(wanted);
            state.uses = 1;
            match unchecked {
                true => state.unset(VALID),
                false => state.set(VALID),
            };
            Ok(Got { unchecked, stale })
        })
    }

    /// The contents were found good.
    pub fn set_valid(self) {
        self.word.remark(|state| state.set(VALID));
    }

    /// Drops a use.
    pub fn put_use(self, epochs: Epochs) -> Dropped {
        self.change(|state| {
            debug_assert!(state.uses != 0);
            match (state.uses, state.kind()) {
                (1, Use::None | Use::Writable) => end_use(state, epochs),
                (1, _) => {
                    state.unset(VALID);
                    return Dropped::Last;
                }
                _ => state.uses -= 1,
            }
            Dropped::Done
        })
    }

    /// The last use has been undone: the frame may become anything.
    pub fn finish_release(self, epochs: Epochs) {
        self.change(|state| {
            end_use(state, epochs);
            state.unset(VALID);
            state.unset(LINEAR);
        });
    }

    /// Marks the type as wanted by the owner; false if it was already.
    pub fn pin(self) -> bool {
        !self.word.remark(|state| state.set(PINNED)).has(PINNED)
    }

    /// Takes the mark away; false if there was none.
    pub fn unpin(self) -> bool {
        self.word.remark(|state| state.unset(PINNED)).has(PINNED)
    }

    /// Whether the owner marked the type as wanted.
    pub fn is_pinned(self) -> bool {
        self.word.head().has(PINNED)
    }
}

impl fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, uses) = self.usage();
        let (owner, references, valid) = (self.owner(), self.references(), self.is_valid());
        write!(f, "owner {owner:?}, {references} references, {uses} as {kind:?}, valid {valid}")
    }
}
