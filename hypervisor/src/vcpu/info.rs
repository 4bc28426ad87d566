//! A vcpu's shared part, `struct vcpu_info` (xen.h): the guest changes it at any moment.

use core::sync::atomic::{AtomicU8, AtomicU64};

use crate::arch::memory;

/// Where it is: a physical address.
#[derive(Clone, Copy)]
pub struct Info(pub(super) u64);

impl Info {
    fn byte(self, offset: u64) -> &'static AtomicU8 {
        // SAFETY: in a frame that is mapped for ever; any value is good.
        unsafe { &*memory::direct(self.0 + offset).cast() }
    }

    /// The word at a distance of so many bytes.
    pub(super) fn word(self, offset: u64) -> &'static AtomicU64 {
        // SAFETY: as above, and aligned: the structure is, to 8 bytes at least.
        unsafe { &*memory::direct(self.0 + offset).cast() }
    }

    /// An event waits.
    pub fn pending(self) -> &'static AtomicU8 {
        self.byte(0)
    }

    /// Events are not to be delivered.
    pub fn mask(self) -> &'static AtomicU8 {
        self.byte(1)
    }

    /// Which words of the channels' bits have one set.
    pub fn selector(self) -> &'static AtomicU64 {
        self.word(8)
    }

    /// The address of the last page fault.
    pub fn fault_address(self) -> &'static AtomicU64 {
        self.word(16)
    }

    /// A word of `struct vcpu_time_info`.
    pub fn time(self, index: u64) -> &'static AtomicU64 {
        self.word(32 + 8 * index)
    }

    /// Physical address.
    pub fn address(self) -> u64 {
        self.0
    }
}
