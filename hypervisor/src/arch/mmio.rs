//! Registers of devices in physical memory.

use super::memory::DIRECT_MAP;

/// The direct map has all below this, devices too; firmware's MTRRs keep devices uncached.
const REACHABLE: u64 = 4 << 30;

/// Some registers.
#[derive(Debug, Clone, Copy)]
pub struct Mmio {
    address: u64,
    length: u64,
}

impl Mmio {
    /// The registers at a physical address, if they are within reach.
    ///
    /// # Safety
    /// They are a device's, and nothing that is written to them has the device write to memory of
    /// ours.
    pub unsafe fn new(physical: u64, length: u64) -> Option<Self> {
        let end = physical.checked_add(length)?;
        let reachable = end <= REACHABLE && physical.is_multiple_of(4);
        reachable.then_some(Self { address: DIRECT_MAP + physical, length })
    }

    fn at(&self, offset: u64) -> *mut u32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.length, "register {offset:#x}");
        (self.address + offset) as *mut u32
    }

    /// Reads a register of 32 bits.
    pub fn read(&self, offset: u64) -> u32 {
        // SAFETY: `at` keeps to the registers that `new` was promised.
        unsafe { self.at(offset).read_volatile() }
    }

    /// Writes a register of 32 bits.
    pub fn write(&self, offset: u64, value: u32) {
        // SAFETY: as above.
        unsafe { self.at(offset).write_volatile(value) }
    }
}
