//! What a vcpu of a guest of 32 bits has of the hypervisor's memory: the table of level 4 above the
//! guest's three levels, and pages where the arguments of its hypercalls are translated to.
//!
//! The guest names addresses below 4 GiB only; what is mapped above is nobody's but the hypervisor's.

use core::sync::atomic::Ordering;

use hypervisor::paging::entry::{Entry, slot};

use crate::arch::memory;
use crate::domain::Domain;
use crate::frames;

/// Where the pages are, in the second slot of level 4.
pub const SCRATCH: u64 = 1 << 39;
/// Pages there, enough for all registers of a vcpu.
const PAGES: usize = 3;
/// Bytes there.
pub const SCRATCH_SIZE: u64 = (PAGES as u64) << 12;

const TABLE: u64 = Entry::PRESENT | Entry::WRITABLE | Entry::ACCESSED | Entry::DIRTY;

/// See above.
pub struct Narrow {
    /// The table of level 4.
    root: u64,
    /// The table of level 3 of the pages.
    pages_table: u64,
    pages: [u64; PAGES],
    /// The guest's own top table, of level 3; 0 is none yet.
    pub table: u64,
}

impl Narrow {
    /// Makes it for a vcpu of that domain; none if memory ran out.
    pub fn new(domain: &Domain) -> Option<Self> {
        const FRAMES: u64 = 2 + 2 + PAGES as u64;
        // What is made of several frames can't fail half-way.
        if !frames::can_spare(FRAMES) {
            return None;
        }
        let [root, pages_table] = [frames::take()?, frames::take()?];
        memory::clear(root);
        memory::clear(pages_table);
        memory::prepare_of_domain(pages_table, SCRATCH)?;
        let mut pages = [0; PAGES];
        for (place, page) in (SCRATCH..).step_by(4096).zip(&mut pages) {
            *page = frames::take()?;
            memory::clear(*page);
            memory::map_of_domain(pages_table, place, *page);
        }
        domain.complete_table(root);
        let entry = Entry::new(pages_table, TABLE);
        memory::word(root, slot(SCRATCH, 4)).store(entry.0, Ordering::Relaxed);
        Some(Self { root, pages_table, pages, table: 0 })
    }

    /// The table of level 4, which the processor uses.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Has another table of the guest's used, which is counted, or none; the old one.
    pub fn set_table(&mut self, mfn: u64) -> u64 {
        let entry = if mfn == 0 { Entry(0) } else { Entry::new(mfn, TABLE | Entry::USER) };
        memory::word(self.root, 0).store(entry.0, Ordering::Relaxed);
        core::mem::replace(&mut self.table, mfn)
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        memory::give_of_domain(self.pages_table);
        self.pages.iter().for_each(|page| frames::give_used(*page));
        frames::give_used(self.root);
    }
}
