//! How wide a kernel's addresses are, and what of its start depends on that.

use core::ops::Range;

/// How wide a kernel's addresses are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Width {
    /// 64 bits: four levels of page tables.
    #[default]
    Bits64,
    /// 32 bits: three levels, PAE.
    Bits32,
}

/// The first address of the last GiB of 32 bits: the hypervisor has its part there, in a table that
/// has to be there.
const LAST_GIB: u64 = 3 << 30;

impl Width {
    /// The addresses that are the hypervisor's (arch-x86/xen-x86_64.h, xen-x86_32.h).
    pub fn hypervisor(self) -> Range<u64> {
        match self {
            Self::Bits64 => 0xffff_8000_0000_0000..0xffff_8800_0000_0000,
            Self::Bits32 => xen::abi::x86_32::HYPERVISOR_START.into()..1 << 32,
        }
    }

    /// Bytes of an `unsigned long`, which an entry of the pfn-to-mfn list is.
    pub fn word(self) -> u64 {
        match self {
            Self::Bits64 => 8,
            Self::Bits32 => 4,
        }
    }

    /// The bits of an address below those that choose an entry, of each level above the first, the
    /// top one first.
    pub fn shifts(self) -> &'static [u32] {
        match self {
            Self::Bits64 => &[39, 30, 21],
            Self::Bits32 => &[30, 21],
        }
    }

    /// The level of the top table.
    pub fn levels(self) -> u8 {
        self.shifts().len() as u8 + 1
    }

    /// How many bytes can be mapped from an address on: not into another entry of level 4, nor into
    /// the hypervisor's part.
    pub(crate) fn room(self, base: u64) -> u64 {
        match self {
            Self::Bits64 => (base | ((1 << 39) - 1)) - base,
            Self::Bits32 => self.hypervisor().start.saturating_sub(base),
        }
    }

    /// Whether an address may be one of this width.
    pub(crate) fn has(self, address: u64) -> bool {
        match self {
            Self::Bits64 => (address as i64) << 16 >> 16 == address as i64,
            Self::Bits32 => address >> 32 == 0,
        }
    }

    /// An address whose table of level 2 has to be there, whatever is mapped.
    pub(crate) fn always_there(self) -> Option<u64> {
        (self == Self::Bits32).then_some(LAST_GIB)
    }

    /// How many page tables below the top one map `len` bytes at `address`.
    pub fn tables_for(self, address: u64, len: u64) -> u64 {
        let count = |shift: u32| match len {
            0 => 0,
            _ => ((address + (len - 1)) >> shift) - (address >> shift) + 1,
        };
        // What one table of level 1, 2, 3 maps: 2 MiB, 1 GiB, 512 GiB.
        let mapping: u64 = self.shifts().iter().copied().map(count).sum();
        let is_missing = |there: u64| len == 0 || address + (len - 1) < there;
        mapping + u64::from(self.always_there().is_some_and(is_missing))
    }
}
