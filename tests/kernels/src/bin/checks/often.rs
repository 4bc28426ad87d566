//! A frame that is mapped by more entries than a hypervisor may like to count.

use kernels::answer::{answer, value};
use kernels::memory::{self, SCRATCH, extended, fill, flag, frame, map, map_frame, scratch};
use xen::abi::mmuext::{PIN_L1_TABLE, UNPIN_TABLE};

/// Tables of 512 entries: more than 2 to the 15th together.
const TABLES: usize = 70;

pub fn check() {
    let target = scratch(SCRATCH - 1);
    for (name, flags) in [("to be read", flag::READ_ONLY), ("to be written to", flag::DATA)] {
        map(target, flags);
        fill_tables(frame(target) << 12 | flags);
        answer(name, pin_all());
        answer("one entry more", map_frame(scratch(TABLES), frame(target), flags));
        answer("it may be a table", extended(PIN_L1_TABLE, frame(target), 0));
        answer("it is none any more", extended(UNPIN_TABLE, frame(target), 0));
        // Down and up again, where the count is too large for one place and not for another.
        for _ in 0..3 {
            let tables = [0, 1, 2, 3, 4, 5].map(scratch);
            let change = |kind| tables.iter().map(|at| extended(kind, frame(*at), 0)).sum();
            answer("some less", change(UNPIN_TABLE));
            answer("and more", change(PIN_L1_TABLE));
        }
        answer("one less", map(scratch(TABLES), flag::DATA));
        answer(
            "none is left",
            (0..TABLES).map(|at| extended(UNPIN_TABLE, frame(scratch(at)), 0)).sum(),
        );
        map(target, flag::READ_ONLY);
        answer("it may be a table", extended(PIN_L1_TABLE, frame(target), 0));
        answer("it is none any more", extended(UNPIN_TABLE, frame(target), 0));
    }
    map(target, flag::DATA);
    memory::write(target, 5);
    value("it is data", memory::read(target));
}

fn fill_tables(entry: u64) {
    for page in (0..TABLES).map(scratch) {
        map(page, flag::DATA);
        fill(page, entry);
        map(page, flag::READ_ONLY);
    }
}

fn pin_all() -> i64 {
    (0..TABLES).map(|at| extended(PIN_L1_TABLE, frame(scratch(at)), 0)).sum()
}
