//! The machine as the rules for page tables see it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hypervisor::paging::Machine;
use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::{Owner, Page};

use crate::arch::{memory, platform, processor};
use crate::{domain, frames, interrupts};

/// All frames and processors.
pub struct Host;

/// What the rules ask of each domain all the time, by its place in the table of domains.
struct Facts {
    /// Complete TLB flushes so far.
    epoch: AtomicU64,
    /// It has devices.
    is_privileged: AtomicBool,
}

static FACTS: [Facts; 256] =
    [const { Facts { epoch: AtomicU64::new(0), is_privileged: AtomicBool::new(false) } }; 256];

/// Says whether a domain has devices.
pub fn set_privileged(owner: Owner, is_privileged: bool) {
    FACTS[usize::from(owner)].is_privileged.store(is_privileged, Ordering::Relaxed);
}

impl Machine for Host {
    fn page(&self, mfn: u64) -> Option<&Page> {
        frames::page(mfn)
    }

    fn read(&self, mfn: u64, index: usize) -> Entry {
        Entry(memory::word(mfn, index).load(Ordering::Relaxed))
    }

    fn write(&self, mfn: u64, index: usize, entry: Entry) {
        memory::word(mfn, index).store(entry.0, Ordering::Relaxed);
    }

    fn exchange(&self, mfn: u64, index: usize, expected: Entry, new: Entry) -> bool {
        let word = memory::word(mfn, index);
        word.compare_exchange(expected.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn complete(&self, mfn: u64) {
        let owner = frames::page(mfn).and_then(Page::owner);
        if let Some(domain) = owner.and_then(domain::at) {
            domain.complete_table(mfn);
        }
    }

    fn is_io_allowed(&self, owner: Owner, mfn: u64) -> bool {
        let is_privileged = FACTS[usize::from(owner)].is_privileged.load(Ordering::Relaxed);
        let is_device = mfn < 0x100 || !frames::is_memory(mfn);
        is_privileged && is_device && !platform::is_interrupt_page(mfn << 12)
    }

    fn epoch(&self, owner: Owner) -> u64 {
        FACTS[usize::from(owner)].epoch.load(Ordering::Relaxed)
    }

    fn flush(&self, owner: Owner) {
        flush(owner);
    }

    fn free(&self, mfn: u64) {
        frames::give(mfn);
    }

    fn should_yield(&self) -> bool {
        interrupts::are_waiting()
    }
}

/// Has no processor remember a translation of a domain.
pub fn flush(owner: Owner) {
    FACTS[usize::from(owner)].epoch.fetch_add(1, Ordering::Relaxed);
    processor::this().flush();
}
