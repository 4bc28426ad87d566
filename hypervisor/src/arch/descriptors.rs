//! Segments: the page of the GDT that is the hypervisor's, and the task state segment.
//!
//! Guests keep 14 pages of their own below ours (FIRST_RESERVED_GDT_PAGE in arch-x86/xen.h), so
//! our selectors begin at 0xe000. A vcpu has a window of its own where its pages and, behind them,
//! the page of the processor that it runs on are mapped.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::processor::EXCEPTION_STACKS;

/// The first selector that is ours.
pub const FIRST: u64 = 0xe000;
/// The hypervisor's code and data.
pub const CODE: u16 = 0xe008;
const DATA: u16 = 0xe010;
/// The 64-bit code segment of guests (FLAT_RING3_CS64).
pub const GUEST_CODE: u16 = 0xe033;
/// Their 32-bit one (FLAT_RING3_CS32).
pub const GUEST_CODE_32: u16 = 0xe023;
/// The data and stack segment of guests (FLAT_RING3_SS64).
pub const GUEST_STACK: u16 = 0xe02b;
/// Of guests of 32 bits, whose flat segments are others at the same places: their programs' code
/// (FLAT_RING3_CS in arch-x86/xen-x86_32.h).
pub const NARROW_PROGRAM_CODE: u16 = 0xe02b;
/// Their programs' data and stack (FLAT_RING3_SS).
pub const NARROW_PROGRAM_STACK: u16 = 0xe033;
/// Where the flat segments begin, and what they are: nothing, 32-bit code, data, 64-bit code, all of
/// ring 3; or code and data of ring 1, code and data of ring 3.
const FLAT: u64 = 0xe018;
const FLAT_WIDE: [u64; 4] =
    [0, 0x00cf_fa00_0000_ffff, 0x00cf_f200_0000_ffff, 0x00af_fa00_0000_ffff];
const FLAT_NARROW: [u64; 4] =
    [0x00cf_ba00_0000_ffff, 0x00cf_b200_0000_ffff, 0x00cf_fa00_0000_ffff, 0x00cf_f200_0000_ffff];
/// The task state segment takes two entries, behind those that guests use (FLAT_RING3_* in
/// arch-x86/xen-x86_64.h: 0xe023, 0xe02b, 0xe033).
const TSS: u16 = 0xe040;
/// A guest's LDT takes two entries, too.
const LDT: u16 = 0xe050;

/// Its limit is the processor's number, for code that has no stack yet to find out.
pub const NUMBER: u16 = 0xe060;

const ENTRIES: usize = 512;

/// The task state segment (AMD64 Architecture Programmer's Manual, volume 2, section 12.2.5). It
/// is here and not the library's since the stack for ring 0 changes with each vcpu.
#[repr(C, packed(4))]
struct Task {
    reserved: u32,
    stacks: [u64; 3],
    reserved2: u64,
    exception_stacks: [u64; 7],
    reserved3: u64,
    reserved4: u16,
    io_map: u16,
}

#[repr(C, align(4096))]
struct Page([u64; ENTRIES]);

/// One processor's segments.
#[repr(C, align(4096))]
pub struct Descriptors {
    page: Page,
    task: UnsafeCell<Task>,
}

// SAFETY: the task is written by its own processor only.
unsafe impl Sync for Descriptors {}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

impl Descriptors {
    /// Segments for the processor whose area begins there.
    pub fn new(area: u64) -> Self {
        let mut exception_stacks = [0; 7];
        for (stack, offset) in exception_stacks.iter_mut().zip(EXCEPTION_STACKS) {
            *stack = area + offset;
        }
        let task = Task {
            reserved: 0,
            stacks: [area + super::processor::AREA, 0, 0],
            reserved2: 0,
            exception_stacks,
            reserved3: 0,
            reserved4: 0,
            // Behind the limit: no port is open to ring 3.
            io_map: size_of::<Task>() as u16,
        };
        Self { page: Page([0; ENTRIES]), task: UnsafeCell::new(task) }
    }

    /// The page that goes behind a guest's own.
    pub fn page(&self) -> u64 {
        core::ptr::from_ref(&self.page) as u64
    }

    /// Fills the page and has the processor use it, at its own address.
    ///
    /// Called once, by the processor itself.
    pub fn load(&self, number: usize) {
        let table = core::ptr::from_ref(&self.page).cast_mut().cast::<u64>();
        let base = self.task.get() as u64;
        let limit = size_of::<Task>() as u64 - 1;
        let low = (base & 0xff_ffff) << 16 | (base >> 24 & 0xff) << 56;
        let entries = [
            (CODE, 0x00af_9a00_0000_ffff),
            (DATA, 0x00cf_9200_0000_ffff),
            (TSS, limit | low | 0x89 << 40),
            (TSS + 8, base >> 32),
            (NUMBER, 0x0040_9200_0000_0000 | number as u64),
        ];
        for (selector, value) in entries {
            // SAFETY: within the page; the processor reads it only after `lgdt` below.
            unsafe { table.add((u64::from(selector) - FIRST) as usize / 8).write_volatile(value) };
        }
        self.set_flat(false);
        self.use_window(self.page() - FIRST);
        // SAFETY: the entries describe flat segments and the task as long mode wants them.
        unsafe {
            asm!(
                "push {code}",
                "lea {scratch}, [rip + 2f]",
                "push {scratch}",
                "retfq",
                "2:",
                "mov ss, {data:e}",
                "xor {scratch:e}, {scratch:e}",
                "mov ds, {scratch:e}",
                "mov es, {scratch:e}",
                "lldt {scratch:x}",
                "ltr {tss:x}",
                code = const CODE,
                data = in(reg) u32::from(DATA),
                tss = in(reg) TSS,
                scratch = out(reg) _,
            );
        }
    }

    /// Gives the next vcpu the flat segments that it may use: those of 32 bits, or of 64.
    pub fn set_flat(&self, is_narrow: bool) {
        let table = core::ptr::from_ref(&self.page).cast_mut().cast::<u64>();
        let first = (FLAT - FIRST) as usize / 8;
        for (index, value) in (if is_narrow { FLAT_NARROW } else { FLAT_WIDE }).iter().enumerate() {
            // SAFETY: within the page; the entries are this processor's, and no segment of the
            // hypervisor's is among them.
            unsafe { table.add(first + index).write_volatile(*value) };
        }
    }

    /// Has the processor use a guest's LDT, or none.
    pub fn load_ldt(&self, base: u64, entries: u32) {
        let table = core::ptr::from_ref(&self.page).cast_mut().cast::<u64>();
        let limit = u64::from(entries * 8).wrapping_sub(1) & 0xffff;
        let low = limit | (base & 0xff_ffff) << 16 | (base >> 24 & 0xff) << 56 | 0x82 << 40;
        let selector = if entries == 0 { 0 } else { LDT };
        // SAFETY: the entries are this processor's, and what they describe is checked or empty.
        unsafe {
            let place = table.add((u64::from(LDT) - FIRST) as usize / 8);
            place.write_volatile(low);
            place.add(1).write_volatile(base >> 32);
            asm!("lldt {:x}", in(reg) selector, options(nostack));
        }
    }

    /// Has the processor use a GDT in which our page is at its place.
    pub fn use_window(&self, base: u64) {
        let limit = (FIRST + 0xfff) as u16;
        let pointer = Pointer { limit, base };
        // SAFETY: wherever the window is, the segments in use are the same.
        unsafe { asm!("lgdt [{}]", in(reg) &raw const pointer, options(nostack)) }
    }

    /// Has the processor use no guest's segments.
    pub fn use_own(&self) {
        self.load_ldt(0, 0);
        self.use_window(self.page() - FIRST);
    }

    /// Has traps from ring 3 push to this address.
    pub fn set_trap_stack(&self, end: u64) {
        // SAFETY: only the processor itself writes here, and reads it at the next trap.
        unsafe { (&raw mut (*self.task.get()).stacks).cast::<u64>().write_unaligned(end) }
    }
}
