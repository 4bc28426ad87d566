//! What the kernel is told, and memory that goes and comes.

use kernels::answer::{answer, line, value};
use kernels::hypercall::{call, number, operation, place, volatile};
use kernels::memory::{VIRT_BASE, address, frame, map_frame, read, scratch};
use kernels::start;
use xen::abi::memory as op;
use xen::abi::x86_32::{MachphysMapping, MemoryMap, MulticallEntry, Reservation};
use xen::abi::{DOMID_SELF, assist, sched, version};

pub fn all() {
    told();
    versions();
    reservations();
    multicall();
    answer("yield", call(number::SCHED_OP, &[sched::YIELD]));
    answer("yield, the old way", call(number::SCHED_OP_OLD, &[sched::YIELD]));
    answer("poll, the old way", call(number::SCHED_OP_OLD, &[sched::POLL]));
    let extended = u64::from(assist::PAE_EXTENDED_CR3);
    answer("extended CR3", call(number::VM_ASSIST, &[assist::ENABLE, extended]));
    answer("watch an address", call(number::SET_DEBUGREG, &[0, VIRT_BASE]));
    value("what is watched", (call(number::GET_DEBUGREG, &[0]) as u32).into());
    call(number::SET_DEBUGREG, &[0, 0]);
    for (name, number) in [
        ("console", number::CONSOLE_IO),
        ("platform", number::PLATFORM_OP),
        ("domctl", number::DOMCTL),
        ("sysctl", number::SYSCTL),
        ("base of a segment", number::SET_SEGMENT_BASE),
        ("hypercall 11", 11),
        ("hypercall 60", 60),
    ] {
        answer(name, call(number, &[0, 0, 0]));
    }
}

fn told() {
    let info = start::info();
    let magic = core::str::from_utf8(&info.magic).unwrap_or("?").trim_end_matches('\0');
    line(format_args!("magic: {magic}"));
    line(format_args!("pages: {}", info.nr_pages));
    let base = VIRT_BASE as u32;
    let is_inside = |address: u32| (base..base + (info.nr_pages << 12)).contains(&address);
    line(format_args!("tables and list: {}", is_inside(info.pt_base) && is_inside(info.mfn_list)));
    // Each frame's pfn is that at which the list has it.
    let pages = (0..u64::from(info.nr_pages)).map(|pfn| VIRT_BASE + (pfn << 12));
    let wrong = pages.filter(|page| address(frame(*page)) != *page).count();
    line(format_args!("pages whose frame is another's: {wrong}"));
}

fn versions() {
    value("version", call(number::XEN_VERSION, &[version::VERSION, 0]) as u64);
    let mut base = [0_u32; 2];
    answer("platform", operation(number::XEN_VERSION, version::PLATFORM_PARAMETERS, &mut base));
    line(format_args!("parameters: {:x?}", volatile(&mut base)));
    let mut features = [0_u32; 2];
    answer("features", operation(number::XEN_VERSION, version::GET_FEATURES, &mut features));
    value("features", volatile(&mut features)[1].into());
    let mut mapping = MachphysMapping { v_start: 0, v_end: 0, max_mfn: 0 };
    answer("mapping", operation(number::MEMORY_OP, op::MACHPHYS_MAPPING, &mut mapping));
    let MachphysMapping { v_start, v_end, max_mfn } = volatile(&mut mapping);
    let has_room = (v_end - v_start) / 4 >= max_mfn;
    line(format_args!("mapping: from {v_start:#x}, room for all: {has_room}"));
    let mut buffer = [0_u32; 10];
    let mut map = MemoryMap { nr_entries: 2, buffer: place(&mut buffer) as u32 };
    answer("memory map", operation(number::MEMORY_OP, op::MEMORY_MAP, &mut map));
    line(format_args!("regions: {}", volatile(&mut map).nr_entries));
    let [start, _, length, _, kind, ..] = volatile(&mut buffer);
    line(format_args!("first: {start:#x}, {} MiB at least, kind {kind}", length >> 20));
}

fn reservation(list: u64, nr_extents: u32) -> Reservation {
    let extent_start = list as u32;
    Reservation {
        extent_start,
        nr_extents,
        extent_order: 0,
        mem_flags: 0,
        domid: DOMID_SELF,
        pad: 0,
    }
}

fn reservations() {
    let count = || call(number::MEMORY_OP, &[op::CURRENT_RESERVATION, place(&mut { DOMID_SELF })]);
    let before = count();
    let page = scratch(0);
    let old = frame(page);
    answer("unmap", map_frame(page, 0, 0));
    let mut frames = [old as u32, !0];
    let mut give = reservation(place(&mut frames), 2);
    answer("give two back", operation(number::MEMORY_OP, op::DECREASE_RESERVATION, &mut give));
    line(format_args!("pages: {}", count() - before));
    frames = [((page - VIRT_BASE) >> 12) as u32, 0];
    let mut take = reservation(place(&mut frames), 1);
    answer("take one", operation(number::MEMORY_OP, op::POPULATE_PHYSMAP, &mut take));
    line(format_args!("pages: {}", count() - before));
    let [new, _] = volatile(&mut frames);
    answer("map", map_frame(page, new.into(), kernels::memory::flag::DATA));
    line(format_args!("it is empty: {}", read(page) == 0));
    line(format_args!("its pfn: {}", address(new) == page));
    // It is at that place in the list, too.
    let entry = u64::from(start::info().mfn_list) + ((page - VIRT_BASE) >> 12) * 4;
    kernels::memory::write(entry, new);
    let mut far = reservation(0xf580_0000, 1);
    answer("take, nowhere to say", operation(number::MEMORY_OP, op::POPULATE_PHYSMAP, &mut far));
    line(format_args!("pages: {}", count() - before));
    let mut many = reservation(place(&mut frames), u32::MAX);
    many.extent_order = 30;
    answer("take too many", operation(number::MEMORY_OP, op::INCREASE_RESERVATION, &mut many));
}

fn multicall() {
    let entry = |op: u64, args: [u64; 2]| MulticallEntry {
        op: op as u32,
        result: 77,
        args: [args[0] as u32, args[1] as u32, 0, 0, 0, 0],
    };
    let mut list = [
        entry(number::XEN_VERSION, [version::VERSION, 0]),
        entry(number::SCHED_OP, [99, 0]),
        entry(number::MULTICALL, [0, 0]),
        entry(number::VM_ASSIST, [assist::ENABLE, 63]),
    ];
    answer("multicall", call(number::MULTICALL, &[place(&mut list), 4]));
    let results = volatile_list(&list);
    line(format_args!("results: {results:x?}"));
}

fn volatile_list(list: &[MulticallEntry; 4]) -> [u32; 4] {
    // SAFETY: a reference to plain data, which the hypervisor wrote to.
    unsafe { core::ptr::from_ref(list).read_volatile() }.map(|entry| entry.result)
}
