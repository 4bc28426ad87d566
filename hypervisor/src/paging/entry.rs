//! An entry of a page table, as guests write it and as the processor gets it.

/// The bits of an entry (AMD64 Architecture Programmer's Manual, volume 2, section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Entry(pub u64);

impl Entry {
    /// It maps something.
    pub const PRESENT: u64 = 1 << 0;
    /// Writes are allowed.
    pub const WRITABLE: u64 = 1 << 1;
    /// Ring 3 may use it; PV kernels run there, too.
    pub const USER: u64 = 1 << 2;
    /// Write-through, or the first of the bits that choose how memory is cached.
    pub const WRITE_THROUGH: u64 = 1 << 3;
    /// Not cached.
    pub const UNCACHED: u64 = 1 << 4;
    /// It was used.
    pub const ACCESSED: u64 = 1 << 5;
    /// It was written through.
    pub const DIRTY: u64 = 1 << 6;
    /// Of levels 2 and 3: it maps a large page. Of level 1: the third bit for caching.
    pub const LARGE: u64 = 1 << 7;
    /// It stays in the TLB when CR3 changes.
    pub const GLOBAL: u64 = 1 << 8;
    /// No instruction is fetched through it.
    pub const NO_EXECUTE: u64 = 1 << 63;

    /// Guests may set these in every entry; 9 to 11 and 52 to 62 are theirs.
    const GUEST: u64 = Self::PRESENT
        | Self::WRITABLE
        | Self::USER
        | Self::ACCESSED
        | Self::DIRTY
        | Self::NO_EXECUTE
        | 0x7ff << 52
        | 0xe00;
    /// Domains with access to devices choose how their mappings are cached.
    pub const CACHING: u64 = Self::WRITE_THROUGH | Self::UNCACHED | Self::LARGE;
    /// The frame's number.
    const FRAME: u64 = ((1 << 52) - 1) & !0xfff;

    /// An entry for a frame.
    pub fn new(mfn: u64, flags: u64) -> Self {
        Self(mfn << 12 | flags)
    }

    /// Whether it maps anything.
    pub fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Whether it lets one write.
    pub fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE != 0
    }

    /// Whether all of these flags are set.
    pub fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// The frame's number.
    pub fn mfn(self) -> u64 {
        (self.0 & Self::FRAME) >> 12
    }

    /// Without these flags.
    pub fn without(self, flags: u64) -> Self {
        Self(self.0 & !flags)
    }

    /// Whether a guest may ask for it at that level, 1 to 4.
    pub fn is_allowed(self, level: u8, caching: bool) -> bool {
        let level1 = if level == 1 { Self::GLOBAL } else { 0 };
        let caching = if level == 1 && caching { Self::CACHING } else { 0 };
        self.0 & !(Self::FRAME | Self::GUEST | level1 | caching) == 0
    }

    /// As the processor gets it. A PV kernel of 64 bits is in ring 3 as its programs are, so that everything
    /// it maps is for ring 3; which of its two sets of page tables is loaded tells them apart.
    /// What programs see is global: it is the same in both.
    pub fn adjusted(self, level: u8) -> Self {
        match (self.is_present(), level, self.has(Self::USER)) {
            (false, ..) => self,
            (true, 1, true) => Self(self.0 | Self::GLOBAL),
            (true, 1, false) => Self((self.0 | Self::USER) & !Self::GLOBAL),
            (true, ..) => Self(self.0 | Self::USER),
        }
    }

    /// Whether the two map the same frame with the same rights, so that counts stay as they are.
    pub fn holds_the_same(self, other: Self) -> bool {
        self.differs_in(other, 0)
    }

    /// Whether the two map the same frame, with other rights to write.
    pub fn differs_in_writing(self, other: Self) -> bool {
        self.differs_in(other, Self::WRITABLE)
    }

    fn differs_in(self, other: Self, flags: u64) -> bool {
        const FREE: u64 = Entry::ACCESSED
            | Entry::DIRTY
            | Entry::GLOBAL
            | Entry::USER
            | Entry::NO_EXECUTE
            | 0x7ff << 52
            | 0xe00;
        (self.0 ^ other.0) & !FREE == flags
    }
}

/// The slots of a level 4 table that are the hypervisor's (HYPERVISOR_VIRT_START to
/// HYPERVISOR_VIRT_END, arch-x86/xen-x86_64.h).
pub const HYPERVISOR_SLOTS: core::ops::Range<usize> = 256..272;

/// The slots of the last table of level 2 of a guest of 32 bits that are the hypervisor's
/// (HYPERVISOR_VIRT_START to the end, arch-x86/xen-x86_32.h).
pub const HYPERVISOR_SLOTS_32: core::ops::Range<usize> = 428..512;

/// Whether an address can be used by a guest: canonical, and not the hypervisor's. Xen's
/// `__addr_ok` allows the same.
pub fn is_guest_address(address: u64) -> bool {
    !(0x0000_8000_0000_0000..0xffff_8800_0000_0000).contains(&address)
}

/// Whether an address is one to the processor: its upper bits are all the same.
pub fn is_canonical(address: u64) -> bool {
    (address as i64) << 16 >> 16 == address as i64
}

/// Which entry of a table of that level an address uses.
pub fn slot(address: u64, level: u8) -> usize {
    (address >> (3 + 9 * u32::from(level))) as usize & 511
}
