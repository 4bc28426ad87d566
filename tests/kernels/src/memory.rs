//! The kernel's memory: its frames, the page tables it started with, frames to play with.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use xen::abi::PAGE_SIZE;
use xen::abi::start_info::StartInfo;

use crate::hypercall::{call, number};

pub use crate::flag;

/// Where the kernel's memory is mapped from its first page on.
pub const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;
/// Each frame's pfn (arch-x86/xen-x86_64.h).
const MACHINE_TO_PHYSICAL: u64 = 0xffff_8000_0000_0000;

/// In the shared page: bytes for each vcpu (`struct vcpu_info`, xen.h).
const INFO_SIZE: u64 = 64;
/// Offsets in the shared page that are the first vcpu's (xen.h).
pub const PENDING: u64 = 0;
/// Its events are masked.
pub const MASK: u64 = 1;
/// Which words of pending bits are not 0.
pub const SELECTOR: u64 = 8;
/// The address of the last page fault.
pub const FAULT_ADDRESS: u64 = 16;
/// Of the page: the ports' pending bits.
pub const PENDING_BITS: u64 = 2048;
/// The ports' masks.
pub const MASK_BITS: u64 = 2560;

#[repr(C, align(4096))]
struct Pages<const N: usize>(UnsafeCell<[[u64; 512]; N]>);
// SAFETY: they are read and written as volatile words only.
unsafe impl<const N: usize> Sync for Pages<N> {}

/// Where the shared page is mapped instead of this; the entry points of traps know its name.
#[unsafe(export_name = "kernel_shared_page")]
static SHARED: Pages<1> = Pages(UnsafeCell::new([[0; 512]]));

/// Pages to play with.
pub const SCRATCH: usize = 72;
static SCRATCH_PAGES: Pages<SCRATCH> = Pages(UnsafeCell::new([[0; 512]; SCRATCH]));

static FRAMES: AtomicU64 = AtomicU64::new(0);
static PAGES: AtomicU64 = AtomicU64::new(0);
/// A bit a frame of 4 GiB: the kernel has it.
static OWN: [AtomicU64; 1 << 14] = [const { AtomicU64::new(0) }; 1 << 14];
static ROOT: AtomicU64 = AtomicU64::new(0);

/// Finds out about memory, and maps the shared page.
pub fn init(info: &StartInfo) {
    FRAMES.store(info.mfn_list, Ordering::Relaxed);
    PAGES.store(info.nr_pages, Ordering::Relaxed);
    (0..info.nr_pages).for_each(|pfn| own(read(info.mfn_list + 8 * pfn)));
    ROOT.store(info.pt_base, Ordering::Relaxed);
    let address = SHARED.0.get() as u64;
    call(number::UPDATE_VA_MAPPING, &[address, info.shared_info | flag::DATA, 2]);
    mask_events(true);
}

/// How many pages the kernel was given.
pub fn pages() -> u64 {
    PAGES.load(Ordering::Relaxed)
}

/// Reads a word.
pub fn read(address: u64) -> u64 {
    // SAFETY: a word of this kernel's memory, or a fault that is awaited.
    unsafe { (address as *const u64).read_volatile() }
}

/// Reads a word, or gives something else if there is none.
pub fn read_or(address: u64, other: u64) -> u64 {
    let mut value = other;
    match crate::traps::attempt(|| value = read(address)) {
        None => value,
        Some(_) => other,
    }
}

/// Writes a word.
pub fn write(address: u64, value: u64) {
    // SAFETY: as above; nothing that Rust knows of is changed.
    unsafe { (address as *mut u64).write_volatile(value) }
}

/// The machine frame of a page of the kernel.
pub fn frame(address: u64) -> u64 {
    read(FRAMES.load(Ordering::Relaxed) + (address - VIRT_BASE) / PAGE_SIZE as u64 * 8)
}

/// Says that a page of the kernel has another frame now.
pub fn moved(address: u64, frame: u64) {
    own(frame);
    write(FRAMES.load(Ordering::Relaxed) + (address - VIRT_BASE) / PAGE_SIZE as u64 * 8, frame);
}

/// Whether a frame was the kernel's at its start, or became its own since.
pub fn is_own(frame: u64) -> bool {
    let word = OWN.get((frame / 64) as usize);
    word.is_some_and(|word| word.load(Ordering::Relaxed) >> (frame % 64) & 1 != 0)
}

/// Says that a frame is the kernel's.
pub fn own(frame: u64) {
    if let Some(word) = OWN.get((frame / 64) as usize) {
        word.fetch_or(1 << (frame % 64), Ordering::Relaxed);
    }
}

/// Where a frame of the kernel's first memory is mapped.
pub fn address(frame: impl Into<u64>) -> u64 {
    let frame: u64 = frame.into();
    VIRT_BASE + (read(MACHINE_TO_PHYSICAL + 8 * frame) << 12)
}

/// A page to play with.
pub fn scratch(index: usize) -> u64 {
    assert!(index < SCRATCH);
    SCRATCH_PAGES.0.get() as u64 + (index * PAGE_SIZE) as u64
}

/// The frame of the first table of level 4.
pub fn root() -> u64 {
    frame(ROOT.load(Ordering::Relaxed))
}

/// The frame of the first memory's table of that level for an address, and the place of its entry
/// there.
pub fn table(at: u64, level: u32) -> (u64, u64) {
    let mut table = ROOT.load(Ordering::Relaxed);
    for above in (level + 1..=4).rev() {
        let entry = read(table + 8 * slot(at, above));
        table = address((entry & 0xf_ffff_ffff_f000) >> 12);
    }
    (frame(table), slot(at, level))
}

/// Which entry of a table an address uses.
pub fn slot(address: u64, level: u32) -> u64 {
    address >> (3 + 9 * level) & 511
}

/// The address of what the hypervisor shares.
pub fn shared_address(offset: u64) -> u64 {
    SHARED.0.get() as u64 + offset
}

/// A word of what the hypervisor shares.
pub fn shared(offset: u64) -> u64 {
    read(shared_address(offset))
}

/// Has events masked, or not; pending ones are not delivered by this.
pub fn mask_events(mask: bool) {
    mask_events_of(0, mask);
}

/// As [`mask_events`], of another vcpu.
pub fn mask_events_of(vcpu: u64, mask: bool) {
    let place = shared_address(INFO_SIZE * vcpu + MASK) as *mut u8;
    // SAFETY: the hypervisor shares this byte.
    unsafe { place.write_volatile(u8::from(mask)) }
}

/// Maps a page of the kernel with these rights.
pub fn map(at: u64, flags: u64) -> i64 {
    map_frame(at, frame(at), flags)
}

/// Maps a frame.
pub fn map_frame(at: u64, frame: u64, flags: u64) -> i64 {
    call(number::UPDATE_VA_MAPPING, &[at, frame << 12 | flags, xen::abi::mmuext::UVMF_INVLPG])
}

/// Changes an entry of a table, or a word of a frame.
pub fn update(machine_address: u64, value: u64) -> i64 {
    let updates = [machine_address, value];
    call(number::MMU_UPDATE, &[updates.as_ptr() as u64, 1, 0, xen::abi::DOMID_SELF.into()])
}

/// An operation on tables (MMUEXT_*, xen.h).
pub fn extended(command: u32, first: u64, second: u64) -> i64 {
    let operation = [u64::from(command), first, second];
    call(number::MMUEXT_OP, &[operation.as_ptr() as u64, 1, 0, xen::abi::DOMID_SELF.into()])
}

/// Fills a page of words.
pub fn fill(at: u64, value: u64) {
    (0..512).for_each(|index| write(at + 8 * index, value));
}
