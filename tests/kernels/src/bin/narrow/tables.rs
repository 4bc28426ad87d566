//! Page tables of three levels.

use core::arch::asm;

use kernels::answer::{answer, line, trap, value};
use kernels::hypercall::{call, number};
use kernels::memory::flag::{DATA, PRESENT, READ_ONLY, TABLE, USER};
use kernels::memory::{
    VIRT_BASE, entry, extended, frame, machine, map, map_frame, read, read_entry, root, scratch,
    update, write, write_entry,
};
use kernels::traps::attempt;
use xen::abi::mmuext as op;
use xen::abi::x86_32::HYPERVISOR_START;

const PAGE: u64 = 4096;
/// Where a table of level 2 has the first entry that is the hypervisor's, in the last GiB.
const HYPERVISORS: u64 = 428;
/// An address below the kernel.
const LOW: u64 = 0x4000_0000;

pub fn all() {
    rights();
    lower_tables();
    top_tables();
    writes();
    hypervisors_part();
}

fn rights() {
    let page = scratch(4);
    answer("map to be read", map(page, READ_ONLY));
    trap("write", attempt(|| write(page, 1)));
    answer("map to be written", map(page, DATA));
    trap("write", attempt(|| write(page, 1)));
    // What the kernel maps for itself stays so.
    value("rights", read_entry(entry(page, 1)) & 0xfff);
    trap("nothing there", attempt(|| _ = read(LOW)));
    answer("map where no table is", map_frame(LOW, frame(page), DATA));
    answer("map an entry of the hypervisor's", map_frame(HYPERVISOR_START.into(), 0, 0));
    answer("map with a bad bit", map(page, DATA | 1 << 7));
    answer("map what is nobody's", map_frame(page, 0xff_ffff, READ_ONLY));
    answer("map a table to be written", map(root(), DATA));
}

/// Two tables, of level 1 and 2, and what they may be.
fn lower_tables() {
    let [first, second, data] = [5, 6, 7].map(scratch);
    [first, second].iter().for_each(|page| (0..512).for_each(|at| write_entry(page + 8 * at, 0)));
    write_entry(first, frame(data) << 12 | DATA);
    write_entry(second + 8, frame(first) << 12 | TABLE);
    answer("pin what is mapped", extended(op::PIN_L1_TABLE, frame(first), 0));
    [first, second].iter().for_each(|page| _ = map(*page, READ_ONLY));
    answer("pin level 2", extended(op::PIN_L2_TABLE, frame(second), 0));
    answer("pin it as level 1", extended(op::PIN_L1_TABLE, frame(second), 0));
    answer("pin level 1 of it", extended(op::PIN_L1_TABLE, frame(first), 0));
    answer("pin level 4", extended(op::PIN_L4_TABLE, frame(data), 0));
    answer("pin level 3 without a last", extended(op::PIN_L3_TABLE, frame(data), 0));
    // An empty GiB gets a table, and the kernel sees what is there.
    let top = machine(root()) + 8;
    answer("use it", update(top, frame(second) << 12 | PRESENT));
    write(data, 0x1234);
    value("seen", read(LOW + (2 << 20)).into());
    answer("map there", map_frame(LOW + (2 << 20) + PAGE, frame(data), DATA));
    value("seen", read(LOW + (2 << 20) + PAGE).into());
    answer("unmap there", map_frame(LOW + (2 << 20) + PAGE, 0, 0));
    answer("use it no more", update(top, 0));
    answer("flush", extended(op::TLB_FLUSH_LOCAL, 0, 0));
    trap("see", attempt(|| _ = read(LOW + (2 << 20))));
    answer("unpin", extended(op::UNPIN_TABLE, frame(first), 0));
    answer("unpin", extended(op::UNPIN_TABLE, frame(second), 0));
    answer("unpin again", extended(op::UNPIN_TABLE, frame(second), 0));
    [first, second].iter().for_each(|page| _ = map(*page, DATA));
    trap("write to what was one", attempt(|| write(first, 0)));
}

/// Other top tables.
fn top_tables() {
    let (top, last) = (scratch(5), scratch(6));
    (0..512).for_each(|at| write_entry(top + 8 * at, 0x7fff_ffff_ffff_ffff));
    (0..4).for_each(|at| write_entry(top + 8 * at, read_entry(root() + 8 * at) & !0xfff | PRESENT));
    write_entry(top, 0);
    write_entry(top + 8, 0);
    write_entry(top + 16, 0);
    let old_last = read_entry(root() + 24) >> 12;
    map(top, READ_ONLY);
    answer("pin a top table", extended(op::PIN_L3_TABLE, frame(top), 0));
    line(format_args!("behind the fourth: {:#x}", read_entry(top + 32)));
    answer("use it", extended(op::NEW_BASEPTR, frame(top), 0));
    answer("use another", extended(op::NEW_BASEPTR, frame(last), 0));
    answer("no programs' table", extended(op::NEW_USER_BASEPTR, frame(root()), 0));
    answer("change the last", update(machine(top) + 24, old_last << 12 | PRESENT));
    answer("change a fifth", update(machine(top) + 32, old_last << 12 | PRESENT));
    answer("the last as another", update(machine(top) + 8, old_last << 12 | PRESENT));
    answer("rights", update(machine(top) + 8, 1 << 63 | frame(last) << 12 | PRESENT));
    answer("go back", extended(op::NEW_BASEPTR, frame(root()), 0));
    answer("unpin", extended(op::UNPIN_TABLE, frame(top), 0));
    answer("flush", extended(op::TLB_FLUSH_ALL, 0, 0));
    map(top, DATA);
    line(format_args!(
        "machine to physical, still: {}",
        kernels::memory::address(frame(top)) == top
    ));
    let mut cr3: u32;
    // SAFETY: reads a register, or traps, which nobody awaits.
    unsafe { asm!("mov {}, cr3", out(reg) cr3) };
    line(format_args!("CR3: {}", xen::abi::x86_32::cr3_to_mfn(cr3) == frame(root())));
    cr3 = xen::abi::x86_32::mfn_to_cr3(frame(root()));
    // SAFETY: the same as before.
    unsafe { asm!("mov cr3, {}", in(reg) cr3) };
}

core::arch::global_asm!(
    r#"
    .globl exchange_pair
exchange_pair:
    push ebx
    push esi
    push edi
    mov edi, [esp + 16]
    mov esi, [esp + 20]
    mov ebx, [esp + 24]
    mov ecx, [esp + 28]
    mov eax, [esi]
    mov edx, [esi + 4]
    lock cmpxchg8b [edi]
    mov [esi], eax
    mov [esi + 4], edx
    pop edi
    pop esi
    pop ebx
    ret
    "#
);

unsafe extern "C" {
    /// Writes two halves where there are those that are expected; what was there.
    fn exchange_pair(place: u32, expected: *mut [u32; 2], low: u32, high: u32);
}

/// The kernel writes to a table as if it could.
fn writes() {
    let page = scratch(4);
    let place = entry(page, 1);
    let there = read_entry(place);
    let (low, high) = (there as u32, (there >> 32) as u32);
    write(page, 0x55);
    let flush = || extended(op::INVLPG_LOCAL, page, 0);
    trap("write a half", attempt(|| write(place, low & !2)));
    flush();
    trap("write where it may not", attempt(|| write(page, 1)));
    let mut found = [low & !2, high];
    let exchange = |found: &mut [u32; 2], new: u32| {
        // SAFETY: the hypervisor makes the write, or refuses it.
        unsafe { exchange_pair(place as u32, found, new, high) }
    };
    let is_same = |one: u32, other: u32| (one ^ other) & !0x60 == 0;
    trap("exchange", attempt(|| exchange(&mut found, low)));
    line(format_args!("the entry: {}", is_same(read(place), low)));
    let mut wrong = [0, 0];
    trap("exchange something else", attempt(|| exchange(&mut wrong, 0)));
    line(format_args!("found: {}", is_same(wrong[0], low) && wrong[1] == high));
    trap("write a bad half", attempt(|| write(place, low | 1 << 7)));
    flush();
    trap("write", attempt(|| write(page, 0x66)));
    value("there", read(page).into());
    trap("write to a table of level 2", attempt(|| write(entry(page, 2), 0)));
}

fn hypervisors_part() {
    let last = read_entry(root() + 24) >> 12;
    trap("write to the hypervisor's table", attempt(|| write(HYPERVISOR_START.into(), 0)));
    trap("the last address", attempt(|| _ = read(0xffff_fffc)));
    answer("an entry of its", update((last << 12) + 8 * HYPERVISORS, 0));
    answer("the entry before", update((last << 12) + 8 * (HYPERVISORS - 1), 0));
    let table = read_entry(kernels::memory::address(last) + 8 * HYPERVISORS) >> 12;
    let own = scratch(4);
    answer("map it", map_frame(own, table & 0xff_ffff_ffff, DATA));
    answer("as a program's", map_frame(own, table & 0xff_ffff_ffff, READ_ONLY | USER));
    answer("a translation", call(number::UPDATE_VA_MAPPING, &[VIRT_BASE, 0, 0, 0x1000]));
}
