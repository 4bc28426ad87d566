//! Registers of devices in physical memory: below 4 GiB in the direct map, above in a window that
//! is mapped when it is needed and stays.

use core::arch::x86_64::__cpuid;

use crate::lock::Mutex;
use x86_64::instructions::interrupts::without_interrupts;

use super::memory::{self, DEVICES, DIRECT_MAP, LARGE_PAGE};

/// The direct map has all below this, devices too; firmware's MTRRs keep devices uncached.
const DIRECT: u64 = 4 << 30;
/// How many ranges are remembered.
const RANGES: usize = 64;
const PAGE: u64 = 4096;

/// Pages that are mapped one behind the other.
#[derive(Clone, Copy)]
struct Range {
    physical: u64,
    pages: u64,
    address: u64,
}

struct Window {
    ranges: [Option<Range>; RANGES],
    next: u64,
}

static MAPPED: Mutex<Window> = Mutex::new(Window { ranges: [None; RANGES], next: DEVICES });

impl Window {
    /// Where pages are mapped; `None` before there are final page tables, or when too many are.
    fn map(&mut self, physical: u64, pages: u64) -> Option<u64> {
        let holds = |range: &&Range| range.physical == physical && range.pages == pages;
        if let Some(known) = self.ranges.iter().flatten().find(holds) {
            return Some(known.address);
        }
        let place = self.ranges.iter_mut().find(|range| range.is_none())?;
        let address = self.next;
        if pages > (DEVICES + LARGE_PAGE - address) / PAGE {
            return None;
        }
        for page in 0..pages {
            memory::map_device(address + page * PAGE, physical + page * PAGE)?;
        }
        *place = Some(Range { physical, pages, address });
        self.next += pages * PAGE;
        Some(address)
    }
}

/// How many bits a physical address has (AMD APM, volume 3, CPUID Fn8000_0008); all processors of
/// 64 bits say. More in an entry is a fault.
fn physical_bits() -> u32 {
    (__cpuid(0x8000_0008).eax & 0xff).clamp(32, 52)
}

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
        let end = physical.checked_add(length).filter(|_| physical.is_multiple_of(4))?;
        if end <= DIRECT {
            return Some(Self { address: DIRECT_MAP + physical, length });
        }
        if end > 1 << physical_bits() {
            return None;
        }
        let (offset, first) = (physical % PAGE, physical & !(PAGE - 1));
        let pages = (offset + length).div_ceil(PAGE);
        let address = without_interrupts(|| MAPPED.lock().map(first, pages))?;
        Some(Self { address: address + offset, length })
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
