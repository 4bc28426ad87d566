//! Addresses: what is mapped where, and the page tables that say so.
//!
//! ```text
//! ffff800000000000  the machine-to-physical table, which guests read    (slot 256)
//! ffff820000000000  what is one domain's: windows for its segments      (slot 260)
//! ffff82c000000000  devices above 4 GiB                                 (slot 261)
//! ffff82d080000000  the image                                           (slot 261)
//! ffff830000000000  all of physical memory: the direct map              (slot 262)
//! ```
//!
//! These slots are the same in every table of level 4, but for 260.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicU64};

use hypervisor::multiboot::Memory;
use hypervisor::paging::entry::{Entry, slot};
use spin::Once;

use super::{boot, processor, shootdown};
use crate::frames;

/// All of physical memory is here (Xen's own place for it, xen/arch/x86/include/asm/config.h).
pub const DIRECT_MAP: u64 = 0xffff_8300_0000_0000;
/// Each frame's pfn in its domain (MACH2PHYS_VIRT_START, arch-x86/xen-x86_64.h).
pub const MACHINE_TO_PHYSICAL: u64 = 0xffff_8000_0000_0000;
/// What is one domain's.
pub const OF_DOMAIN: u64 = 0xffff_8200_0000_0000;
/// Devices beyond the direct map are here, in the one large page whose table [`finish`] makes, so
/// that mapping them takes no memory; all tables have it.
pub const DEVICES: u64 = 0xffff_82c0_0000_0000;
/// How much of physical memory the first page tables map.
const MAPPED_AT_BOOT: u64 = 4 << 30;
/// Bytes that an entry of level 2 maps.
pub const LARGE_PAGE: u64 = 2 << 20;

const DATA: u64 = Entry::PRESENT
    | Entry::WRITABLE
    | Entry::ACCESSED
    | Entry::DIRTY
    | Entry::GLOBAL
    | Entry::NO_EXECUTE;
const TABLE: u64 = Entry::PRESENT | Entry::WRITABLE | Entry::USER | Entry::ACCESSED | Entry::DIRTY;

/// What the loader left, seen through the first page tables.
pub struct BootMemory;

impl Memory for BootMemory {
    fn bytes(&self, address: u64, length: usize) -> Option<&'static [u8]> {
        let end = address.checked_add(length as u64)?;
        if end > MAPPED_AT_BOOT {
            return None;
        }
        // SAFETY: the first page tables map these addresses, and nobody writes there before all
        // that the loader left is read.
        Some(unsafe { core::slice::from_raw_parts(direct(address), length) })
    }
}

/// The physical address behind the image.
pub fn image_end() -> u64 {
    let [.., last] = boot::parts();
    last.range.end
}

/// A physical address in the direct map.
pub fn direct(physical: u64) -> *mut u8 {
    (DIRECT_MAP + physical) as *mut u8
}

/// The physical address of something in the direct map or in the image.
pub fn physical(address: u64) -> u64 {
    if address >= DIRECT_MAP { address - DIRECT_MAP } else { address - boot::TEXT_BASE }
}

/// A word of a frame, which others may change at any moment.
pub fn word(mfn: u64, index: usize) -> &'static AtomicU64 {
    debug_assert!(mfn < frames::end() && index < 512);
    // SAFETY: all memory below `frames::end` is mapped for ever, and aligned.
    unsafe { &*direct(mfn << 12).cast::<AtomicU64>().add(index) }
}

/// Whether eight words of a frame are zero. A load of an atomic isn't made one with the `or` that it is
/// for, which most of such a look is spent on else.
#[inline]
pub fn are_eight_zero(mfn: u64, index: usize) -> bool {
    debug_assert!(mfn < frames::end() && index + 8 <= 512);
    let words = direct(mfn << 12).cast::<u64>();
    let any: u64;
    // SAFETY: all memory below `frames::end` is mapped for ever. It is only read, each word as a whole.
    unsafe {
        asm!(
            "mov {any}, [{words} + 8 * {index}]",
            "mov {other}, [{words} + 8 * {index} + 8]",
            "or {any}, [{words} + 8 * {index} + 16]",
            "or {other}, [{words} + 8 * {index} + 24]",
            "or {any}, [{words} + 8 * {index} + 32]",
            "or {other}, [{words} + 8 * {index} + 40]",
            "or {any}, [{words} + 8 * {index} + 48]",
            "or {other}, [{words} + 8 * {index} + 56]",
            "or {any}, {other}",
            words = in(reg) words,
            index = in(reg) index,
            any = out(reg) any,
            other = out(reg) _,
            options(nostack, readonly),
        );
    }
    any == 0
}

/// Words of 32 bits in a frame, which others may change at any moment.
pub fn halves<const N: usize>(physical: u64) -> &'static [AtomicU32; N] {
    debug_assert!(physical >> 12 < frames::end() && (physical & 4095) + 4 * N as u64 <= 4096);
    debug_assert!(physical.is_multiple_of(4));
    // SAFETY: all memory below `frames::end` is mapped for ever, and aligned.
    unsafe { &*direct(physical).cast::<[AtomicU32; N]>() }
}

/// Makes a frame's bytes zero.
pub fn clear(mfn: u64) {
    fill(mfn, 0);
}

/// Makes all of a frame's bytes one value.
pub fn fill(mfn: u64, value: u8) {
    debug_assert!(mfn < frames::end());
    // SAFETY: mapped for ever; whoever has the frame wants it so.
    unsafe { core::ptr::write_bytes(direct(mfn << 12), value, 4096) }
}

/// Copies a frame's bytes to another.
pub fn copy(from: u64, to: u64) {
    debug_assert!(from.max(to) < frames::end());
    // SAFETY: mapped for ever; the same frame twice is copied onto itself.
    unsafe { core::ptr::copy(direct(from << 12), direct(to << 12), 4096) }
}

/// Copies bytes between frames, at physical addresses; the ranges are in frames that are held.
pub fn copy_part(from: u64, to: u64, length: u64) {
    debug_assert!(from.max(to) + length <= frames::end() << 12);
    // SAFETY: mapped for ever, and held by the caller; they may be the same frame.
    unsafe { core::ptr::copy(direct(from).cast_const(), direct(to), length as usize) }
}

/// Copies bytes into memory of a domain, or of nobody yet.
pub fn write(physical: u64, bytes: &[u8]) {
    debug_assert!(physical + bytes.len() as u64 <= frames::end() << 12);
    // SAFETY: mapped for ever, and no memory of ours: the caller has the frames.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), direct(physical), bytes.len()) }
}

/// Bytes of memory that nobody writes to any more.
pub fn bytes(physical: u64, length: u64) -> &'static [u8] {
    // SAFETY: mapped for ever; modules stay as they are until they are given away.
    unsafe { core::slice::from_raw_parts(direct(physical), length as usize) }
}

/// Loads page tables.
pub fn load(cr3: u64) {
    // SAFETY: every complete table has the hypervisor's slots, so that this goes on.
    unsafe { asm!("mov cr3, {}", in(reg) cr3, options(nostack, preserves_flags)) }
}

/// Forgets all translations, the global ones too.
pub fn flush_all() {
    // SAFETY: turning global pages off and on forgets translations, nothing else.
    unsafe {
        asm!(
            "mov {old}, cr4",
            "mov {new}, {old}",
            "and {new}, ~0x80",
            "mov cr4, {new}",
            "mov cr4, {old}",
            old = out(reg) _,
            new = out(reg) _,
            options(nostack),
        );
    }
}

/// Forgets one translation.
pub fn flush_one(address: u64) {
    // SAFETY: as above.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}

/// The table of level 4 that every other takes the hypervisor's slots from.
static ROOT: Once<u64> = Once::new();

fn new_table() -> u64 {
    let mfn = frames::take().expect("memory for the first page tables");
    clear(mfn);
    mfn
}

fn read(mfn: u64, index: usize) -> Entry {
    Entry(word(mfn, index).load(core::sync::atomic::Ordering::Relaxed))
}

fn set(mfn: u64, index: usize, entry: Entry) {
    word(mfn, index).store(entry.0, core::sync::atomic::Ordering::Relaxed);
}

/// Sets the entry for an address at that level; tables on the way are made. Guests may read them, by a
/// linear page table, where they may use what is mapped.
pub fn map(root: u64, address: u64, level: u8, entry: Entry) {
    let rights = TABLE & !(Entry::USER & !entry.0);
    let mut table = root;
    for above in (level + 1..=4).rev() {
        let index = slot(address, above);
        if !read(table, index).is_present() {
            set(table, index, Entry::new(new_table(), rights));
        }
        table = read(table, index).mfn();
    }
    set(table, slot(address, level), entry);
}

/// Makes the final page tables and loads them. `end` is the address behind all memory, and
/// `machine_to_physical` the range of frames that hold that table.
pub fn finish(end: u64, machine_to_physical: core::ops::Range<u64>) {
    let root = new_table();
    // Devices below 4 GiB are reached through the direct map, too.
    let end = end.max(MAPPED_AT_BOOT);
    for address in (0..end).step_by(LARGE_PAGE as usize) {
        map(root, DIRECT_MAP + address, 2, Entry(address | DATA | Entry::LARGE));
    }
    for part in boot::parts() {
        let flags = match (part.is_code, part.is_data) {
            (true, _) => DATA & !(Entry::NO_EXECUTE | Entry::WRITABLE),
            (_, true) => DATA,
            _ => DATA & !Entry::WRITABLE,
        };
        // An overflow of the first processor's stack is a fault, on a stack of its own.
        let guard = physical(boot::area() as u64) + processor::GUARD;
        for address in part.range.step_by(4096).filter(|address| *address != guard) {
            map(root, boot::TEXT_BASE + address, 1, Entry(address | flags));
        }
    }
    map(root, DEVICES, 1, Entry(0));
    let readable = DATA & !Entry::WRITABLE | Entry::USER;
    let mut mfn = machine_to_physical.start;
    while mfn < machine_to_physical.end {
        let address = MACHINE_TO_PHYSICAL + ((mfn - machine_to_physical.start) << 12);
        if mfn.is_multiple_of(512) && mfn + 512 <= machine_to_physical.end {
            map(root, address, 2, Entry::new(mfn, readable | Entry::LARGE));
            mfn += 512;
        } else {
            map(root, address, 1, Entry::new(mfn, readable));
            mfn += 1;
        }
    }
    ROOT.call_once(|| root);
    load(root << 12);
    flush_all();
}

/// Takes what was needed until domain 0 runs out of the image, and gives its frames to whoever
/// wants some. All processors use the final page tables.
pub fn give_transient() {
    for range in boot::transient() {
        for address in range.clone().step_by(4096) {
            map(root(), boot::TEXT_BASE + address, 1, Entry(0));
        }
    }
    shootdown::flush(|_| true);
    for range in boot::transient() {
        (range.start >> 12..range.end >> 12).for_each(frames::give);
    }
}

/// Maps a device's page for good, uncached, in [`DEVICES`]; `None` before [`finish`].
pub fn map_device(address: u64, physical: u64) -> Option<()> {
    const UNCACHED: u64 = DATA | Entry::UNCACHED | Entry::WRITE_THROUGH;
    assert!((DEVICES..DEVICES + LARGE_PAGE).contains(&address));
    map(*ROOT.get()?, address, 1, Entry(physical | UNCACHED));
    Some(())
}

/// The table of level 4 that is used when no vcpu runs.
pub fn root() -> u64 {
    *ROOT.get().expect("page tables are finished before anything uses them")
}

/// Gives a table of level 4 the hypervisor's slots, and that of its domain.
pub fn complete(mfn: u64, of_domain: u64) {
    for index in hypervisor::paging::entry::HYPERVISOR_SLOTS {
        set(mfn, index, read(root(), index));
    }
    set(mfn, slot(OF_DOMAIN, 4), Entry::new(of_domain, TABLE & !Entry::USER));
}

/// Has a complete table of level 4 show the machine-to-physical table to its guest, or not.
pub fn show_machine_to_physical(mfn: u64, shown: bool) {
    let index = slot(MACHINE_TO_PHYSICAL, 4);
    set(mfn, index, if shown { read(root(), index) } else { Entry(0) });
}

/// Flags of what the hypervisor writes to, for itself only.
pub const PRIVATE: u64 = DATA & !Entry::GLOBAL;

/// The table of level 1 for an address in a domain's own part; `table` is its table of level 3.
fn table_of_domain(mut table: u64, address: u64) -> Option<u64> {
    for level in [3, 2] {
        let entry = read(table, slot(address, level));
        table = entry.is_present().then(|| entry.mfn())?;
    }
    Some(table)
}

/// Makes the tables for an address in a domain's own part; none if memory ran out.
pub fn prepare_of_domain(mut table: u64, address: u64) -> Option<()> {
    for level in [3, 2] {
        let index = slot(address, level);
        if !read(table, index).is_present() {
            let below = frames::take()?;
            clear(below);
            set(table, index, Entry::new(below, TABLE & !Entry::USER));
        }
        table = read(table, index).mfn();
    }
    Some(())
}

/// Gives the tables of a domain's own part back; no processor uses them.
pub fn give_of_domain(table: u64) {
    let below = |table| (0..512).map(move |index| read(table, index)).filter(|e| e.is_present());
    for entry in below(table) {
        below(entry.mfn()).for_each(|entry| frames::give_used(entry.mfn()));
        frames::give_used(entry.mfn());
    }
    frames::give_used(table);
}

/// Maps a frame in a domain's own part, whose tables were prepared.
pub fn map_of_domain(table: u64, address: u64, mfn: u64) {
    let table = table_of_domain(table, address).expect("the window was prepared");
    set(table, slot(address, 1), Entry::new(mfn, PRIVATE));
}

/// A frame of zeros that nobody writes to.
pub fn zeros() -> u64 {
    static ZEROS: Once<u64> = Once::new();
    *ZEROS.call_once(new_table)
}
