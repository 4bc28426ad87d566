//! The machine as the rules for page tables see it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hypervisor::paging::Machine;
use hypervisor::paging::entry::Entry;
use hypervisor::paging::epoch::{Epoch, Epochs, Flushes};
use hypervisor::paging::page::{Owner, Page, Use};

use crate::arch::processor::{self, Processor};
use crate::arch::{cpu, memory, platform, shootdown};
use crate::{domain, frames, interrupts, machine_to_physical};

/// All frames and processors.
pub struct Host;

/// What the rules ask of each domain all the time, by its place in the table of domains.
struct Facts {
    /// Complete TLB flushes of its processors.
    flushes: Flushes,
    /// It has devices.
    is_privileged: AtomicBool,
    /// Frames that it was given and that are not free again. Some may outlive it, as long as others
    /// map them.
    frames: AtomicU64,
    /// Frames that the hypervisor shares with it.
    shared: AtomicU64,
}

static FACTS: [Facts; 256] = [const {
    Facts {
        flushes: Flushes::new(),
        is_privileged: AtomicBool::new(false),
        frames: AtomicU64::new(0),
        shared: AtomicU64::new(0),
    }
}; 256];
/// Complete TLB flushes of all processors.
static ALL: Flushes = Flushes::new();

/// Says whether a domain has devices.
pub fn set_privileged(owner: Owner, is_privileged: bool) {
    FACTS[usize::from(owner)].is_privileged.store(is_privileged, Ordering::Relaxed);
}

impl Machine for Host {
    fn page(&self, mfn: u64) -> Option<Page<'_>> {
        frames::page(mfn)
    }

    fn read(&self, mfn: u64, index: usize) -> Entry {
        Entry(memory::word(mfn, index).load(Ordering::Relaxed))
    }

    fn skip_zeros(&self, mfn: u64, mut index: usize, end: usize) -> usize {
        const EIGHT: usize = 8;
        while index < end {
            let is_whole = index.is_multiple_of(EIGHT) && index + EIGHT <= end;
            if is_whole && memory::are_eight_zero(mfn, index) {
                index += EIGHT;
                continue;
            }
            if memory::word(mfn, index).load(Ordering::Relaxed) != 0 {
                break;
            }
            index += 1;
        }
        index
    }

    fn write(&self, mfn: u64, index: usize, entry: Entry) {
        memory::word(mfn, index).store(entry.0, Ordering::Relaxed);
    }

    fn exchange(&self, mfn: u64, index: usize, expected: Entry, new: Entry) -> bool {
        let word = memory::word(mfn, index);
        word.compare_exchange(expected.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn complete(&self, mfn: u64, kind: Use) {
        if kind == Use::LastL2 {
            return machine_to_physical::complete(mfn);
        }
        let owner = frames::page(mfn).and_then(Page::owner);
        if let Some(domain) = owner.and_then(domain::at) {
            domain.complete_table(mfn);
        }
    }

    fn is_io_allowed(&self, owner: Owner, mfn: u64) -> bool {
        let is_privileged = FACTS[usize::from(owner)].is_privileged.load(Ordering::Relaxed);
        // Below 1 MiB, frames have a bit of both (the BIOS's data); only whole ones are given away.
        let is_device = match mfn {
            0 => true,
            1..0x100 => !frames::is_all_memory(mfn),
            _ => !frames::is_memory(mfn) && mfn < cpu::physical_frames(),
        };
        is_privileged && is_device && !platform::is_interrupt_page(mfn << 12)
    }

    fn epochs(&self, owner: Owner) -> Epochs {
        Epochs { owner: FACTS[usize::from(owner)].flushes.epoch(), all: ALL.epoch() }
    }

    fn flush(&self, owner: Owner) {
        flush(owner);
    }

    fn flush_all(&self) {
        flush_all();
    }

    fn free(&self, mfn: u64) {
        let Some(page) = frames::page(mfn) else { return };
        let facts = &FACTS[usize::from(page.last_owner())];
        let count = if page.is_shared() { &facts.shared } else { &facts.frames };
        // A processor may remember where it was mapped, if only to be read.
        frames::give_used(mfn);
        count.fetch_sub(1, Ordering::AcqRel);
    }

    fn should_yield(&self) -> bool {
        interrupts::are_waiting()
    }
}

/// Counts frames that a domain is given; false if it would have more than it may.
pub fn count_frames(owner: Owner, count: u64, most: u64) -> bool {
    let frames = &FACTS[usize::from(owner)].frames;
    let more = |has: u64| has.checked_add(count).filter(|has| *has <= most);
    frames.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
}

/// Takes that back: they are not given.
pub fn uncount_frames(owner: Owner, count: u64) {
    FACTS[usize::from(owner)].frames.fetch_sub(count, Ordering::AcqRel);
}

/// Counts a frame that the hypervisor shares with a domain.
pub fn count_shared(owner: Owner) {
    FACTS[usize::from(owner)].shared.fetch_add(1, Ordering::AcqRel);
}

/// How many frames a domain has.
pub fn frames_of(owner: Owner) -> u64 {
    FACTS[usize::from(owner)].frames.load(Ordering::Acquire)
}

/// Whether any frame names a domain at that place of the table as its owner.
pub fn has_frames(owner: Owner) -> bool {
    frames_of(owner) != 0 || FACTS[usize::from(owner)].shared.load(Ordering::Acquire) != 0
}

/// Has no processor remember a translation of a domain.
pub fn flush(owner: Owner) {
    let is_meant = |processor: &Processor| processor.remembers(owner);
    FACTS[usize::from(owner)].flushes.during(|| shootdown::flush(is_meant));
}

/// Has this processor forget the translations of a domain; if no other remembers any, none does.
pub fn flush_here(owner: Owner) {
    let this = processor::this();
    let mut others = processor::others();
    match others.any(|other| other.remembers(owner)) {
        true => this.flush(),
        false => flush(owner),
    }
}

/// Has no processor remember any translation.
pub fn flush_all() {
    ALL.during(|| shootdown::flush(Processor::remembers_any));
}

/// How far flushes of all processors are.
pub fn epoch_of_all() -> Epoch {
    ALL.epoch()
}
