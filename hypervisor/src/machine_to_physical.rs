//! The machine-to-physical table as guests of 32 bits read it: each frame's pfn in 4 bytes, at the end
//! of their address space. It is made when the first such guest is, and kept.

use core::sync::atomic::Ordering;

use alloc::vec::Vec;
use hypervisor::paging::entry::{Entry, HYPERVISOR_SLOTS_32};
use spin::Once;
use xen::abi::errno::{ENOMEM, EOPNOTSUPP, Errno};

use crate::arch::memory;
use crate::frames;
use crate::lock::Mutex;

/// Frames that a large page of it has entries for.
const PER_PIECE: u64 = memory::LARGE_PAGE / 4;
/// Entries of 4 bytes in a frame.
const PER_FRAME: u64 = 1024;

/// The first frames of its large pages.
static PIECES: Once<Vec<u64>> = Once::new();
/// Held by who makes it.
static MAKING: Mutex<()> = Mutex::new(());

/// Makes it, if it isn't there. It has room for 168 GiB of memory.
pub fn prepare() -> Result<(), Errno> {
    let _lock = MAKING.lock();
    if PIECES.get().is_some() {
        return Ok(());
    }
    let count = frames::end().div_ceil(PER_PIECE);
    if count as usize > HYPERVISOR_SLOTS_32.len() {
        return Err(EOPNOTSUPP);
    }
    let mut pieces = Vec::new();
    pieces.try_reserve_exact(count as usize).map_err(|_| ENOMEM)?;
    for _ in 0..count {
        let piece = if frames::can_spare(512) { frames::take_run(512, 512) } else { None };
        let Some(piece) = piece else {
            pieces.iter().flat_map(|first| *first..first + 512).for_each(frames::give);
            return Err(ENOMEM);
        };
        // Beyond the end of memory there is no frame: all ones.
        (piece..piece + 512).for_each(|mfn| memory::fill(mfn, u8::MAX));
        pieces.push(piece);
    }
    PIECES.call_once(|| pieces);
    // Who changes the other table from here on changes this one, too.
    for mfn in 0..frames::end() {
        loop {
            let pfn = frames::pfn(mfn);
            set(mfn, pfn);
            if frames::pfn(mfn) == pfn {
                break;
            }
        }
    }
    Ok(())
}

/// Says where a frame is in its domain, if anybody can see it here.
pub fn set(mfn: u64, pfn: u64) {
    let Some(pieces) = PIECES.get() else { return };
    let Some(piece) = pieces.get((mfn / PER_PIECE) as usize) else { return };
    let within = mfn % PER_PIECE;
    let [entry] = memory::halves(((piece + within / PER_FRAME) << 12) + within % PER_FRAME * 4);
    entry.store(pfn as u32, Ordering::Relaxed);
}

/// Gives the last table of level 2 of a guest of 32 bits the hypervisor's entries: this table, to be
/// read by ring 1, and nothing behind it.
pub fn complete(mfn: u64) {
    const READABLE: u64 =
        Entry::PRESENT | Entry::ACCESSED | Entry::DIRTY | Entry::LARGE | Entry::NO_EXECUTE;
    let pieces = PIECES.get().map(Vec::as_slice).unwrap_or_default();
    let mut pieces = pieces.iter().map(|piece| Entry::new(*piece, READABLE).0);
    for index in HYPERVISOR_SLOTS_32 {
        memory::word(mfn, index).store(pieces.next().unwrap_or(0), Ordering::Relaxed);
    }
}
