//! The kernel's memory: its frames, the page tables it started with, pages to play with.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use xen::abi::mmuext::UVMF_INVLPG;
use xen::abi::x86_32::{HYPERVISOR_START, MmuextOp, StartInfo};
use xen::abi::{DOMID_SELF, PAGE_SIZE};

use super::hypercall::{call, number};
pub use crate::flag;

/// Where the kernel's memory is mapped from its first page on.
pub const VIRT_BASE: u64 = 0xc000_0000;

#[repr(C, align(4096))]
struct Pages<const N: usize>(UnsafeCell<[[u8; PAGE_SIZE]; N]>);
// SAFETY: they are read and written as volatile words only.
unsafe impl<const N: usize> Sync for Pages<N> {}

/// Where the shared page is mapped instead of this.
static SHARED: Pages<1> = Pages(UnsafeCell::new([[0; PAGE_SIZE]]));

/// Pages to play with.
pub const SCRATCH: usize = 16;
#[unsafe(link_section = ".bss.scratch")]
static SCRATCH_PAGES: Pages<SCRATCH> = Pages(UnsafeCell::new([[0; PAGE_SIZE]; SCRATCH]));

static FRAMES: AtomicU64 = AtomicU64::new(0);
static ROOT: AtomicU64 = AtomicU64::new(0);

/// Finds out about memory, and maps the shared page.
pub fn init(info: &StartInfo) {
    FRAMES.store(info.mfn_list.into(), Ordering::Relaxed);
    ROOT.store(info.pt_base.into(), Ordering::Relaxed);
    map_frame(shared_address(0), u64::from(info.shared_info) >> 12, flag::DATA);
}

/// Reads half a word.
pub fn read(address: u64) -> u32 {
    // SAFETY: memory of this kernel, or a fault that is awaited.
    unsafe { (address as *const u32).read_volatile() }
}

/// Writes half a word.
pub fn write(address: u64, value: u32) {
    // SAFETY: as above; nothing that Rust knows of is changed.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// Reads an entry of a page table.
pub fn read_entry(address: u64) -> u64 {
    u64::from(read(address)) | u64::from(read(address + 4)) << 32
}

/// Writes an entry of a page that is no table yet.
pub fn write_entry(address: u64, value: u64) {
    write(address, value as u32);
    write(address + 4, (value >> 32) as u32);
}

/// The machine frame of a page of the kernel.
pub fn frame(address: u64) -> u64 {
    let entry = FRAMES.load(Ordering::Relaxed) + (address - VIRT_BASE) / PAGE_SIZE as u64 * 4;
    read(entry).into()
}

/// Where a frame of the kernel's first memory is mapped, by the machine-to-physical table.
pub fn address(frame: impl Into<u64>) -> u64 {
    let frame: u64 = frame.into();
    VIRT_BASE + (u64::from(read(u64::from(HYPERVISOR_START) + 4 * frame)) << 12)
}

/// A page to play with.
pub fn scratch(index: usize) -> u64 {
    assert!(index < SCRATCH);
    SCRATCH_PAGES.0.get() as u64 + (index * PAGE_SIZE) as u64
}

/// The address of the top table that the kernel began with.
pub fn root() -> u64 {
    ROOT.load(Ordering::Relaxed)
}

/// The address of the entry for an address in that level's table.
pub fn entry(at: u64, level: u32) -> u64 {
    let slot = |level: u32| (at >> (3 + 9 * level) & 511) * 8;
    let mut table = root();
    for above in (level + 1..=3).rev() {
        table = address((read_entry(table + slot(above)) & 0xf_ffff_ffff_f000) >> 12);
    }
    table + slot(level)
}

/// The machine address of something of the kernel's.
pub fn machine(at: u64) -> u64 {
    frame(at) << 12 | at & 4095
}

/// The address of what the hypervisor shares.
pub fn shared_address(offset: u64) -> u64 {
    SHARED.0.get() as u64 + offset
}

/// Maps a page of the kernel with these rights.
pub fn map(at: u64, flags: u64) -> i64 {
    map_frame(at, frame(at), flags)
}

/// Maps a frame.
pub fn map_frame(at: u64, frame: u64, flags: u64) -> i64 {
    let entry = frame << 12 | flags;
    call(number::UPDATE_VA_MAPPING, &[at, entry, entry >> 32, UVMF_INVLPG])
}

/// Changes an entry of a table, or a word of a frame.
pub fn update(machine_address: u64, value: u64) -> i64 {
    let updates = [machine_address, value];
    call(number::MMU_UPDATE, &[updates.as_ptr() as u64, 1, 0, DOMID_SELF.into()])
}

/// An operation on tables (MMUEXT_*, xen.h).
pub fn extended(cmd: u32, first: u64, second: u64) -> i64 {
    let operation = MmuextOp { cmd, arg1: first as u32, arg2: second as u32 };
    let place = &raw const operation as u64;
    call(number::MMUEXT_OP, &[place, 1, 0, DOMID_SELF.into()])
}
