//! Other hypercalls: what the hypervisor says of itself, memory, devices, lists of calls.

use kernels::answer::{answer, value};
use kernels::hypercall::{call, number, place, volatile};
use kernels::memory::{self, flag, frame, map, scratch};

const SELF: u64 = 0x7ff0;

pub fn check() {
    numbers();
    version();
    console();
    lists();
    reservations();
    memory_facts();
    exchange();
    devices();
    platform();
}

fn numbers() {
    // What a list of calls can't do, and what other checks do, is left out.
    for number in [
        6,
        11,
        16,
        19,
        27,
        28,
        31,
        34,
        37,
        38,
        39,
        40,
        42,
        47,
        48,
        55,
        56,
        63,
        64,
        1 << 31,
        1 << 32,
        !0,
    ] {
        answer("a number without a call", call(number, &[0; 5]));
    }
}

fn version() {
    let page = scratch(0);
    map(page, flag::DATA);
    for command in (0..12).chain([99, u32::MAX.into(), 1 << 32]) {
        memory::fill(page, 0);
        let said = call(number::XEN_VERSION, &[command, page]);
        // Lengths of what they say of themselves differ.
        answer(
            "what it says of itself",
            if matches!(command, 10) { 0 } else { said.min(0x4_0011) },
        );
        if matches!(command, 5..=8) {
            value("is", memory::read(page));
        }
    }
    for index in [0_u32, 1, 2, u32::MAX] {
        let mut features = [index, 99];
        answer("features", call(number::XEN_VERSION, &[6, place(&mut features)]));
        let [_, bits] = volatile(&mut features);
        value("are", bits.into());
    }
}

fn console() {
    let text = b"console: some text\n";
    let at = text.as_ptr() as u64;
    answer("text", call(number::CONSOLE_IO, &[0, text.len() as u64, at]));
    answer("no text", call(number::CONSOLE_IO, &[0, 0, at]));
    answer("no text from nowhere", call(number::CONSOLE_IO, &[0, 0, 0x1000]));
    answer("text from nowhere", call(number::CONSOLE_IO, &[0, 9, 0x1000]));
    answer("what was typed", call(number::CONSOLE_IO, &[1, 16, scratch(0)]));
    answer("what was typed, to nowhere", call(number::CONSOLE_IO, &[1, 16, 0x1000]));
    for command in [2, 3, u32::MAX.into()] {
        answer("another command", call(number::CONSOLE_IO, &[command, 1, at]));
    }
}

fn lists() {
    let entry =
        |number: u64, arguments: [u64; 2]| [number, 99, arguments[0], arguments[1], 0, 0, 0, 0];
    let mut list = [
        entry(number::XEN_VERSION, [0, 0]),
        entry(number::XEN_VERSION, [99, 0]),
        entry(number::MULTICALL, [0, 0]),
        entry(99, [0, 0]),
        entry(!0, [0, 0]),
        entry(number::SCHED_OP, [0, 0]),
        entry(number::EVENT_CHANNEL_OP, [4, 0x1000]),
    ];
    for count in [0, 1, 7, 1 << 32, (1 << 32) + 2] {
        list.iter_mut().for_each(|entry| entry[1] = 99);
        answer("a list", call(number::MULTICALL, &[place(&mut list), count]));
        for entry in volatile(&mut list) {
            answer("its entry", entry[1] as i64);
        }
    }
    // It has more entries than there is memory.
    for (name, at) in [
        ("nowhere", 0x1000),
        ("the hypervisor", 0xffff_8300_0000_0000),
        ("not canonical", 0x8000_0000_0000),
        ("the end", !0 - 63),
    ] {
        for count in [0, 1, 2, u32::MAX.into()] {
            answer(name, call(number::MULTICALL, &[at, count]));
        }
    }
    let page = scratch(0);
    map(page, flag::DATA);
    memory::map_frame(scratch(1), 0, 0);
    memory::fill(page, 0);
    for index in 0..64 {
        memory::write(page + 64 * index, number::XEN_VERSION);
    }
    answer("a list whose end isn't there", call(number::MULTICALL, &[page + 4096 - 128, 3]));
    value("its first entry", memory::read(page + 4096 - 128 + 8));
    map(page, flag::READ_ONLY);
    answer("a list that can't be written to", call(number::MULTICALL, &[page, 2]));
    map(page, flag::DATA);
    map(scratch(1), flag::DATA);
    // A list within a list of its own updates: preempted and gone on with.
    let updates = [[0_u64; 2]; 1];
    let mut list = [[number::MMU_UPDATE, 99, updates.as_ptr() as u64, 0, 0, SELF, 0, 0]];
    answer("a list with an empty call", call(number::MULTICALL, &[place(&mut list), 1]));
    answer("its entry", volatile(&mut list)[0][1] as i64);
}

/// struct xen_memory_reservation
fn reserve(command: u64, frames: &mut [u64], count: u64, order: u32, domain: u64) -> i64 {
    let mut reservation = [frames.as_ptr() as u64, count, order.into(), domain];
    call(number::MEMORY_OP, &[command, place(&mut reservation)])
}

fn reservations() {
    let page = scratch(2);
    map(page, flag::DATA);
    let own = frame(page);
    for domain in [SELF, 0, 77, 0x7ff1, 0x7ff4, 0xffff] {
        for command in [0, 1, 6] {
            answer("no frames of a domain", reserve(command, &mut [0], 0, 0, domain));
        }
    }
    answer("give a frame back", reserve(1, &mut [own], 1, 0, SELF));
    answer("give it back again", reserve(1, &mut [own], 1, 0, SELF));
    answer("pin it", memory::extended(xen::abi::mmuext::PIN_L1_TABLE, own, 0));
    answer("map it", memory::map_frame(scratch(3), own, flag::DATA));
    answer("unmap it", memory::map_frame(page, 0, 0));
    answer("unmap it there, too", memory::map_frame(scratch(3), 0, 0));
    answer("map it again", memory::map_frame(scratch(3), own, flag::DATA));
    map(scratch(3), flag::DATA);
    let pfn = (page - memory::VIRT_BASE) >> 12;
    let mut frames = [pfn];
    answer("get another", reserve(6, &mut frames, 1, 0, SELF));
    let new = volatile(&mut frames)[0];
    memory::moved(page, new);
    answer("map it", memory::map_frame(page, new, flag::DATA));
    value(
        "it is where it was wanted",
        memory::read(0xffff_8000_0000_0000 + 8 * new).wrapping_sub(pfn),
    );
    for (name, frame) in
        [("no frame", 1 << 40), ("all ones", !0), ("the local APIC", 0xfee00), ("frame 0", 0)]
    {
        answer(name, reserve(1, &mut [frame], 1, 0, SELF));
        answer("a run of it", reserve(1, &mut [frame], 1, 3, SELF));
    }
    for order in [1, 9, 10, 18, 19, 20, 31, 32, 63, u32::MAX] {
        answer("a run that can't be had", reserve(1, &mut [!0 << 8], 1, order, SELF));
    }
    for order in [21, 31, 32, 63, 64, u32::MAX] {
        answer("more than there is", reserve(6, &mut [pfn], 1, order, SELF));
        answer("more than there is", reserve(0, &mut [pfn], 1, order, SELF));
    }
    let mut reservation = [0x1000, 4, 0, SELF];
    for command in [0, 1, 6, 1 << 6, 6 | 4 << 6, 1 | 5 << 6, 1 | 1 << 38, !0 << 6 | 1] {
        answer("a list nowhere", call(number::MEMORY_OP, &[command, place(&mut reservation)]));
    }
    reservation[1] = !0;
    for command in [1, 1 | 5 << 6] {
        answer("as long as can be", call(number::MEMORY_OP, &[command, place(&mut reservation)]));
    }
}

fn memory_facts() {
    for domain in [SELF, 0, 77, 0x7ff1, 0x7ff4] {
        let mut domain = domain;
        for command in [3, 4, 14] {
            let said = call(number::MEMORY_OP, &[command, place(&mut domain)]);
            answer("about memory", said.min(1));
        }
    }
    for command in [2, 7, 8, 9, 13, 15, 16, 17, 18, 19, 20, 21, 24, 25, 26, 27, 28, 29, 40, 63] {
        let said = call(number::MEMORY_OP, &[command, 0x1000]);
        answer("another command", said.min(1));
    }
    let mut table = [9_u64; 3];
    answer("where the table is", call(number::MEMORY_OP, &[12, place(&mut table)]));
    let [start, end, _] = volatile(&mut table);
    value("its start", start);
    value("its end", end);
    let page = scratch(0);
    map(page, flag::DATA);
    for most in [0_u64, 1, 2] {
        let mut list = [most, page, 99];
        answer("its frames", call(number::MEMORY_OP, &[5, place(&mut list)]));
        value("so many", volatile(&mut list)[2] & 0xffff_ffff);
    }
    for most in [0_u64, 1, 128] {
        let mut map = [most, page];
        answer("the machine's memory", call(number::MEMORY_OP, &[10, place(&mut map)]).min(1));
        answer("its own", call(number::MEMORY_OP, &[9, place(&mut map)]));
    }
}

fn exchange() {
    let page = scratch(2);
    memory::map_frame(page, 0, 0);
    let pfn = (page - memory::VIRT_BASE) >> 12;
    let change =
        |name: &str, list: [u64; 2], counts: [u64; 2], orders: [u64; 2], domains: [u64; 2]| {
            let mut exchange = [
                list[0], counts[0], orders[0], domains[0], list[1], counts[1], orders[1],
                domains[1], 0,
            ];
            answer(name, call(number::MEMORY_OP, &[11, place(&mut exchange)]));
            value("are done", volatile(&mut exchange)[8]);
        };
    let (mut from, mut to) = ([frame(page)], [pfn]);
    let lists = [place(&mut from), place(&mut to)];
    change("nothing", lists, [0, 0], [0, 0], [SELF, SELF]);
    change("of one domain for another's", lists, [1, 1], [0, 0], [SELF, 77]);
    change("of a domain that isn't there", lists, [1, 1], [0, 0], [77, 77]);
    change("more for less", lists, [2, 1], [0, 0], [SELF, SELF]);
    change("runs too large", lists, [1, 1], [40, 40], [SELF, SELF]);
    change("as many as can be", lists, [!0, !0], [0, 0], [SELF, SELF]);
    change("of what wraps", lists, [1 << 63, 1 << 63], [1, 1], [SELF, SELF]);
    let mut bad = [1_u64 << 40];
    change("what is none", [place(&mut bad), lists[1]], [1, 1], [0, 0], [SELF, SELF]);
    change("lists nowhere", [0x1000, lists[1]], [1, 1], [0, 0], [SELF, SELF]);
    let mut mapped = [frame(scratch(4))];
    map(scratch(4), flag::DATA);
    change("what is mapped", [place(&mut mapped), lists[1]], [1, 1], [0, 0], [SELF, SELF]);
    map(page, flag::DATA);
}

fn devices() {
    let mut argument = [!0_u32; 12];
    for command in (0..35).chain([99, u32::MAX.into()]) {
        // All ones are no interrupt, no device, no port.
        argument.fill(!0);
        answer("of what is none", call(number::PHYSDEV_OP, &[command, place(&mut argument)]));
        answer("from nowhere", call(number::PHYSDEV_OP, &[command, 0x1000]));
    }
    for (name, register) in
        [("version", 1), ("identifier", 0), ("an entry", 0x10), ("beyond", 0xff)]
    {
        let mut apic = [0xfec0_0000_u64, register];
        answer("an I/O APIC's", call(number::PHYSDEV_OP, &[8, place(&mut apic)]));
        answer(name, 0);
    }
    let mut level = 0_u32;
    call(number::PHYSDEV_OP, &[6, place(&mut level)]);
}

fn platform() {
    let mut operation = [0_u32; 32];
    for version in [0, 0x0300_0000, 0x0300_0001, 0x0300_0002, u32::MAX] {
        operation[..2].copy_from_slice(&[99, version]);
        answer("of that version", call(number::PLATFORM_OP, &[place(&mut operation)]));
    }
    for cpu in [0, 1, 63, 4096, u32::MAX] {
        operation.fill(0);
        operation[..3].copy_from_slice(&[55, 0x0300_0001, cpu]);
        answer("a processor", call(number::PLATFORM_OP, &[place(&mut operation)]));
        let said = volatile(&mut operation);
        value("is", said[4].into());
    }
    for sleep in [0, 6, u32::MAX] {
        operation.fill(0);
        operation[..4].copy_from_slice(&[51, 0x0300_0001, 0, sleep]);
        answer("a sleep that isn't there", call(number::PLATFORM_OP, &[place(&mut operation)]));
    }
}
