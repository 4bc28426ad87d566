//! A linear page table: all tables, seen through an entry of level 4 that refers to its own table or to
//! another one. NetBSD's kernels have both.

use kernels::answer::{answer, trap, value};
use kernels::memory::{
    self, extended, fill, flag, frame, map, read, root, scratch, slot, table, update,
};
use kernels::traps::attempt;
use xen::abi::mmuext::{COPY_PAGE, NEW_BASEPTR, PIN_L4_TABLE, UNPIN_TABLE};

/// The entry that leads to all tables.
const SLOT: u64 = 300;

/// Where the entry of level 1 for an address is seen.
fn entry_of(address: u64) -> u64 {
    0xffff << 48 | SLOT << 39 | address << 16 >> 28 << 3
}

fn mfn_of(entry: u64) -> u64 {
    entry << 12 >> 24
}

pub fn check() {
    let own = (root() << 12) + 8 * SLOT;
    answer("to be written to", update(own, root() << 12 | flag::DATA));
    answer("to be read", update(own, root() << 12 | flag::READ_ONLY));
    let data = scratch(1);
    map(data, flag::DATA);
    seen(data);
    let tables = entry_of(entry_of(entry_of(entry_of(0))));
    value("the entry itself is seen", read(tables + 8 * SLOT) ^ (root() << 12 | flag::READ_ONLY));
    write(data);
    for slot in [260, 261, 262, 263] {
        let hypervisors = entry_of(entry_of(entry_of(slot << 39)));
        trap("the hypervisor's tables", attempt(|| _ = read(hypervisors)));
        trap("they are not written to", attempt(|| memory::write(hypervisors, 0)));
    }
    answer("not there", update(own, 0));
    others(own);
}

/// An entry is where it should be, and changes.
fn seen(data: u64) {
    let (mfn, index) = table(data, 1);
    for flags in [flag::READ_ONLY, flag::DATA] {
        map(data, flags);
        let entry = read(entry_of(data));
        value("the frame is the one", mfn_of(entry) ^ frame(data));
        value("and so are its rights", entry & flag::DATA ^ flags & flag::DATA);
    }
    answer(
        "an entry is changed",
        update((mfn << 12) + 8 * index, frame(data) << 12 | flag::READ_ONLY),
    );
    value("it is seen", read(entry_of(data)) & 2);
}

/// Entries of level 1 may be written to as anywhere, others may not.
fn write(data: u64) {
    let new = frame(data) << 12 | flag::DATA;
    trap("an entry is written", attempt(|| memory::write(entry_of(data), new)));
    value("it is so", read(entry_of(data)) & 2);
    trap("data is written to", attempt(|| memory::write(data, 7)));
    let above = entry_of(entry_of(data));
    trap("an entry of level 2", attempt(|| memory::write(above, 0)));
}

/// Tables of level 4 that refer to others.
fn others(own: u64) {
    let pages = [2, 3, 4].map(scratch);
    for page in pages {
        map(page, flag::DATA);
        fill(page, 0);
        extended(COPY_PAGE, frame(page), root());
        map(page, flag::READ_ONLY);
        answer("another table", extended(PIN_L4_TABLE, frame(page), 0));
    }
    let place = |page| (frame(page) << 12) + 8 * SLOT;
    let entry = |page| frame(page) << 12 | flag::READ_ONLY;
    let [first, second, third] = pages;
    answer("the first in the one in use", update(own, entry(first)));
    value("its tables are seen", mfn_of(read(entry_of(scratch(5)))) ^ frame(scratch(5)));
    answer("the second in the first", update(place(first), entry(second)));
    answer("the one in use in the third", update(place(third), root() << 12 | flag::READ_ONLY));
    answer("the first in the third", update(place(third), entry(first)));
    answer("the first in itself", update(place(first), entry(first)));
    answer("the second instead of the first", update(own, entry(second)));
    answer("the one in use again", extended(NEW_BASEPTR, root(), 0));
    answer("unpin the second", extended(UNPIN_TABLE, frame(second), 0));
    answer("it is a table still", map(second, flag::DATA));
    slot_is_nothing(own);
    answer("it is none any more", map(second, flag::DATA));
    answer("unpin the first", extended(UNPIN_TABLE, frame(first), 0));
    answer("it is a table still", map(first, flag::DATA));
    answer("unpin the third", extended(UNPIN_TABLE, frame(third), 0));
    answer("both are data", map(first, flag::DATA) + map(third, flag::DATA));
}

fn slot_is_nothing(own: u64) {
    answer("nothing there", update(own, 0));
    trap("nothing is seen", attempt(|| _ = read(entry_of(scratch(5)))));
    value("of the address that is", slot(memory::VIRT_BASE, 4));
}
