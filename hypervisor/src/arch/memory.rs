//! Addresses: the direct map, where all of physical memory is seen.

use hypervisor::multiboot::Memory;

/// All of physical memory is here (Xen's own place for it, xen/arch/x86/include/asm/config.h).
pub const DIRECT_MAP: u64 = 0xffff_8300_0000_0000;
/// How much of it the first page tables map.
const MAPPED_AT_BOOT: u64 = 4 << 30;

/// What the loader left, seen through the first page tables.
pub struct BootMemory;

impl Memory for BootMemory {
    fn bytes(&self, address: u64, length: usize) -> Option<&'static [u8]> {
        let end = address.checked_add(length as u64)?;
        if end > MAPPED_AT_BOOT {
            return None;
        }
        let start = (DIRECT_MAP + address) as *const u8;
        // SAFETY: the first page tables map these addresses, and nobody writes there before all
        // that the loader left is read.
        Some(unsafe { core::slice::from_raw_parts(start, length) })
    }
}
