//! One machine frame's word: who owns it, what it may be used as, and how often it is used.
//!
//! Eight bytes a frame are all that is kept. A frame has a general count, which keeps it from being
//! freed, and a type with a count of its own, which keeps it from being used in two ways at once:
//! a page table can't be written to by its owner as long as it is one. Every change is one
//! compare-and-swap, so that another domain's mapping needs no lock of the owner.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use super::epoch::{Epochs, Stale};

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

    fn from_bits(bits: u64) -> Self {
        match bits {
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

/// A run of bits of the word.
struct Bits {
    shift: u32,
    width: u32,
}

impl Bits {
    const fn mask(&self) -> u64 {
        ((1 << self.width) - 1) << self.shift
    }

    const fn most(&self) -> u64 {
        self.mask() >> self.shift
    }

    const fn get(&self, word: u64) -> u64 {
        (word & self.mask()) >> self.shift
    }

    const fn set(&self, word: u64, value: u64) -> u64 {
        word & !self.mask() | value << self.shift & self.mask()
    }
}

const REFERENCES: Bits = Bits { shift: 0, width: 25 };
const USES: Bits = Bits { shift: 25, width: 18 };
/// Another domain mapped it since it was allocated.
const FOREIGN: u64 = 1 << 43;
/// Another domain may write to it, or remembers that it could.
const FOREIGN_WRITER: u64 = 1 << 44;
const USE: Bits = Bits { shift: 45, width: 3 };
/// The contents were checked and the frame may be used as its type says.
const VALID: u64 = 1 << 48;
/// The owner asked for the type to stay when nothing else uses it.
const PINNED: u64 = 1 << 49;
/// The frame is the hypervisor's, shared with a domain: it is never freed.
const SHARED: u64 = 1 << 50;
/// The domain holds the frame: one reference is the allocation's own.
const ALLOCATED: u64 = 1 << 51;
const EPOCH: Bits = Bits { shift: 52, width: 4 };
const OWNER: Bits = Bits { shift: 56, width: 8 };

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

/// One reference and one use.
const BOTH: u64 = 1 << REFERENCES.shift | 1 << USES.shift;

/// Whether it is used so, and may be. Data that is not used any more is still data.
fn is_as(word: u64, used: Use) -> bool {
    word & (USE.mask() | VALID) == USE.set(VALID, used as u64)
}

/// Who may remember the use that ended last.
fn remembered(word: u64, epochs: Epochs) -> Stale {
    let mark = EPOCH.get(word);
    match word & FOREIGN_WRITER != 0 {
        true if epochs.all.remembers(mark) => Stale::Anybody,
        false if epochs.owner.remembers(mark) => Stale::Owner,
        _ => Stale::Nobody,
    }
}

/// The word of a frame whose last use ends now.
fn marked(word: u64, epochs: Epochs) -> u64 {
    let foreign = word & FOREIGN_WRITER != 0;
    EPOCH.set(word, if foreign { epochs.all } else { epochs.owner }.mark())
}

/// A frame's word.
#[derive(Default)]
#[repr(transparent)]
pub struct Page(AtomicU64);

impl Page {
    /// A frame that nobody owns.
    pub const fn free() -> Self {
        Self(AtomicU64::new(0))
    }

    fn update(&self, mut change: impl FnMut(u64) -> Option<u64>) -> Result<u64, u64> {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, &mut change)
    }

    fn word(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Gives the frame, which is free, to a domain; one reference is the allocation's.
    pub fn allocate(&self, owner: Owner) {
        let word = OWNER.set(REFERENCES.set(ALLOCATED, 1), owner.into());
        self.0.store(word, Ordering::Release);
    }

    /// Makes the hypervisor's own frame one that a domain may map. It is data for good: the
    /// hypervisor writes to it, so that it must never become a table.
    pub fn share(&self, owner: Owner) {
        let data = USES.set(USE.set(SHARED | VALID, Use::Writable as u64), 1);
        let word = OWNER.set(REFERENCES.set(data, 1), owner.into());
        self.0.store(word, Ordering::Release);
    }

    /// Takes the hypervisor's own use of a shared frame back; true if nobody refers to it any more.
    #[must_use]
    pub fn unshare(&self, epochs: Epochs) -> bool {
        let _ = self.put_use(epochs);
        self.put()
    }

    /// Another domain maps it: what its processors remember outlives the mapping, too.
    pub fn mark_foreign(&self, is_writer: bool) {
        let bits = FOREIGN | if is_writer { FOREIGN_WRITER } else { 0 };
        self.0.fetch_or(bits, Ordering::AcqRel);
    }

    /// Who owns it, or did when it was last freed.
    pub fn last_owner(&self) -> Owner {
        OWNER.get(self.word()) as Owner
    }

    /// Who owns it, if anybody does.
    pub fn owner(&self) -> Option<Owner> {
        let word = self.word();
        (REFERENCES.get(word) != 0).then(|| OWNER.get(word) as Owner)
    }

    /// Whether it is the hypervisor's, shared with its owner.
    pub fn is_shared(&self) -> bool {
        self.word() & SHARED != 0
    }

    /// Whether its owner still has it allocated.
    pub fn is_allocated(&self) -> bool {
        self.word() & ALLOCATED != 0
    }

    /// What it is used as, and how often.
    pub fn usage(&self) -> (Use, u64) {
        let word = self.word();
        (Use::from_bits(USE.get(word)), USES.get(word))
    }

    /// Whether it is that domain's table of that kind, checked and in use.
    #[inline]
    pub fn is_table_of(&self, kind: Use, owner: Owner) -> bool {
        let word = self.word();
        let wanted = OWNER.set(USE.set(VALID, kind as u64), owner.into());
        word & (OWNER.mask() | USE.mask() | VALID) == wanted && USES.get(word) > 0
    }

    /// How many references there are.
    pub fn references(&self) -> u64 {
        REFERENCES.get(self.word())
    }

    /// Whether its contents were checked.
    pub fn is_valid(&self) -> bool {
        self.word() & VALID != 0
    }

    /// Counts a reference, if it is that domain's.
    pub fn get(&self, owner: Owner) -> Result<(), Refused> {
        let mut refused = Refused::NotOwned;
        let counted = self.update(|word| {
            let count = REFERENCES.get(word);
            if count == 0 || OWNER.get(word) != u64::from(owner) {
                refused = Refused::NotOwned;
                return None;
            }
            if count == REFERENCES.most() {
                refused = Refused::TooOften;
                return None;
            }
            Some(word + (1 << REFERENCES.shift))
        });
        counted.map(|_| ()).map_err(|_| refused)
    }

    /// Drops a reference; true if it was the last and the frame is free now.
    #[must_use]
    pub fn put(&self) -> bool {
        let before = self.0.fetch_sub(1 << REFERENCES.shift, Ordering::AcqRel);
        debug_assert!(REFERENCES.get(before) != 0);
        REFERENCES.get(before) == 1
    }

    /// Takes the allocation's own reference back, once; true if the caller has to [`Page::put`] it.
    #[must_use]
    pub fn deallocate(&self) -> bool {
        self.0.fetch_and(!ALLOCATED, Ordering::AcqRel) & ALLOCATED != 0
    }

    /// Counts a reference and one more use at once; false if it is not just counting: [`Page::get`] and
    /// [`Page::get_use`] do what is to be done then.
    #[inline]
    pub fn count(&self, owner: Owner, wanted: Use) -> bool {
        let counted = self.update(|word| {
            let (references, uses) = (REFERENCES.get(word), USES.get(word));
            let fits = references != 0 && references != REFERENCES.most() && uses != USES.most();
            (fits && OWNER.get(word) == u64::from(owner) && is_as(word, wanted))
                .then(|| word + BOTH)
        });
        counted.is_ok()
    }

    /// Drops a reference and a use at once; false if it is not just counting: they are the last, and
    /// others have to hear of it.
    #[inline]
    pub fn uncount(&self, used: Use, epochs: impl Fn(Owner) -> Epochs) -> bool {
        let counted = self.update(|word| {
            let (references, uses) = (REFERENCES.get(word), USES.get(word));
            if references < 2 || uses == 0 || !is_as(word, used) {
                return None;
            }
            let left = word - BOTH;
            match uses {
                1 if used != Use::Writable => None,
                1 => Some(marked(left, epochs(OWNER.get(word) as Owner))),
                _ => Some(left),
            }
        });
        counted.is_ok()
    }

    /// Counts a use. What processors remember of a use that ended in an earlier epoch is forgotten.
    pub fn get_use(&self, wanted: Use, epochs: Epochs) -> Result<Got, Refused> {
        let mut outcome = Err(Refused::OtherUse);
        let unchecked = !matches!(wanted, Use::None | Use::Writable);
        let _ = self.update(|word| {
            let (now, count) = (Use::from_bits(USE.get(word)), USES.get(word));
            if count == 0 {
                let changes = now != Use::None && now != wanted;
                let stale = if changes { remembered(word, epochs) } else { Stale::Nobody };
                outcome = Ok(Got { unchecked, stale });
                let kept = if changes { word & !FOREIGN_WRITER } else { word };
                let word = USES.set(USE.set(kept, wanted as u64), 1) & !VALID;
                return Some(if unchecked { word } else { word | VALID });
            }
            outcome = match () {
                () if now != wanted => Err(Refused::OtherUse),
                () if word & VALID == 0 => Err(Refused::Busy),
                () if count == USES.most() => Err(Refused::TooOften),
                () => Ok(Got { unchecked: false, stale: Stale::Nobody }),
            };
            outcome.is_ok().then_some(word + (1 << USES.shift))
        });
        outcome
    }

    /// The contents were found good.
    pub fn set_valid(&self) {
        self.0.fetch_or(VALID, Ordering::AcqRel);
    }

    /// Drops a use.
    pub fn put_use(&self, epochs: Epochs) -> Dropped {
        let mut dropped = Dropped::Done;
        let _ = self.update(|word| {
            let (now, count) = (Use::from_bits(USE.get(word)), USES.get(word));
            debug_assert!(count != 0);
            if count == 1 && !matches!(now, Use::None | Use::Writable) {
                dropped = Dropped::Last;
                return Some(word & !VALID);
            }
            dropped = Dropped::Done;
            let word = word - (1 << USES.shift);
            Some(if count == 1 { marked(word, epochs) } else { word })
        });
        dropped
    }

    /// The last use has been undone: the frame may become anything.
    pub fn finish_release(&self, epochs: Epochs) {
        let _ = self.update(|word| Some(marked(USES.set(word, 0), epochs) & !VALID));
    }

    /// Marks the type as wanted by the owner; false if it was already.
    pub fn pin(&self) -> bool {
        self.0.fetch_or(PINNED, Ordering::AcqRel) & PINNED == 0
    }

    /// Takes the mark away; false if there was none.
    pub fn unpin(&self) -> bool {
        self.0.fetch_and(!PINNED, Ordering::AcqRel) & PINNED != 0
    }

    /// Whether the owner marked the type as wanted.
    pub fn is_pinned(&self) -> bool {
        self.word() & PINNED != 0
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, uses) = self.usage();
        let (owner, references, valid) = (self.owner(), self.references(), self.is_valid());
        write!(f, "owner {owner:?}, {references} references, {uses} as {kind:?}, valid {valid}")
    }
}
