//! Page tables: their types, what may be in them, who may change them.

use kernels::answer::{answer, trap, value};
use kernels::hypercall::{call, number};
use kernels::memory::{self, extended, fill, flag, frame, map, map_frame, scratch, table, update};
use kernels::traps::{Trap, attempt};
use xen::abi::DOMID_SELF;
use xen::abi::mmuext::{
    CLEAR_PAGE, COPY_PAGE, NEW_BASEPTR, NEW_USER_BASEPTR, PIN_L4_TABLE, SET_LDT, UNPIN_TABLE,
};

/// A table of level 4 has the hypervisor's entries from here on.
const HYPERVISOR_SLOT: u64 = 256;
/// More than any machine has.
const NO_FRAME: u64 = 1 << 38;
/// The local APIC's page.
const LOCAL_APIC: u64 = 0xfee00;
const IO_APIC: u64 = 0xfec00;
/// Text on a screen; dom0's.
const SCREEN: u64 = 0xb8;
/// Domains that stand for something else than a domain (xen.h).
const DOMAINS: [(&str, u64); 6] = [
    ("a domain that isn't there", 5),
    ("itself", 0),
    ("devices", 0x7ff1),
    ("the hypervisor", 0x7ff2),
    ("shared memory", 0x7ff3),
    ("no domain", 0x7ff4),
];

fn pin(level: u32, at: u64) -> i64 {
    extended(level - 1, frame(at), 0)
}

fn unpin(at: u64) -> i64 {
    extended(UNPIN_TABLE, frame(at), 0)
}

/// An empty page that may become a table.
fn empty(index: usize) -> u64 {
    let at = scratch(index);
    map(at, flag::DATA);
    fill(at, 0);
    map(at, flag::READ_ONLY);
    at
}

/// A page with one entry, that may become a table.
fn with(index: usize, slot: u64, entry: u64) -> u64 {
    let at = scratch(index);
    map(at, flag::DATA);
    fill(at, 0);
    memory::write(at + 8 * slot, entry);
    map(at, flag::READ_ONLY);
    at
}

/// The machine address of a word of a page.
fn word(at: u64, index: u64) -> u64 {
    (frame(at) << 12) + 8 * index
}

pub fn check() {
    types();
    entries();
    levels();
    recursive();
    bases();
    updates();
    counts();
    others();
    addresses();
    in_place();
    operations();
}

fn types() {
    let page = scratch(0);
    map(page, flag::DATA);
    fill(page, 0);
    for level in 1..=4 {
        answer("pin a page that is mapped to be written to", pin(level, page));
    }
    answer("unpin a page that is none", unpin(page));
    let page = empty(0);
    for level in 1..=4 {
        answer("pin an empty page", pin(level, page));
        answer("pin it again", pin(level, page));
        answer("pin it as another level", pin(level % 4 + 1, page));
        answer("map it to be written to", map(page, flag::DATA));
        answer("map it to be read", map(page, flag::READ_ONLY));
        answer("set a descriptor in it", call(number::UPDATE_DESCRIPTOR, &[word(page, 0), 0]));
        let list = [frame(page)];
        answer("use it for the GDT", call(number::SET_GDT, &[list.as_ptr() as u64, 512]));
        answer("clear it", extended(CLEAR_PAGE, frame(page), 0));
        answer("unpin it", unpin(page));
        answer("unpin it again", unpin(page));
        answer("map it to be written to", map(page, flag::DATA));
        answer("map it to be read", map(page, flag::READ_ONLY));
    }
    for (name, frame) in
        [("no frame", NO_FRAME), ("all ones", !0), ("the local APIC", LOCAL_APIC), ("frame 0", 0)]
    {
        for level in 1..=4 {
            answer(name, extended(level - 1, frame, 0));
        }
        answer(name, extended(UNPIN_TABLE, frame, 0));
        answer(name, extended(NEW_BASEPTR, frame, 0));
        answer(name, extended(NEW_USER_BASEPTR, frame | 1 << 30, 0));
    }
}

fn entries() {
    let target = scratch(1);
    map(target, flag::DATA);
    let flags = [
        ("read only", flag::READ_ONLY),
        ("writable", flag::DATA),
        ("not for programs", flag::DATA & !flag::USER),
        ("write-through", flag::DATA | 1 << 3),
        ("not cached", flag::DATA | 1 << 4),
        ("large", flag::DATA | flag::LARGE),
        ("global", flag::DATA | 1 << 8),
        ("the guest's bits", flag::DATA | 7 << 9),
        ("the upper bits", flag::DATA | 0x7f << 52),
        ("a protection key", flag::DATA | 0xf << 59),
        ("not executable", flag::DATA | flag::NO_EXECUTE),
        ("an address too large", flag::DATA | 1 << 51),
        ("not there", 0),
    ];
    for (name, flags) in flags {
        let page = with(0, 7, frame(target) << 12 | flags);
        answer("pin a table of level 1 with an entry that is", pin(1, page));
        answer(name, unpin(page));
        for level in 2..=4 {
            map(target, flag::DATA);
            fill(target, 0);
            map(target, flag::READ_ONLY);
            let page = with(0, 7, frame(target) << 12 | flags);
            answer("pin a table of a higher level with it", pin(level, page));
            answer(name, unpin(page));
        }
        map(target, flag::DATA);
    }
    for (name, frame) in [
        ("no frame", NO_FRAME),
        ("the local APIC", LOCAL_APIC),
        ("the I/O APIC", IO_APIC),
        ("the screen", SCREEN),
    ] {
        let page = with(0, 7, (frame << 12 | flag::DATA) & !(1 << 63));
        for level in 1..=4 {
            answer("pin a table with an entry for", pin(level, page));
            answer(name, unpin(page));
        }
        answer("map it", map_frame(scratch(2), frame, flag::DATA));
    }
    map(scratch(2), flag::DATA);
}

fn levels() {
    for above in 2..=4_u32 {
        for below in 1..=4_u32 {
            let low = empty(1);
            answer("pin the table below", pin(below, low));
            let high = with(0, 3, frame(low) << 12 | flag::TABLE);
            answer("pin the table above", pin(above, high));
            answer("unpin the table below", unpin(low));
            answer("map the table below to be written to", map(low, flag::DATA));
            answer("unpin the table above", unpin(high));
        }
    }
    // Four levels at once, the same table twice, a page between that can't be one.
    let low = empty(4);
    let second = with(3, 0, frame(low) << 12 | flag::TABLE);
    let third = with(2, 0, frame(second) << 12 | flag::TABLE);
    let top = with(1, 0, frame(third) << 12 | flag::TABLE);
    answer("pin four levels", pin(4, top));
    answer("map level 1 to be written to", map(low, flag::DATA));
    answer("map level 2 to be written to", map(second, flag::DATA));
    answer("let level 1 map level 2", update(word(low, 0), frame(second) << 12 | flag::READ_ONLY));
    answer("let level 1 map itself", update(word(low, 1), frame(low) << 12 | flag::READ_ONLY));
    answer("to be written to", update(word(low, 2), frame(low) << 12 | flag::DATA));
    answer("level 2 leads to it twice", update(word(second, 5), frame(low) << 12 | flag::TABLE));
    answer("level 2 leads to itself", update(word(second, 6), frame(second) << 12 | flag::TABLE));
    answer("level 2 leads to level 3", update(word(second, 6), frame(third) << 12 | flag::TABLE));
    answer("level 3 leads to level 1", update(word(third, 6), frame(low) << 12 | flag::TABLE));
    answer("level 4 leads to level 2", update(word(top, 6), frame(second) << 12 | flag::TABLE));
    answer(
        "level 4 leads to level 3 twice",
        update(word(top, 7), frame(third) << 12 | flag::TABLE),
    );
    answer("unpin level 3", unpin(third));
    answer("unpin four levels", unpin(top));
    for page in [low, second, third, top] {
        answer("they are data again", map(page, flag::DATA));
    }
    let bad = with(3, 9, frame(scratch(5)) << 12 | flag::DATA | 1 << 51);
    let second = with(2, 9, frame(bad) << 12 | flag::TABLE);
    let third = with(1, 9, frame(second) << 12 | flag::TABLE);
    answer("pin three levels with a bad entry", pin(3, third));
    for page in [bad, second, third] {
        answer("they are data still", map(page, flag::DATA));
    }
}

/// Tables that refer to themselves.
fn recursive() {
    for level in 1..=4 {
        let page = with(0, 3, frame(scratch(0)) << 12 | flag::READ_ONLY);
        answer("a table that leads to itself, to be read", pin(level, page));
        answer("unpin it", unpin(page));
        let page = with(0, 3, frame(scratch(0)) << 12 | flag::DATA);
        answer("a table that leads to itself, to be written to", pin(level, page));
        answer("unpin it", unpin(page));
        answer("it is data again", map(page, flag::DATA));
        let other = empty(1);
        answer("another table of the level", pin(level, other));
        let page = with(0, 3, frame(other) << 12 | flag::READ_ONLY);
        answer("a table that leads to it, to be read", pin(level, page));
        answer("unpin it", unpin(page));
        answer("unpin the other", unpin(other));
    }
}

fn bases() {
    let root = memory::root();
    answer("the base that there is", extended(NEW_BASEPTR, root, 0));
    answer("a table as the programs' base", extended(NEW_USER_BASEPTR, frame(empty(0)), 0));
    answer("pin it as another level", pin(3, scratch(0)));
    answer("map it to be written to", map(scratch(0), flag::DATA));
    answer("no programs' base", extended(NEW_USER_BASEPTR, 0, 0));
    answer("map it to be written to", map(scratch(0), flag::DATA));
    answer("unpin the first base", extended(UNPIN_TABLE, root, 0));
    answer("unpin it again", extended(UNPIN_TABLE, root, 0));
    answer("pin it", extended(PIN_L4_TABLE, root, 0));
    answer("pin it again", extended(PIN_L4_TABLE, root, 0));
    // One with all that the kernel needs.
    let page = scratch(0);
    map(page, flag::DATA);
    extended(COPY_PAGE, frame(page), root);
    map(page, flag::READ_ONLY);
    answer("another base", extended(NEW_BASEPTR, frame(page), 0));
    answer("the hypervisor's part is complete", i64::from(memory::read(page + 8 * 262) & 1 != 0));
    answer("the first base", extended(NEW_BASEPTR, root, 0));
    answer("the other is data again", map(page, flag::DATA));
    let data = frame(scratch(1));
    map(scratch(1), flag::DATA);
    answer("a base that is data", extended(NEW_BASEPTR, data, 0));
    answer("programs' base that is data", extended(NEW_USER_BASEPTR, data, 0));
}

fn updates() {
    let page = empty(0);
    let target = scratch(1);
    map(target, flag::DATA);
    let entry = frame(target) << 12 | flag::DATA;
    pin(1, page);
    for kind in 0..8 {
        answer("an update of that kind, of a table", update(word(page, 1) | kind, entry));
        answer("an update of that kind, of data", update(word(target, 1) | kind, 77));
    }
    value("what it wrote", memory::read(target + 8));
    answer("an update of what is nowhere", update(NO_FRAME << 12, 0));
    answer("an update of the local APIC", update(LOCAL_APIC << 12, 0));
    answer("an update of frame 0", update(0, 0));
    answer("where nowhere is", update(NO_FRAME << 12 | 1, 0));
    answer("where a page is", update(frame(target) << 12 | 1, 5));
    value("where it is", memory::read(0xffff_8000_0000_0000 + 8 * frame(target)));
    update(frame(target) << 12 | 1, (target - memory::VIRT_BASE) >> 12);
    for slot in [0, 255, HYPERVISOR_SLOT, 262, 271, 272, 511] {
        let (root, _) = table(page, 4);
        let old = memory::read(memory::address(root) + 8 * slot);
        let place = (root << 12) + 8 * slot;
        if slot < HYPERVISOR_SLOT || slot == 272 {
            answer("clear an entry of level 4", update(place, 0));
        }
        if (HYPERVISOR_SLOT..272).contains(&slot) {
            answer("clear the hypervisor's entry", update(place, 0));
            answer("set the hypervisor's entry", update(place, frame(page) << 12 | flag::TABLE));
            answer("leave the hypervisor's entry", update(place, old));
        }
        if slot == 511 {
            answer("leave the kernel's entry", update(place, old));
            answer("mark the kernel's entry", update(place, old | 1 << 9));
        }
    }
    unpin(page);
}

fn counts() {
    let page = empty(0);
    pin(1, page);
    let updates = [[word(page, 0), 0], [word(page, 1), 0], [NO_FRAME << 12, 0], [word(page, 2), 0]];
    let list = updates.as_ptr() as u64;
    let own = u64::from(DOMID_SELF);
    let mut done = 99_u32;
    let place = core::ptr::from_mut(&mut done) as u64;
    for count in [0, 1, 2, 3, 4, 0x8000_0000, 0x8000_0002, 0x1_0000_0002] {
        answer("so many updates", call(number::MMU_UPDATE, &[list, count, place, own]));
        value("are done", u64::from(kernels::hypercall::volatile(&mut done)));
    }
    let operations = [[6_u64, 0, 0], [99, 0, 0], [6, 0, 0]];
    let list = operations.as_ptr() as u64;
    for count in [0, 1, 2, 3, 0x8000_0000, 0x8000_0001, 0x1_0000_0001] {
        answer("so many operations", call(number::MMUEXT_OP, &[list, count, place, own]));
        value("are done", u64::from(kernels::hypercall::volatile(&mut done)));
    }
    for count in [1 << 20, 0x7fff_ffff, 0xffff_ffff] {
        answer("far too many updates", call(number::MMU_UPDATE, &[0x1000, count, 0, own]));
        answer("far too many operations", call(number::MMUEXT_OP, &[0x1000, count, 0, own]));
        answer("to the end", call(number::MMU_UPDATE, &[!0 - 31, count, 0, own]));
    }
    unpin(page);
}

fn others() {
    let page = empty(0);
    let target = scratch(1);
    map(target, flag::DATA);
    pin(1, page);
    let update = [word(page, 1), frame(target) << 12 | flag::DATA];
    let list = update.as_ptr() as u64;
    for (name, domain) in DOMAINS {
        answer(name, call(number::MMU_UPDATE, &[list, 1, 0, domain]));
        answer("its tables", call(number::MMU_UPDATE, &[list, 1, 0, (domain + 1) << 16 | 0x7ff0]));
        for operation in [
            [0, frame(page), 0],
            [4, frame(page), 0],
            [6, 0, 0],
            [13, 0, 0],
            [16, frame(target), 0],
        ] {
            let list = operation.as_ptr() as u64;
            answer("an operation on it", call(number::MMUEXT_OP, &[list, 1, 0, domain]));
        }
        let entry = frame(target) << 12 | flag::DATA;
        let number = number::UPDATE_VA_MAPPING_OTHERDOMAIN;
        answer("map its frame", call(number, &[target, entry, 2, domain]));
        answer(
            "map device memory as its",
            call(number, &[scratch(2), SCREEN << 12 | flag::DATA, 2, domain]),
        );
    }
    map(scratch(2), flag::DATA);
    map(page, flag::DATA);
    unpin(page);
    map(page, flag::DATA);
}

fn addresses() {
    let target = scratch(1);
    let entry = frame(target) << 12 | flag::DATA;
    for (name, at) in [
        ("where no tables are", 0x1000),
        ("beyond programs", 0x0000_7fff_ffff_f000),
        ("not canonical", 0x0000_8000_0000_0000),
        ("the machine-to-physical table", 0xffff_8000_0000_0000),
        ("the hypervisor", 0xffff_82d0_8000_0000),
        ("all memory", 0xffff_8300_0000_0000),
        ("the last page", !0xfff),
        ("within a page", target + 123),
    ] {
        for flush in [0, 1, 2, 3, 5, 6, 7] {
            answer(name, call(number::UPDATE_VA_MAPPING, &[at, entry, flush]));
        }
    }
    for pointer in [0x8, 0x1000, 0xffff_8300_0000_0000, !7] {
        answer("a bad bitmap", call(number::UPDATE_VA_MAPPING, &[target, entry, 1 | pointer]));
        answer("a bad bitmap", call(number::UPDATE_VA_MAPPING, &[target, entry, 2 | pointer]));
    }
    for slot in 0..512 {
        // All entries of the kernel's own tables that it may not have are refused.
        let (root, _) = table(target, 4);
        let entry = memory::read(memory::address(root) + 8 * slot);
        if entry & 1 != 0 && slot < 256 {
            value("an entry that the builder made", slot);
        }
    }
}

/// Writes to tables as if they were memory.
fn in_place() {
    let at = scratch(1);
    let (low, slot) = table(at, 1);
    let place = memory::address(low) + 8 * slot;
    let old = memory::read(place);
    trap("write an entry in place", attempt(|| memory::write(place, old)));
    trap("clear it", attempt(|| memory::write(place, 0)));
    trap("read there", attempt(|| memory::read(at)));
    trap("write it back", attempt(|| memory::write(place, old)));
    trap("read there", attempt(|| memory::read(at)));
    // Tables are elsewhere on each hypervisor.
    let trap = |name: &str, trap: Option<Trap>| {
        let trap = trap.map(|trap| Trap { address: trap.address & 7, ..trap });
        kernels::answer::trap(name, trap);
    };
    trap("write a bad entry", attempt(|| memory::write(place, old | 1 << 51)));
    trap("write one for a table", attempt(|| memory::write(place, low << 12 | flag::DATA)));
    trap("write across entries", attempt(|| memory::write(place + 4, old)));
    let (low, slot) = table(at, 2);
    let place = memory::address(low) + 8 * slot;
    let old = memory::read(place);
    trap("write an entry of level 2", attempt(|| memory::write(place, old)));
    let page = empty(0);
    trap("write to what is no table", attempt(|| memory::write(page, 0)));
}

fn operations() {
    let own = frame(scratch(1));
    map(scratch(1), flag::DATA);
    memory::fill(scratch(1), 9);
    for command in 0..24 {
        if matches!(command, 5 | 15) {
            continue;
        }
        answer("an operation on no frame", extended(command, NO_FRAME, NO_FRAME));
        answer(
            "an operation on the hypervisor's address",
            extended(command, 0xffff_8300_0000_0000, 0),
        );
        answer("on what is not canonical", extended(command, 0x8000_0000_0000, 0));
        answer("on data", extended(command, own, own));
    }
    value("data", memory::read(scratch(1)));
    answer("clear data", extended(CLEAR_PAGE, own, 0));
    value("data", memory::read(scratch(1)));
    answer("copy to what is no frame", extended(COPY_PAGE, NO_FRAME, own));
    answer("copy what is no frame", extended(COPY_PAGE, own, NO_FRAME));
    answer("an LDT of nothing", extended(SET_LDT, 0, 0));
    answer("an LDT within a page", extended(SET_LDT, scratch(1) + 8, 1));
    answer("an LDT that is too large", extended(SET_LDT, scratch(1), 8193));
    answer("an LDT at the hypervisor's", extended(SET_LDT, 0xffff_8300_0000_0000, 1));
    answer("an LDT beyond", extended(SET_LDT, 0x0000_8000_0000_0000, 1));
    answer("an LDT", extended(SET_LDT, scratch(1), 512));
    answer("its page becomes a table", pin(1, scratch(1)));
    answer("its page is mapped to be written to", map(scratch(1), flag::DATA));
    answer("no LDT", extended(SET_LDT, 0, 0));
    map(scratch(1), flag::DATA);
}
