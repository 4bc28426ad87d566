//! Vcpus of one domain and another domain at the same frames at the same time, in real threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

use super::entry::Entry;
use super::epoch::{Epochs, Flushes};
use super::memory::Frames;
use super::page::{Owner, Page, Use};
use super::shape::Shape;
use super::{Machine, Outcome, Rules, Walk};

const FRAMES: u64 = 12;
const GUEST: Owner = 1;
/// Maps the guest's frames, and has no tables of its own.
const OTHER: Owner = 2;
/// Only so many entries of a table are used, so that changes meet.
const USED: u64 = 3;
const ACTS: usize = 30_000;

struct Memory {
    frames: Frames,
    entries: Vec<[AtomicU64; 512]>,
    flushes: Flushes,
    /// Of the domain's tables.
    lock: Mutex<()>,
    /// Makes steps end at different places.
    steps: AtomicU64,
}

impl Machine for Memory {
    fn page(&self, mfn: u64) -> Option<Page<'_>> {
        self.frames.page(mfn)
    }
    fn read(&self, mfn: u64, index: usize) -> Entry {
        Entry(self.entries[mfn as usize][index].load(Ordering::Relaxed))
    }
    fn write(&self, mfn: u64, index: usize, entry: Entry) {
        self.entries[mfn as usize][index].store(entry.0, Ordering::Relaxed);
    }
    fn exchange(&self, mfn: u64, index: usize, expected: Entry, new: Entry) -> bool {
        let word = &self.entries[mfn as usize][index];
        word.compare_exchange(expected.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
    fn complete(&self, _: u64, _: Use) {}
    fn is_io_allowed(&self, _: Owner, _: u64) -> bool {
        false
    }
    fn epochs(&self, _: Owner) -> Epochs {
        Epochs { owner: self.flushes.epoch(), all: self.flushes.epoch() }
    }
    fn flush(&self, _: Owner) {
        self.flushes.during(|| ());
    }
    fn flush_all(&self) {
        self.flushes.during(|| ());
    }
    fn free(&self, mfn: u64) {
        panic!("frame {mfn} is allocated");
    }
    fn should_yield(&self) -> bool {
        self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
    }
}

impl Memory {
    fn new() -> Self {
        let frames = Frames::new(FRAMES);
        frames.all().iter().for_each(|page| page.allocate(GUEST));
        let entries = (0..FRAMES).map(|_| [const { AtomicU64::new(0) }; 512]).collect();
        let (lock, steps) = (Mutex::new(()), AtomicU64::new(0));
        Self { frames, entries, flushes: Flushes::new(), lock, steps }
    }

    fn at(&self, mfn: u64) -> Page<'_> {
        self.frames.page(mfn).expect("a frame")
    }

    fn rules(&self, owner: Owner) -> Rules<'_, Self> {
        Rules { machine: self, owner, caching: false, shape: Shape::Wide }
    }

    /// A hypercall that is made again until it is over, or given up after some times.
    fn call(&self, mut times: u32, mut act: impl FnMut() -> Outcome) -> bool {
        loop {
            let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            if act() == Outcome::Done {
                return true;
            }
            if times == 0 {
                return false;
            }
            times -= 1;
        }
    }

    fn settle(&self, walk: &mut Walk) {
        self.call(u32::MAX, || self.rules(GUEST).settle(walk));
    }
}

/// What one vcpu of the guest does; gives what it pinned.
fn vcpu(memory: &Memory, seed: u64) -> Vec<(u64, Use)> {
    let rules = memory.rules(GUEST);
    let (mut state, mut walk, mut pinned) = (seed, Walk::default(), Vec::new());
    let mut below = |end: u64| {
        // Xorshift; Marsaglia, 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    for _ in 0..ACTS {
        let (mfn, index, to) = (below(FRAMES), below(USED) as usize, below(FRAMES));
        let flags = [0, Entry::PRESENT, Entry::PRESENT | Entry::WRITABLE][below(3) as usize];
        let (new, kind, times) =
            (Entry::new(to, flags), Use::table(below(4) as u8 + 1), below(8) as u32);
        match below(8) {
            0 | 1 => {
                // Data is written to without a lock, as by a mapping.
                if rules.get(mfn, GUEST, Use::Writable).is_ok() {
                    memory.write(mfn, index, new);
                    let is_data = memory.at(mfn).usage().0 == Use::Writable;
                    assert!(is_data, "frame {mfn} became something else while it was written to");
                    rules.release(Entry::new(mfn, Entry::PRESENT | Entry::WRITABLE));
                }
            }
            2 | 3 => {
                let mut got = None;
                memory.call(times, || match rules.get_table(mfn, kind, &mut walk) {
                    Ok(outcome) => {
                        got = Some(outcome);
                        outcome
                    }
                    Err(_) => Outcome::Done,
                });
                if got == Some(Outcome::Done) {
                    pinned.push((mfn, kind));
                }
            }
            4 if !pinned.is_empty() => {
                let (mfn, kind) = pinned.swap_remove(below(pinned.len() as u64) as usize);
                memory.settle(&mut walk);
                memory.call(0, || {
                    rules.put_table(mfn, kind, &mut walk);
                    Outcome::Done
                });
            }
            _ => {
                memory.call(times, || {
                    let page = memory.at(mfn);
                    match page.usage() {
                        (_, 0) => Outcome::Done,
                        (Use::L1, _) if page.is_valid() => {
                            let _ = rules.update_mapping(mfn, index, GUEST, |_| new);
                            Outcome::Done
                        }
                        (kind, _) if page.is_valid() && kind.level().is_some() => {
                            let place = (mfn, kind);
                            let updated = rules.update_table(place, index, new, &mut walk);
                            updated.unwrap_or(Outcome::Done)
                        }
                        _ => Outcome::Done,
                    }
                });
            }
        }
    }
    memory.settle(&mut walk);
    pinned
}

/// What another domain does that may map the guest's frames: it needs no lock of the guest.
fn mapper(memory: &Memory) {
    let rules = memory.rules(OTHER);
    for number in 0..ACTS as u64 * 4 {
        let flags = [Entry::PRESENT, Entry::PRESENT | Entry::WRITABLE][number as usize % 2];
        let mfn = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        if let Ok(held) = rules.hold(Entry::new(mfn % FRAMES, flags), GUEST) {
            if held.is_writable() {
                let kind = memory.at(held.mfn()).usage().0;
                assert_eq!(kind, Use::Writable, "frame {} was to be written to", held.mfn());
            }
            rules.release(held);
        }
    }
}

#[test]
fn what_many_do_at_once_is_counted_as_one_by_one() {
    let memory = Memory::new();
    let pinned: Vec<(u64, Use)> = std::thread::scope(|scope| {
        let vcpus: Vec<_> = [1, 2, 3]
            .map(|seed: u64| {
                scope.spawn({
                    let memory = &memory;
                    move || vcpu(memory, seed.wrapping_mul(0x5851_f42d_4c95_7f2d))
                })
            })
            .into();
        scope.spawn(|| mapper(&memory));
        vcpus.into_iter().flat_map(|vcpu| vcpu.join().expect("a vcpu's thread")).collect()
    });
    let mut walk = Walk::default();
    for (mfn, kind) in pinned {
        memory.settle(&mut walk);
        memory.rules(GUEST).put_table(mfn, kind, &mut walk);
    }
    memory.settle(&mut walk);
    let is_free = |page: &Page| (page.references(), page.usage().1) == (1, 0);
    let pages = memory.frames.all();
    assert!(pages.iter().all(is_free), "{pages:#?}");
}
