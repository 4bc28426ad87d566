//! The GDT and the descriptors in it.

use kernels::answer::{answer, trap, value};
use kernels::hypercall::{call, number};
use kernels::memory::{self, flag, frame, map, scratch};
use kernels::traps::attempt;

/// A data segment of ring 3.
const DATA: u64 = 0x00cf_f300_0000_ffff;

fn set(frames: &[u64], entries: u64) -> i64 {
    call(number::SET_GDT, &[frames.as_ptr() as u64, entries])
}

fn page_with(index: usize, entry: u64, descriptor: u64) -> u64 {
    let at = scratch(index);
    map(at, flag::DATA);
    memory::fill(at, 0);
    memory::write(at + 8 * entry, descriptor);
    map(at, flag::READ_ONLY);
    at
}

fn load_ds(selector: u64) {
    // SAFETY: ring 3 code uses no data segment's base or limit in 64-bit mode.
    unsafe { core::arch::asm!("mov ds, {:e}", in(reg) selector) }
}

pub fn check() {
    let descriptors = [
        ("nothing", 0),
        ("data of ring 3", DATA),
        ("data of ring 0", 0x00cf_9300_0000_ffff),
        ("code of ring 0", 0x00af_9b00_0000_ffff),
        ("conforming code", 0x00af_9f00_0000_ffff),
        ("64-bit and 32-bit code", 0x00ef_fb00_0000_ffff),
        ("what isn't present", 0x0000_0900_0000_0067),
        ("a task state segment", 0x0000_8900_0000_0067),
        ("an LDT", 0x0000_8200_0000_ffff),
        ("an interrupt gate", 0x0000_ee00_e033_1234),
        ("a trap gate", 0x0000_ef00_e033_1234),
        ("a task gate", 0x0000_e500_e033_1234),
        ("a call gate to the kernel", 0x0000_ec00_e033_1234),
        ("a call gate to the hypervisor", 0x0000_ec00_e008_1234),
        ("a call gate to an own segment", 0x0000_ec00_0010_1234),
        ("a 16-bit call gate", 0x0000_e400_0010_1234),
        ("type 0", 0x0000_8000_0000_0000),
        ("all ones", !0),
    ];
    for (name, descriptor) in descriptors {
        let page = page_with(0, 3, descriptor);
        answer("a GDT with", set(&[frame(page)], 512));
        answer(name, call(number::UPDATE_DESCRIPTOR, &[(frame(page) << 12) + 32, descriptor]));
        value("is then", memory::read(page + 24));
        value("and", memory::read(page + 32));
        answer("no GDT", set(&[], 0));
        map(page, flag::DATA);
        answer("as data", call(number::UPDATE_DESCRIPTOR, &[(frame(page) << 12) + 40, descriptor]));
        value("it is then", memory::read(page + 40));
    }
    counts();
    use_them();
    let page = scratch(0);
    map(page, flag::DATA);
    for (name, place) in [
        ("not aligned", (frame(page) << 12) + 4),
        ("no frame", 1 << 50),
        ("frame 0", 0),
        ("the local APIC", 0xfee0_0000),
        ("all ones", !7),
    ] {
        answer(name, call(number::UPDATE_DESCRIPTOR, &[place, 0]));
    }
}

fn counts() {
    let page = page_with(0, 3, DATA);
    let list = [frame(page); 16];
    for entries in [0, 1, 512, 513, 14 * 512, 14 * 512 + 1, 8192, 1 << 31, u32::MAX.into(), 1 << 32]
    {
        answer("a GDT of so many entries", set(&list, entries));
    }
    answer("no GDT", set(&[], 0));
    for (name, frame) in
        [("no frame", 1 << 40), ("all ones", !0), ("the local APIC", 0xfee00), ("frame 0", 0)]
    {
        answer(name, set(&[frame], 1));
    }
    let list = [frame(page), frame(scratch(1))];
    map(scratch(1), flag::DATA);
    answer("a GDT with a page that is written to", set(&list, 1024));
    answer("its first page is data", map(page, flag::DATA));
    map(page, flag::READ_ONLY);
    answer("a GDT", set(&[frame(page)], 1));
    answer("its page as a table", memory::extended(0, frame(page), 0));
    answer("its page to be written to", map(page, flag::DATA));
    answer("an update of it", memory::update((frame(page) << 12) + 64, DATA));
    answer("no GDT", set(&[], 0));
    answer("its page to be written to", map(page, flag::DATA));
}

fn use_them() {
    let page = page_with(0, 3, DATA);
    memory::fill(scratch(1), 0);
    trap("a selector without a GDT", attempt(|| load_ds(0x1b)));
    answer("a GDT", set(&[frame(page)], 512));
    trap("a selector in it", attempt(|| load_ds(0x1b)));
    trap("an empty one", attempt(|| load_ds(0x23)));
    trap("one beyond its end", attempt(|| load_ds(0x1000 | 3)));
    trap("one in the LDT", attempt(|| load_ds(0x1f)));
    answer("an LDT", memory::extended(13, page, 4));
    trap("one in the LDT", attempt(|| load_ds(0x1f)));
    trap("one beyond the LDT's end", attempt(|| load_ds(0x27)));
    answer("the LDT's page unmapped", memory::map_frame(page, 0, 0));
    trap("one in the LDT", attempt(|| load_ds(0x1f)));
    answer("another LDT there", memory::extended(13, page, 5));
    trap("one in the LDT", attempt(|| load_ds(0x1f)));
    answer("no LDT", memory::extended(13, 0, 0));
    trap("the hypervisor's code", attempt(|| load_ds(0xe008)));
    trap("the hypervisor's task", attempt(|| load_ds(0xe040)));
    trap("the flat segment", attempt(|| load_ds(0xe02b)));
    trap("nothing", attempt(|| load_ds(0)));
    answer("no GDT", set(&[], 0));
    map(page, flag::DATA);
}
