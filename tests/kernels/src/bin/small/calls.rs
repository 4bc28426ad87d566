//! A guest that makes nothing but hypercalls, each as long as its memory for arguments allows.

use kernels::hypercall::{call, number};
use kernels::memory::{self, SCRATCH, flag, frame, map, scratch};
use xen::abi::mmuext::{CLEAR_PAGE, MMU_MACHPHYS_UPDATE};
use xen::abi::{DOMID_SELF, PAGE_SIZE};

/// Bytes for arguments: all pages to play with but the first.
const ROOM: u64 = ((SCRATCH - 1) * PAGE_SIZE) as u64;

/// Fills the room with one argument, word by word; how many there are.
fn fill<const WORDS: usize>(argument: [u64; WORDS]) -> u64 {
    let count = ROOM / (8 * WORDS as u64);
    for index in 0..count * WORDS as u64 {
        memory::write(scratch(1) + 8 * index, argument[index as usize % WORDS]);
    }
    count
}

/// Lists of calls, changes of what a frame's number is, and pages emptied, one after the other.
pub fn for_ever() -> ! {
    for index in 0..SCRATCH {
        map(scratch(index), flag::DATA);
    }
    let (page, list, own) = (scratch(0), scratch(1), u64::from(DOMID_SELF));
    let pfn = (page - memory::VIRT_BASE) / PAGE_SIZE as u64;
    loop {
        let count = fill([number::XEN_VERSION, 0, 0, 0, 0, 0, 0, 0]);
        call(number::MULTICALL, &[list, count]);
        let count = fill([frame(page) << 12 | MMU_MACHPHYS_UPDATE, pfn]);
        call(number::MMU_UPDATE, &[list, count, 0, own]);
        let count = fill([CLEAR_PAGE.into(), frame(page), 0]);
        call(number::MMUEXT_OP, &[list, count, 0, own]);
    }
}
