//! The page tables of a guest, looked up as the processor does.

use core::sync::atomic::Ordering;

use hypervisor::paging::entry::{Entry, is_guest_address, slot};

use crate::arch::memory;
use crate::frames;

/// Where an address is mapped: the table of level 1, the index in it, and the entry. None if there
/// is no such table.
pub fn lookup(root: u64, address: u64) -> Option<(u64, usize, Entry)> {
    if !is_guest_address(address) {
        return None;
    }
    let mut table = root;
    for level in [4, 3, 2] {
        let entry = Entry(memory::word(table, slot(address, level)).load(Ordering::Relaxed));
        if !entry.is_present() || entry.has(Entry::LARGE) || entry.mfn() >= frames::end() {
            return None;
        }
        table = entry.mfn();
    }
    let index = slot(address, 1);
    Some((table, index, Entry(memory::word(table, index).load(Ordering::Relaxed))))
}
