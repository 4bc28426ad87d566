//! Physical memory: who has each frame, and which are free.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use hypervisor::bitmap::Bitmap;
use hypervisor::memory_map::{Kind, MemoryMap, Region};
use hypervisor::paging::Machine;
use hypervisor::paging::counts::{Count, Counts};
use hypervisor::paging::page::{Owner, Page};
use hypervisor::paging::word::Word;
use spin::Once;
use xen::abi::errno::{ENOMEM, Errno};

use crate::arch::memory;
use crate::host::{self, Host};
use crate::lock::Mutex;
use crate::machine_to_physical;

/// What no frame's pfn is (INVALID_M2P_ENTRY, arch-x86/xen.h).
pub const NO_PFN: u64 = !0;

struct Frames {
    machine_to_physical: &'static [AtomicU64],
    map: MemoryMap,
}

static FRAMES: Once<Frames> = Once::new();
static FREE: Once<Mutex<Bitmap<'static>>> = Once::new();
static END: AtomicU64 = AtomicU64::new(0);
/// The frames' words.
static WORDS: AtomicPtr<Word> = AtomicPtr::new(core::ptr::null_mut());
static COUNTS: Once<Counts> = Once::new();

/// Memory for a table of `count` values, taken from the map.
fn table<T>(
    map: &mut MemoryMap,
    count: usize,
    align: u64,
    value: impl Fn() -> T,
) -> &'static mut [T] {
    let size = (size_of::<T>() * count) as u64;
    let size = size.next_multiple_of(4096);
    let start = map.find(size, align, 4 << 30).expect("memory for the table of frames");
    let reserved = Region { start, end: start + size, kind: Kind::Reserved };
    map.set(reserved).expect("the memory map has room");
    let place = memory::direct(start).cast::<T>();
    for index in 0..count {
        // SAFETY: this memory is nobody else's, and mapped.
        unsafe { place.add(index).write(value()) };
    }
    // SAFETY: all values were written just now.
    unsafe { core::slice::from_raw_parts_mut(place, count) }
}

/// Takes over all memory of the map, in which what is in use is not RAM. `firmware` is the map as
/// it was reported.
pub fn init(mut map: MemoryMap, firmware: MemoryMap) {
    let end = map.top() >> 12;
    assert!(end <= 1 << 32, "frames' numbers have 32 bits in the table of counts");
    let words = table(&mut map, Bitmap::words_for(end), 4096, || 0_u64);
    let words_of_frames = table(&mut map, end as usize, 4096, Word::free);
    let counts = table(&mut map, Counts::entries_for(end), 4096, Count::default);
    let align = if end >= 512 * 512 { 2 << 20 } else { 4096 };
    let physical = table(&mut map, end as usize, align, || AtomicU64::new(NO_PFN));
    let machine_to_physical = memory::physical(physical.as_ptr() as u64) >> 12;
    let mut free = Bitmap::new(words);
    for region in map.ram() {
        (region.start.div_ceil(4096)..region.end >> 12).for_each(|mfn| free.give(mfn));
    }
    FREE.call_once(|| Mutex::new(free));
    WORDS.store(words_of_frames.as_mut_ptr(), Ordering::Relaxed);
    COUNTS.call_once(|| Counts::new(words_of_frames.as_ptr(), counts));
    END.store(end, Ordering::Relaxed);
    FRAMES.call_once(|| Frames { machine_to_physical: physical, map: firmware });
    let frames = (end * 8).div_ceil(4096);
    memory::finish(end << 12, machine_to_physical..machine_to_physical + frames);
}

/// The number behind the last frame.
#[inline]
pub fn end() -> u64 {
    END.load(Ordering::Relaxed)
}

fn frames() -> &'static Frames {
    FRAMES.get().expect("memory is taken over first")
}

fn bitmap() -> &'static Mutex<Bitmap<'static>> {
    FREE.get().expect("memory is taken over first")
}

/// Firmware's memory map.
pub fn firmware_map() -> &'static MemoryMap {
    &frames().map
}

/// Whether firmware calls any byte of a frame memory.
pub fn is_memory(mfn: u64) -> bool {
    let (start, end) = (mfn << 12, (mfn + 1) << 12);
    frames().map.ram().any(|region| region.start < end && start < region.end)
}

/// Whether firmware calls all of a frame memory.
pub fn is_all_memory(mfn: u64) -> bool {
    let (start, end) = (mfn << 12, (mfn + 1) << 12);
    frames().map.ram().any(|region| region.start <= start && end <= region.end)
}

/// A frame; there are none beyond memory.
#[inline]
pub fn page(mfn: u64) -> Option<Page<'static>> {
    if mfn >= end() {
        return None;
    }
    let words = WORDS.load(Ordering::Relaxed);
    // SAFETY: they are set before `END`, which isn't 0.
    unsafe { core::hint::assert_unchecked(!words.is_null()) };
    // SAFETY: there are as many words as frames, for ever.
    let word = unsafe { &*words.add(mfn as usize) };
    // SAFETY: they are there since before `END` was set.
    let counts = unsafe { COUNTS.get_unchecked() };
    Some(Page::new(word, counts))
}

/// Says where a frame is in its domain.
pub fn set_pfn(mfn: u64, pfn: u64) {
    if let Some(entry) = frames().machine_to_physical.get(mfn as usize) {
        entry.store(pfn, Ordering::Relaxed);
        machine_to_physical::set(mfn, pfn);
    }
}

/// Where a frame is in its domain.
pub fn pfn(mfn: u64) -> u64 {
    let entry = frames().machine_to_physical.get(mfn as usize);
    entry.map_or(NO_PFN, |entry| entry.load(Ordering::Relaxed))
}

/// How many frames are free.
pub fn free() -> u64 {
    bitmap().lock().free()
}

/// How many frames of memory the machine has.
pub fn total() -> u64 {
    frames().map.total() >> 12
}

/// Free frames that domains had may be remembered by processors until this flush of them all.
static NEEDED_FLUSH: AtomicU64 = AtomicU64::new(0);

/// Has processors forget where free frames were mapped, if any may remember.
fn forget() {
    if !host::epoch_of_all().has_ended(NEEDED_FLUSH.load(Ordering::Acquire)) {
        host::flush_all();
    }
}

/// Takes a frame; its contents are whatever they were.
pub fn take() -> Option<u64> {
    let taken = bitmap().lock().take();
    forget();
    taken
}

/// Takes frames in a row, the first a multiple of `align`.
pub fn take_run(count: u64, align: u64) -> Option<u64> {
    let taken = bitmap().lock().take_run(count, align);
    forget();
    taken
}

/// Frames that are left for the hypervisor's own needs when domains, or much at once, are wanted.
const KEPT: u64 = 256;

/// Whether so many frames can be had and enough are left.
pub fn can_spare(count: u64) -> bool {
    free() >= count + KEPT
}

/// Frames that domains were promised and have not taken yet, all together.
static CLAIMED: Mutex<u64> = Mutex::new(0);

/// How many frames are promised.
pub fn claimed() -> u64 {
    *CLAIMED.lock()
}

/// Promises a domain so many frames instead of those that it was promised before; false if there
/// are not as many.
pub fn claim(own: &AtomicU64, count: u64) -> bool {
    let mut claimed = CLAIMED.lock();
    let others = *claimed - own.load(Ordering::Relaxed);
    if count > 0 && !can_spare(others + count) {
        return false;
    }
    own.store(count, Ordering::Relaxed);
    *claimed = others + count;
    true
}

/// Takes frames for a domain, in a row, the first a multiple of how many. `own` is how many it was
/// promised.
pub fn take_for_domain(count: u64, own: &AtomicU64) -> Option<u64> {
    let mut claimed = CLAIMED.lock();
    let promised = own.load(Ordering::Relaxed);
    let others = *claimed - promised;
    let taken = if can_spare(others + count) { take_run(count, count) } else { None };
    if taken.is_some() {
        own.store(promised.saturating_sub(count), Ordering::Relaxed);
        *claimed = others + promised.saturating_sub(count);
    }
    taken
}

/// Takes a frame of zeros that the hypervisor shares with a domain.
pub fn take_shared(owner: Owner) -> Option<u64> {
    let mfn = take()?;
    memory::clear(mfn);
    host::count_shared(owner);
    page(mfn)?.share(owner);
    Some(mfn)
}

/// Gives a frame back that was shared; it is free when nobody maps it any more.
pub fn give_shared(mfn: u64) {
    if let Some(page) = page(mfn)
        && page.unshare(Host.epochs(page.last_owner()))
    {
        Host.free(mfn);
    }
}

/// Gives a frame back that a domain had.
pub fn give_used(mfn: u64) {
    NEEDED_FLUSH.fetch_max(host::epoch_of_all().needed(), Ordering::AcqRel);
    give(mfn);
}

/// Gives a frame back.
pub fn give(mfn: u64) {
    bitmap().lock().give(mfn);
}

/// The first frame of the machine-to-physical table; the others follow.
pub fn machine_to_physical() -> u64 {
    memory::physical(frames().machine_to_physical.as_ptr() as u64) >> 12
}

/// Takes `runs` runs of `count` frames, all below `1 << bits` bytes if that isn't 0.
pub fn take_run_below(count: u64, runs: u64, bits: u32) -> Result<Vec<u64>, Errno> {
    let limit = if bits == 0 || bits > 52 { u64::MAX } else { 1 << bits.max(12) >> 12 };
    let mut taken = Vec::new();
    taken.try_reserve_exact(runs as usize).map_err(|_| ENOMEM)?;
    for _ in 0..runs {
        // The lowest are taken first, so that one above the limit says there is none below.
        let first = take_run(count, count.next_power_of_two());
        taken.extend(first);
        if first.is_none_or(|first| first + count > limit) {
            taken.iter().flat_map(|first| *first..first + count).for_each(give);
            return Err(ENOMEM);
        }
    }
    Ok(taken)
}
