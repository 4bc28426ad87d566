//! A vcpu's shared part, `struct vcpu_info` (xen.h): the guest changes it at any moment.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::Vcpu;
use crate::arch::memory;
use xen::abi::x86_32;

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
    fn selector(self) -> &'static AtomicU64 {
        self.word(8)
    }

    /// The same, of a guest of 32 bits.
    fn narrow_selector(self) -> &'static AtomicU32 {
        self.half(x86_32::PENDING_SELECTOR)
    }

    /// The address of the last page fault.
    fn fault_address(self) -> &'static AtomicU64 {
        self.word(16)
    }

    /// The same, of a guest of 32 bits.
    fn narrow_fault_address(self) -> &'static AtomicU32 {
        self.half(x86_32::FAULT_ADDRESS)
    }

    fn half(self, offset: usize) -> &'static AtomicU32 {
        let [half] = memory::halves(self.0 + offset as u64);
        half
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

/// What is in it at other places with 32 bits.
impl Vcpu {
    /// Says that a port was raised.
    pub fn select(&self, port: u32) {
        let info = self.info();
        if self.domain().is_narrow() {
            info.narrow_selector().fetch_or(1 << (port / 32 % 32), Ordering::AcqRel);
        } else {
            info.selector().fetch_or(1 << (port / 64), Ordering::AcqRel);
        }
    }

    /// Which words of the channels' bits may have one set.
    pub fn selected(&self) -> u64 {
        let info = self.info();
        match self.domain().is_narrow() {
            true => info.narrow_selector().load(Ordering::Relaxed).into(),
            false => info.selector().load(Ordering::Relaxed),
        }
    }

    /// Says that any port may have been raised.
    pub fn select_all(&self) {
        let info = self.info();
        if self.domain().is_narrow() {
            info.narrow_selector().store(!0, Ordering::Relaxed);
        } else {
            info.selector().store(!0, Ordering::Relaxed);
        }
    }

    /// The address of the last page fault.
    pub fn fault_address(&self) -> u64 {
        let info = self.info();
        match self.domain().is_narrow() {
            true => info.narrow_fault_address().load(Ordering::Relaxed).into(),
            false => info.fault_address().load(Ordering::Relaxed),
        }
    }

    /// Says where the last page fault was.
    pub fn set_fault_address(&self, address: u64) {
        let info = self.info();
        match self.domain().is_narrow() {
            true => info.narrow_fault_address().store(address as u32, Ordering::Relaxed),
            false => info.fault_address().store(address, Ordering::Relaxed),
        }
    }
}
