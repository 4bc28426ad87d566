//! One entry, as the granter writes it and the hypervisor marks it.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use xen::abi::DomId;
use xen::abi::grant::{
    PERMIT_ACCESS, READ_ONLY, READING, SUB_PAGE, TRANSITIVE, TYPE_MASK, WRITING,
};

/// An entry that changes all the time is given up after so many looks.
const LOOKS: usize = 5;
const PAGE: u16 = 4096;

/// How a frame is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Written to, not only read.
    pub is_write: bool,
    /// By the hypervisor, once: parts of frames and grants of others' grants will do.
    pub is_copy: bool,
}

/// A frame that may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which, as the granter says.
    pub frame: u64,
    /// Where the part that may be used begins.
    pub offset: u16,
    /// How many bytes it has.
    pub length: u16,
}

/// What an entry gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A frame of the granter.
    Frame(Held),
    /// What somebody else granted to the granter.
    Transitive {
        /// Who.
        domain: DomId,
        /// In which entry.
        reference: u32,
    },
}

/// Why a grant can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such entry.
    NoEntry,
    /// It isn't for that domain, or not for that.
    NotPermitted,
    /// It changes all the time.
    Unstable,
    /// It is used too often.
    TooOften,
}

/// What the low half of an entry's first word must be like.
fn check(word: u64, who: DomId, access: Access, is_v2: bool) -> Result<(), Refused> {
    let (flags, domain) = (word as u16, (word >> 16) as DomId);
    let kind = flags & TYPE_MASK;
    let is_usable = kind == PERMIT_ACCESS || kind == TRANSITIVE && is_v2 && access.is_copy;
    let is_part = flags & SUB_PAGE != 0;
    let is_refused = domain != who
        || !is_usable
        || is_part && !(is_v2 && access.is_copy)
        || access.is_write && flags & READ_ONLY != 0;
    if is_refused { Err(Refused::NotPermitted) } else { Ok(()) }
}

/// The marks for a use.
fn marks(is_write: bool) -> u16 {
    if is_write { READING | WRITING } else { READING }
}

/// An entry of the first layout: one word, so that all of it is seen at one moment.
pub(super) struct EntryV1<'a>(pub &'a AtomicU64);

impl EntryV1<'_> {
    /// Marks the entry as used, if it may be.
    pub fn mark(&self, who: DomId, access: Access) -> Result<What, Refused> {
        let mut word = self.0.load(Ordering::Acquire);
        for _ in 0..LOOKS {
            check(word, who, access, false)?;
            let marked = word | u64::from(marks(access.is_write));
            match self.0.compare_exchange(word, marked, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let frame = word >> 32;
                    return Ok(What::Frame(Held { frame, offset: 0, length: PAGE }));
                }
                Err(changed) => word = changed,
            }
        }
        Err(Refused::Unstable)
    }

    /// Takes marks away.
    pub fn clear(&self, marks: u16) {
        self.0.fetch_and(!u64::from(marks), Ordering::AcqRel);
    }
}

/// An entry of the second layout: two words, and its marks elsewhere.
pub(super) struct EntryV2<'a> {
    pub words: [&'a AtomicU64; 2],
    /// The word with the marks, and where they are in it.
    pub status: (&'a AtomicU64, u32),
}

impl EntryV2<'_> {
    /// Marks the entry as used, if it may be. When it may not, marks may be left that have to be
    /// taken away if nobody else uses it.
    pub fn mark(&self, who: DomId, access: Access) -> Result<What, Refused> {
        let (status, shift) = self.status;
        for _ in 0..LOOKS {
            let word = self.words[0].load(Ordering::Acquire);
            check(word, who, access, true)?;
            status.fetch_or(u64::from(marks(access.is_write)) << shift, Ordering::AcqRel);
            // The granter looks at the marks after it changed an entry; so the entry is looked at
            // again after it was marked.
            fence(Ordering::SeqCst);
            let second = self.words[1].load(Ordering::Acquire);
            if self.words[0].load(Ordering::Acquire) == word {
                return Ok(meaning(word, second));
            }
        }
        Err(Refused::Unstable)
    }

    /// Takes marks away.
    pub fn clear(&self, marks: u16) {
        let (status, shift) = self.status;
        status.fetch_and(!(u64::from(marks) << shift), Ordering::AcqRel);
    }
}

/// What an entry of the second layout that was found good gives.
fn meaning(first: u64, second: u64) -> What {
    let flags = first as u16;
    if flags & TYPE_MASK == TRANSITIVE {
        return What::Transitive { domain: (first >> 32) as DomId, reference: second as u32 };
    }
    let (offset, length) = match flags & SUB_PAGE {
        0 => (0, PAGE),
        _ => {
            let offset = ((first >> 32) as u16).min(PAGE);
            (offset, ((first >> 48) as u16).min(PAGE - offset))
        }
    };
    What::Frame(Held { frame: second, offset, length })
}
