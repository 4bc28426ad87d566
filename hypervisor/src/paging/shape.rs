//! How a domain's tables are put together: which of their entries are the guest's, what these refer
//! to, and what the processor gets of them.

use super::entry::{Entry, HYPERVISOR_SLOTS, HYPERVISOR_SLOTS_32};
use super::page::Use;

/// Which kind of tables a domain has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// Four levels. Kernel and programs are in ring 3.
    #[default]
    Wide,
    /// Three levels, for addresses of 32 bits: the top one has four entries, and a table of level 4 of
    /// the hypervisor's leads to it. The kernel is in ring 1, and what it maps for itself isn't its
    /// programs'.
    Pae,
}

/// How many entries the top table has of a guest of 32 bits.
const PAE_ENTRIES: usize = 4;
/// The last of them.
pub const PAE_LAST: usize = PAE_ENTRIES - 1;

impl Shape {
    /// What the top table is.
    pub fn top(self) -> Use {
        match self {
            Self::Wide => Use::L4,
            Self::Pae => Use::L3,
        }
    }

    /// What an entry of a table above level 1 refers to.
    pub fn below(self, kind: Use, index: usize) -> Use {
        match (self, kind) {
            (_, Use::L4) => Use::L3,
            (Self::Pae, Use::L3) if index == PAE_LAST => Use::LastL2,
            (_, Use::L3) => Use::L2,
            _ => Use::L1,
        }
    }

    /// Whether an entry is the hypervisor's, whatever the guest wrote there.
    #[inline]
    pub fn is_hypervisors(self, kind: Use, index: usize) -> bool {
        match kind {
            Use::L4 => HYPERVISOR_SLOTS.contains(&index),
            Use::LastL2 => HYPERVISOR_SLOTS_32.contains(&index),
            Use::L3 => self == Self::Pae && index >= PAE_ENTRIES,
            _ => false,
        }
    }

    /// Whether a guest may ask for an entry of a table.
    #[inline]
    pub fn allows(self, entry: Entry, kind: Use, caching: bool) -> bool {
        /// Bits that an entry of level 3 doesn't have with PAE.
        const UPPER: u64 = 0xfff << 52;
        let is_top = self == Self::Pae && kind == Use::L3;
        kind.level().is_some_and(|level| entry.is_allowed(level, caching))
            && !(is_top && entry.0 & UPPER != 0)
    }

    /// An entry as the processor gets it.
    #[inline]
    pub fn adjusted(self, entry: Entry, kind: Use) -> Entry {
        /// Entries of level 3 say nothing of rights with PAE, but the processor reads them as with
        /// four levels.
        const ALL_RIGHTS: u64 = Entry::USER | Entry::WRITABLE;
        match self {
            Self::Wide => entry.adjusted(if kind == Use::L1 { 1 } else { 2 }),
            Self::Pae if kind == Use::L3 && entry.is_present() => Entry(entry.0 | ALL_RIGHTS),
            Self::Pae => entry,
        }
    }
}
