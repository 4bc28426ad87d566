//! Segments: the GDT whose last pages are the hypervisor's, and the task state segment.
//!
//! Guests keep 14 pages of their own below ours (FIRST_RESERVED_GDT_PAGE in arch-x86/xen.h), so
//! our selectors begin at 0xe000.

use core::arch::asm;

use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::tss::TaskStateSegment;

use super::boot;

/// The first selector that is ours.
const FIRST: usize = 0xe000;
/// The hypervisor's code and data.
pub const CODE: u16 = 0xe008;
const DATA: u16 = 0xe010;
/// The task state segment takes two entries, behind those that guests use (FLAT_RING3_* in
/// arch-x86/xen-x86_64.h: 0xe023, 0xe02b, 0xe033).
const TSS: u16 = 0xe040;
/// Which stack of the task state segment double faults use.
pub const DOUBLE_FAULT_STACK: u16 = 1;

const ENTRIES: usize = (TSS as usize + 16) / 8;
const EMERGENCY_STACK: usize = 8 << 10;

#[repr(C, align(4096))]
struct Gdt([u64; ENTRIES]);

static GDT: Once<Gdt> = Once::new();
static TASK: Once<TaskStateSegment> = Once::new();
static STACK: [u8; EMERGENCY_STACK] = [0; EMERGENCY_STACK];

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

fn task() -> TaskStateSegment {
    let mut task = TaskStateSegment::new();
    task.privilege_stack_table[0] = VirtAddr::new(boot::stack_top());
    let top = &raw const STACK as u64 + EMERGENCY_STACK as u64;
    task.interrupt_stack_table[usize::from(DOUBLE_FAULT_STACK) - 1] = VirtAddr::new(top);
    task
}

fn table(task: &'static TaskStateSegment) -> Gdt {
    let mut entries = [0; ENTRIES];
    let mut set = |selector: u16, value: u64| entries[usize::from(selector) / 8] = value;
    set(CODE, 0x00af_9a00_0000_ffff);
    set(DATA, 0x00cf_9200_0000_ffff);
    // What every guest may use: 32-bit code, data, 64-bit code, all of ring 3.
    set(0xe020, 0x00cf_fa00_0000_ffff);
    set(0xe028, 0x00cf_f200_0000_ffff);
    set(0xe030, 0x00af_fa00_0000_ffff);
    let base = core::ptr::from_ref(task) as u64;
    let limit = size_of::<TaskStateSegment>() as u64 - 1;
    let low = (base & 0xff_ffff) << 16 | (base >> 24 & 0xff) << 56;
    set(TSS, limit | low | 0x89 << 40);
    set(TSS + 8, base >> 32);
    Gdt(entries)
}

/// Has the processor use our segments.
pub fn load() {
    const { assert!(FIRST == 14 * 4096) };
    let task = TASK.call_once(task);
    let gdt = GDT.call_once(|| table(task));
    let limit = (size_of_val(gdt) - 1) as u16;
    let pointer = Pointer { limit, base: core::ptr::from_ref(gdt) as u64 };
    // SAFETY: the table is static, and its entries describe flat segments as long mode wants them.
    unsafe {
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "xor {scratch:e}, {scratch:e}",
            "mov ds, {scratch:e}",
            "mov es, {scratch:e}",
            "ltr {tss:x}",
            pointer = in(reg) &raw const pointer,
            code = const CODE,
            data = in(reg) u32::from(DATA),
            tss = in(reg) TSS,
            scratch = out(reg) _,
        );
    }
}
