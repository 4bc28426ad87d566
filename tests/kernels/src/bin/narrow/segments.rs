//! Segments: the kernel's own descriptors.

use core::arch::asm;

use kernels::answer::{answer, line, trap, value};
use kernels::hypercall::{call, number, place};
use kernels::memory::flag::{DATA, READ_ONLY};
use kernels::memory::{extended, frame, machine, map, read_entry, scratch, write, write_entry};
use kernels::traps::attempt;
use xen::abi::mmuext::SET_LDT;

/// Flat code and data of ring 0, and code of 64 bits.
const CODE: u64 = 0x00cf_9a00_0000_ffff;
const DATA_SEGMENT: u64 = 0x00cf_9200_0000_ffff;
const LONG_CODE: u64 = 0x00af_9a00_0000_ffff;
/// A task state segment.
const TASK: u64 = 0x0000_8900_0000_0067;

/// Data from an address on.
fn data_at(base: u64) -> u64 {
    DATA_SEGMENT | (base & 0xff_ffff) << 16 | (base >> 24) << 56
}

pub fn all() {
    let (table, data) = (scratch(12), scratch(13));
    write(data, 0xabcd);
    let mut list = [frame(table) as u32];
    let mut set = |name: &str, entries: u64| {
        map(table, READ_ONLY);
        answer(name, call(number::SET_GDT, &[place(&mut list), entries]));
    };
    for (name, bad) in [("code of 64 bits", LONG_CODE), ("a task", TASK)] {
        map(table, DATA);
        write_entry(table + 8, bad);
        set(name, 8);
    }
    map(table, DATA);
    write_entry(table + 8, CODE);
    write_entry(table + 16, data_at(data));
    set("good ones", 8);
    value("code", read_entry(table + 8));
    line(format_args!("data's ring: {}", read_entry(table + 16) >> 45 & 3));
    trap("load it", attempt(|| load_fs(2 << 3 | 1)));
    value("through it", first_of_fs().into());
    trap("load what isn't there", attempt(|| load_fs(3 << 3 | 1)));
    trap("load the hypervisor's", attempt(|| load_fs(0xe010)));
    trap("load its code", attempt(|| load_fs(0xe008)));
    trap("write to one", attempt(|| write(table + 8, 0)));
    let update = |name: &str, index: u64, new: u64| {
        let at = machine(table) + 8 * index;
        answer(name, call(number::UPDATE_DESCRIPTOR, &[at, at >> 32, new, new >> 32]));
    };
    update("change to code of 64 bits", 3, LONG_CODE);
    update("change to data", 3, data_at(data));
    trap("load it", attempt(|| load_fs(3 << 3 | 1)));
    value("through it", first_of_fs().into());
    load_fs(xen::abi::x86_32::FLAT_KERNEL_DS);
    answer("none any more", call(number::SET_GDT, &[place(&mut list), 0]));
    answer("too many", call(number::SET_GDT, &[place(&mut list), 7169]));
    answer("local ones", extended(SET_LDT, table, 8));
    trap("load it", attempt(|| load_fs(3 << 3 | 4 | 1)));
    value("through it", first_of_fs().into());
    load_fs(xen::abi::x86_32::FLAT_KERNEL_DS);
    answer("none any more", extended(SET_LDT, 0, 0));
    map(table, DATA);
}

fn load_fs(selector: u16) {
    // SAFETY: the compiler uses no fs here; a fault is awaited.
    unsafe { asm!("mov fs, {0:x}", in(reg) selector) }
}

fn first_of_fs() -> u32 {
    let value;
    // SAFETY: reads what the segment begins with.
    unsafe { asm!("mov {}, fs:[0]", out(reg) value) };
    value
}
