//! The first page tables of a domain. Pure: page numbers in, pages of entries out.

use xen::abi::{PAGE_SHIFT, PAGE_SIZE};

use crate::layout::Layout;

/// One page of 512 entries, as bytes.
pub type Table = [u8; PAGE_SIZE];

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
/// PV kernels run in ring 3.
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LEAF: u64 = PRESENT | USER | ACCESSED;
const BRANCH: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;

/// Makes all page tables: `(pfn, contents)`, each table once.
pub fn make(layout: &Layout, mfn: impl Fn(u64) -> u64) -> Vec<(u64, Table)> {
    let mut tables = Tables { mfn, layout, made: vec![(layout.tables.start, [0; PAGE_SIZE])] };
    let mut free = layout.tables.clone().skip(1);
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
}

impl<F: Fn(u64) -> u64> Tables<'_, F> {
    /// Maps one page; tables that are missing on the way are taken from `free`.
    fn map(&mut self, address: u64, pfn: u64, free: &mut impl Iterator<Item = u64>) {
        let mut table = 0;
        for shift in [39, 30, 21] {
            let index = (address >> shift) as usize % 512;
            table = match self.child(table, index) {
                Some(child) => child,
                None => self.add(table, index, free),
            };
        }
        // The hypervisor refuses tables that their owner could write to.
        let writable = if self.layout.is_table(pfn) { 0 } else { WRITABLE };
        let index = (address >> PAGE_SHIFT) as usize % 512;
        let entry = (self.mfn)(pfn) << PAGE_SHIFT | LEAF | writable;
        self.set(table, index, entry);
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
        self.set(table, index, (self.mfn)(pfn) << PAGE_SHIFT | BRANCH);
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
    use crate::layout::Needs;
    use std::collections::HashMap;

    /// Machine frames in some other order than the guest's.
    fn mfn(pfn: u64) -> u64 {
        0x10_0000 + (pfn ^ 0x55)
    }

    /// Walks the tables as a processor would.
    fn walk(tables: &HashMap<u64, Table>, root: u64, address: u64) -> Option<(u64, bool)> {
        let mut table = root;
        for shift in [39, 30, 21] {
            let entry = entry(&tables[&table], (address >> shift) as usize % 512);
            if entry & PRESENT == 0 {
                return None;
            }
            table = entry >> PAGE_SHIFT;
        }
        let entry = entry(&tables[&table], (address >> 12) as usize % 512);
        (entry & PRESENT != 0).then_some((entry >> PAGE_SHIFT, entry & WRITABLE != 0))
    }

    fn check(p2m_base: Option<u64>, kernel_end: u64, total: u64) {
        let needs = Needs {
            virt_base: 0xffff_ffff_8000_0000,
            entry: 0xffff_ffff_8100_0000,
            kernel_end,
            hypercall_page: None,
            p2m_base,
            ramdisk_outside: true,
        };
        let layout = Layout::new(&needs, 5 << 20, total).unwrap();
        let made = make(&layout, mfn);
        assert_eq!(made.len() as u64, {
            let used = |range: &std::ops::Range<u64>| range.end - range.start;
            used(&layout.tables) + used(&layout.p2m_tables)
        });
        let tables: HashMap<u64, Table> =
            made.into_iter().map(|(pfn, table)| (mfn(pfn), table)).collect();
        let root = mfn(layout.tables.start);
        for pfn in layout.mapped.clone() {
            let writable = !layout.is_table(pfn);
            assert_eq!(walk(&tables, root, layout.address(pfn)), Some((mfn(pfn), writable)));
        }
        assert_eq!(walk(&tables, root, layout.address(layout.mapped.end)), None);
        if let Some(base) = p2m_base {
            for (index, pfn) in layout.p2m.clone().enumerate() {
                let address = base + ((index as u64) << PAGE_SHIFT);
                assert_eq!(walk(&tables, root, address), Some((mfn(pfn), true)));
            }
        }
    }

    #[test]
    fn every_page_is_mapped_once_and_tables_are_read_only() {
        check(Some(0x80_0000_0000), 74 << 20, 65_536);
        check(None, 74 << 20, 65_536);
        check(Some(0x80_0000_0000), 20 << 20, 600_000);
    }
}
