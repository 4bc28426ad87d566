//! What goes to which page of a new domain. Pure arithmetic.
//!
//! ```text
//! pfn 0 ... kernel ... [ramdisk] [p2m] start info, store ring, console ring, page tables, stack,
//!     padding to 4 MiB with at least 512 KiB          <- all this is mapped at virt_base
//!     [ramdisk] [p2m and its page tables]             <- where the kernel allows it, outside
//! ```
//!
//! The order and the padding are what `xen.h` promises to kernels.

use alloc::format;
use alloc::string::String;
use core::ops::Range;

use xen::abi::{PAGE_SHIFT, PAGE_SIZE};

use crate::error::Error;
use crate::pages;
use crate::width::Width;

/// Alignment of the end of the initial mapping, in bytes.
const MAP_ALIGN: u64 = 4 << 20;
/// What has to be free behind the stack, in bytes.
const PADDING: u64 = 512 << 10;
/// The most pages, 16 TiB: more can't be named in the grants of the rings (grant_table.h, v1).
const MAX_PAGES: u64 = 1 << 32;

/// What a kernel needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// How wide its addresses are.
    pub width: Width,
    /// Virtual address of pfn 0.
    pub virt_base: u64,
    /// Virtual address at which it starts.
    pub entry: u64,
    /// Physical address of its end.
    pub kernel_end: u64,
    /// Physical address of the page for hypercalls.
    pub hypercall_page: Option<u64>,
    /// Where the pfn-to-mfn list is mapped; if nowhere, it goes into the initial mapping.
    pub p2m_base: Option<u64>,
    /// The ramdisk may be outside the initial mapping.
    pub ramdisk_outside: bool,
}

impl Needs {
    /// How many bytes the initial mapping may have.
    fn room(&self) -> u64 {
        self.width.room(self.virt_base)
    }

    /// Fails if an address can't be used.
    pub(crate) fn checked(self) -> Result<Self, String> {
        let usable = |address: u64| {
            let is_hypervisors = self.width.hypervisor().contains(&address);
            self.width.has(address) && address.is_multiple_of(MAP_ALIGN) && !is_hypervisors
        };
        if !usable(self.virt_base) || self.kernel_end > self.room() {
            return Err(format!("its base address {:#x} can't be used", self.virt_base));
        }
        match self.p2m_base {
            Some(base) if !usable(base) || base >> 39 == self.virt_base >> 39 => {
                Err(format!("its address for the p2m list, {base:#x}, can't be used"))
            }
            Some(base) if base & ((1 << 39) - 1) != 0 => {
                Err(format!("its address for the p2m list, {base:#x}, is not aligned to 512 GiB"))
            }
            _ => Ok(self),
        }
    }
}

/// Page frame numbers of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How wide the kernel's addresses are.
    pub width: Width,
    /// All pages.
    pub total: u64,
    /// Virtual address of pfn 0.
    pub virt_base: u64,
    /// Virtual address at which the kernel starts.
    pub entry: u64,
    /// The page for hypercalls.
    pub hypercall_page: Option<u64>,
    /// The ramdisk, rounded up.
    pub ramdisk: Range<u64>,
    /// The ramdisk is outside the initial mapping.
    pub ramdisk_outside: bool,
    /// The pfn-to-mfn list.
    pub p2m: Range<u64>,
    /// The page tables of a list outside the initial mapping.
    pub p2m_tables: Range<u64>,
    /// Where such a list is mapped.
    pub p2m_base: Option<u64>,
    /// The start info page.
    pub start_info: u64,
    /// The store's ring.
    pub store: u64,
    /// The console's ring.
    pub console: u64,
    /// Page tables of the initial mapping, the top one first.
    pub tables: Range<u64>,
    /// The stack's page.
    pub stack: u64,
    /// The pages of the initial mapping.
    pub mapped: Range<u64>,
}

/// Hands out pages in order.
struct Cursor(u64);

impl Cursor {
    fn take(&mut self, pages: u64) -> Range<u64> {
        let start = self.0;
        self.0 += pages;
        start..self.0
    }
}

impl Layout {
    /// Lays out a domain of `total` pages; fails if it is too small or impossibly large.
    pub fn new(needs: &Needs, ramdisk_bytes: u64, total: u64) -> Result<Self, Error> {
        if total > MAX_PAGES {
            return Err(Error::TooLarge { given: total });
        }
        let mut cursor = Cursor(pages(needs.kernel_end));
        let ramdisk_pages = pages(ramdisk_bytes);
        let p2m_pages = pages(total * needs.width.word());
        let mut ramdisk = 0..0;
        let mut p2m = 0..0;
        if !needs.ramdisk_outside {
            ramdisk = cursor.take(ramdisk_pages);
        }
        if needs.p2m_base.is_none() {
            p2m = cursor.take(p2m_pages);
        }
        let start_info = cursor.take(1).start;
        let store = cursor.take(1).start;
        let console = cursor.take(1).start;
        let (table_pages, end) = initial_mapping(needs, cursor.0);
        if end << PAGE_SHIFT > needs.room() {
            return Err(Error::TooMuchToMap);
        }
        let tables = cursor.take(table_pages);
        let stack = cursor.take(1).start;
        let mut cursor = Cursor(end);
        if needs.ramdisk_outside {
            ramdisk = cursor.take(ramdisk_pages);
        }
        let mut p2m_tables = cursor.0..cursor.0;
        if let Some(base) = needs.p2m_base {
            p2m = cursor.take(p2m_pages);
            p2m_tables = cursor.take(needs.width.tables_for(base, p2m_pages * PAGE_SIZE as u64));
        }
        if cursor.0 > total {
            return Err(Error::TooSmall { given: total, needed: cursor.0 });
        }
        Ok(Self {
            width: needs.width,
            total,
            virt_base: needs.virt_base,
            entry: needs.entry,
            hypercall_page: needs.hypercall_page.map(|address| address >> PAGE_SHIFT),
            ramdisk,
            ramdisk_outside: needs.ramdisk_outside,
            p2m,
            p2m_tables,
            p2m_base: needs.p2m_base,
            start_info,
            store,
            console,
            tables,
            stack,
            mapped: 0..end,
        })
    }

    /// The virtual address of a page of the initial mapping.
    pub fn address(&self, pfn: u64) -> u64 {
        self.virt_base + (pfn << PAGE_SHIFT)
    }

    /// Whether a page is one of the page tables.
    pub fn is_table(&self, pfn: u64) -> bool {
        self.tables.contains(&pfn) || self.p2m_tables.contains(&pfn)
    }
}

/// How many page tables the initial mapping needs, the top one included, and its end in pages,
/// when `used` pages come before the tables. The tables are in the mapping themselves, so their
/// number is found by trying.
fn initial_mapping(&Needs { width, virt_base, .. }: &Needs, used: u64) -> (u64, u64) {
    let mut tables = 1;
    loop {
        let stack_end = (used + tables + 1) << PAGE_SHIFT;
        let end = (stack_end + PADDING).next_multiple_of(MAP_ALIGN);
        // An end beyond the address space is refused by the caller.
        let needed = 1 + width.tables_for(virt_base, end.min(u64::MAX - virt_base));
        if needed <= tables {
            return (tables, end >> PAGE_SHIFT);
        }
        tables = needed;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    pub(crate) fn any_needs() -> impl Strategy<Value = Needs> {
        let ends = 1_u64..200 << 20;
        // 32 bits: at 3 GiB as Linux, below, so that the last GiB is nearly empty, or across.
        let bases = prop_oneof![
            3 => Just((Width::Bits64, 0xffff_ffff_8000_0000)),
            2 => Just((Width::Bits32, 0xc000_0000)),
            1 => Just((Width::Bits32, 0x4000_0000)),
            1 => Just((Width::Bits32, 0xb800_0000)),
        ];
        (bases, ends, any::<bool>(), any::<bool>()).prop_map(
            |((width, virt_base), kernel_end, p2m_outside, ramdisk_outside)| Needs {
                width,
                virt_base,
                entry: virt_base,
                kernel_end,
                hypercall_page: Some(0),
                p2m_base: (p2m_outside && width == Width::Bits64).then_some(0x80_0000_0000),
                ramdisk_outside,
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_overlaps_and_everything_is_inside(
            needs in any_needs(), ramdisk in 0_u64..50 << 20, total in 1_u64..300_000,
        ) {
            let Ok(layout) = Layout::new(&needs, ramdisk, total) else { return Ok(()) };
            let one = |pfn: u64| pfn..pfn + 1;
            let mut parts = vec![
                0..pages(needs.kernel_end), layout.ramdisk.clone(), layout.p2m.clone(),
                layout.p2m_tables.clone(), one(layout.start_info), one(layout.store),
                one(layout.console), layout.tables.clone(), one(layout.stack),
            ];
            parts.retain(|part| !part.is_empty());
            parts.sort_by_key(|part| part.start);
            for pair in parts.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start, "{:?}", parts);
            }
            prop_assert!(parts.last().unwrap().end <= total);
            prop_assert!(layout.stack < layout.mapped.end);
            prop_assert!((layout.mapped.end - layout.stack - 1) << PAGE_SHIFT >= PADDING);
            prop_assert!(layout.mapped.end <= total);
        }

        #[test]
        fn a_domain_of_the_size_asked_for_is_large_enough(needs in any_needs(), ramdisk in 0_u64..50 << 20) {
            let Err(Error::TooSmall { needed, .. }) = Layout::new(&needs, ramdisk, 1) else {
                panic!("one page was enough");
            };
            // The p2m list grows with the domain, so one more try may be needed.
            let again = match Layout::new(&needs, ramdisk, needed) {
                Err(Error::TooSmall { needed, .. }) => Layout::new(&needs, ramdisk, needed + 1),
                other => other,
            };
            prop_assert!(again.is_ok());
        }
    }

    #[test]
    fn sizes_beyond_reason_are_errors() {
        let needs = Needs {
            width: Width::Bits64,
            virt_base: 0xffff_ffff_8000_0000,
            entry: 0xffff_ffff_8100_0000,
            kernel_end: 74 << 20,
            hypercall_page: None,
            p2m_base: Some(0x80_0000_0000),
            ramdisk_outside: true,
        };
        assert!(matches!(Layout::new(&needs, 0, u64::MAX), Err(Error::TooLarge { .. })));
        assert!(Layout::new(&needs, 0, MAX_PAGES).is_ok());
        assert!(matches!(
            Layout::new(&needs, i64::MAX as u64, 65_536),
            Err(Error::TooSmall { .. })
        ));
        let inside = Needs { p2m_base: None, ramdisk_outside: false, ..needs };
        assert!(matches!(Layout::new(&inside, i64::MAX as u64, 65_536), Err(Error::TooMuchToMap)));
        assert!(matches!(Layout::new(&inside, 0, MAX_PAGES), Err(Error::TooMuchToMap)));
    }

    #[test]
    fn bad_addresses_are_refused() {
        let good = Needs {
            width: Width::Bits64,
            virt_base: 0xffff_ffff_8000_0000,
            entry: 0xffff_ffff_8000_0000,
            kernel_end: 1 << 20,
            hypercall_page: None,
            p2m_base: Some(0x80_0000_0000),
            ramdisk_outside: true,
        };
        assert!(good.clone().checked().is_ok());
        for virt_base in [0xffff_ffff_8000_1000, 0x0000_9000_0000_0000, 0xffff_8000_0000_0000] {
            assert!(Needs { virt_base, ..good.clone() }.checked().is_err(), "{virt_base:#x}");
        }
        for p2m in [0xffff_ffff_0000_0000, 0x80_0000_1000, 0x80_4000_0000] {
            assert!(Needs { p2m_base: Some(p2m), ..good.clone() }.checked().is_err(), "{p2m:#x}");
        }
        let narrow = Needs { width: Width::Bits32, p2m_base: None, ..good };
        for (virt_base, is_good) in
            [(0xc000_0000, true), (0, true), (0xf580_0000, false), (1 << 32, false)]
        {
            let checked = Needs { virt_base, ..narrow.clone() }.checked();
            assert_eq!(checked.is_ok(), is_good, "{virt_base:#x}");
        }
    }
}
