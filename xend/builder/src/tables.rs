//! The first page tables of a domain. Pure: page numbers in, pages of entries out.

use alloc::vec;
use alloc::vec::Vec;

use xen::abi::{PAGE_SHIFT, PAGE_SIZE};

use crate::layout::Layout;
use crate::width::Width;

/// One page of 512 entries, as bytes.
pub type Table = [u8; PAGE_SIZE];

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
/// A table of level 1 maps 2 to the power of this many bytes.
const REACH: u32 = 21;
/// PV kernels of 64 bits run in ring 3.
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LEAF: u64 = PRESENT | ACCESSED;
const BRANCH: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;

/// Makes all page tables: `(pfn, contents)`, each table once.
pub fn make(layout: &Layout, mfn: impl Fn(u64) -> u64) -> Vec<(u64, Table)> {
    let made = vec![(layout.tables.start, [0; PAGE_SIZE])];
    let mut tables = Tables { mfn, layout, made, last: None };
    let mut free = layout.tables.clone().skip(1);
    if let Some(address) = layout.width.always_there() {
        tables.table(address, 2, &mut free);
    }
    for pfn in layout.mapped.clone() {
        tables.map(layout.address(pfn), pfn, &mut free);
    }
    if let Some(base) = layout.p2m_base {
        let mut free = layout.p2m_tables.clone();
        for (index, pfn) in layout.p2m.clone().enumerate() {
            tables.map(base + ((index as u64) << PAGE_SHIFT), pfn, &mut free);
        }
    }
    tables.made
}

struct Tables<'a, F> {
    mfn: F,
    layout: &'a Layout,
    /// Few enough to be searched; neighbours are found at the end.
    made: Vec<(u64, Table)>,
    /// The last table of level 1: what it maps, in its own size, and its place.
    last: Option<(u64, usize)>,
}

impl<F: Fn(u64) -> u64> Tables<'_, F> {
    /// Maps one page; tables that are missing on the way are taken from `free`.
    fn map(&mut self, address: u64, pfn: u64, free: &mut impl Iterator<Item = u64>) {
        let table = match self.last {
            Some((mapped, table)) if mapped == address >> REACH => table,
            _ => self.table(address, 1, free),
        };
        self.last = Some((address >> REACH, table));
        let user = if self.layout.width == Width::Bits64 { USER } else { 0 };
        // The hypervisor refuses tables that their owner could write to.
        let writable = if self.layout.is_table(pfn) { 0 } else { WRITABLE };
        let index = (address >> PAGE_SHIFT) as usize % 512;
        let entry = (self.mfn)(pfn) << PAGE_SHIFT | LEAF | user | writable;
        self.set(table, index, entry);
    }

    /// The table of that level for an address.
    fn table(&mut self, address: u64, level: u8, free: &mut impl Iterator<Item = u64>) -> usize {
        let width = self.layout.width;
        let steps = usize::from(width.levels() - level);
        let mut table = 0;
        for shift in &width.shifts()[..steps] {
            let index = (address >> shift) as usize % 512;
            table = match self.child(table, index) {
                Some(child) => child,
                None => self.add(table, index, free),
            };
        }
        table
    }

    fn child(&self, table: usize, index: usize) -> Option<usize> {
        let entry = entry(&self.made[table].1, index);
        let mfn = entry >> PAGE_SHIFT;
        if entry & PRESENT == 0 {
            return None;
        }
        self.made.iter().rposition(|(pfn, _)| (self.mfn)(*pfn) == mfn)
    }

    fn add(&mut self, table: usize, index: usize, free: &mut impl Iterator<Item = u64>) -> usize {
        let pfn = free.next().expect("the layout counts the tables that are needed");
        self.made.push((pfn, [0; PAGE_SIZE]));
        // The top table of 32 bits has no rights in its entries.
        let is_top = self.layout.width == Width::Bits32 && table == 0;
        let flags = if is_top { PRESENT } else { BRANCH };
        self.set(table, index, (self.mfn)(pfn) << PAGE_SHIFT | flags);
        self.made.len() - 1
    }

    fn set(&mut self, table: usize, index: usize, entry: u64) {
        self.made[table].1[index * 8..][..8].copy_from_slice(&entry.to_le_bytes());
    }
}

/// An entry of a table.
pub fn entry(table: &Table, index: usize) -> u64 {
    u64::from_le_bytes(table[index * 8..][..8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::tests::any_needs;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, HashMap};

    /// Machine frames in some other order than the guest's.
    fn mfn(pfn: u64) -> u64 {
        0x10_0000 + (pfn ^ 0x55)
    }

    /// What is mapped: machine frame and whether it can be written to, by address.
    type Mapped = BTreeMap<u64, (u64, bool)>;

    /// Walks the tables as a processor would. Every branch's frame goes to `used`.
    fn walk(
        tables: &HashMap<u64, Table>,
        (root, shift, base): (u64, u32, u64),
        used: &mut Vec<u64>,
        mapped: &mut Mapped,
    ) {
        used.push(root);
        for index in 0..512 {
            let entry = entry(&tables[&root], index);
            let address = base | (index as u64) << shift;
            match entry & PRESENT {
                0 => assert_eq!(entry, 0),
                _ if shift == PAGE_SHIFT => {
                    mapped.insert(address, (entry >> PAGE_SHIFT, entry & WRITABLE != 0));
                }
                _ => walk(tables, (entry >> PAGE_SHIFT, shift - 9, address), used, mapped),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_page_is_mapped_once_and_tables_are_read_only(
            needs in any_needs(), ramdisk in 0_u64..50 << 20, total in 20_000_u64..600_000,
        ) {
            let Ok(layout) = Layout::new(&needs, ramdisk, total) else { return Ok(()) };
            let made = make(&layout, mfn);
            let tables: HashMap<u64, Table> =
                made.iter().map(|(pfn, table)| (mfn(*pfn), *table)).collect();
            let (mut used, mut mapped) = (Vec::new(), Mapped::new());
            let top = layout.width.shifts()[0];
            walk(&tables, (mfn(layout.tables.start), top, 0), &mut used, &mut mapped);
            if layout.width == Width::Bits32 {
                let entries = (0..512).map(|index| entry(&tables[&mfn(layout.tables.start)], index));
                let present: Vec<usize> =
                    (0..).zip(entries).filter_map(|(at, entry)| (entry != 0).then_some(at)).collect();
                prop_assert!(present.contains(&3) && present.iter().all(|at| *at < 4));
            }

            let mut pages: Vec<u64> = made.iter().map(|(pfn, _)| *pfn).collect();
            let announced: Vec<u64> =
                layout.tables.clone().chain(layout.p2m_tables.clone()).collect();
            pages.sort_unstable();
            prop_assert_eq!(&pages, &announced);
            // Each is reached, and by one way only.
            used.sort_unstable();
            let mut frames: Vec<u64> = announced.into_iter().map(mfn).collect();
            frames.sort_unstable();
            prop_assert_eq!(used, frames);

            let low = |address: u64| address & ((1 << 48) - 1);
            let initial = layout.mapped.clone().map(|pfn| {
                (low(layout.address(pfn)), (mfn(pfn), !layout.is_table(pfn)))
            });
            let list = layout.p2m.clone().zip(0..).filter_map(|(pfn, index)| {
                Some((layout.p2m_base? + (index << PAGE_SHIFT), (mfn(pfn), true)))
            });
            prop_assert_eq!(mapped, initial.chain(list).collect::<Mapped>());
        }
    }
}
