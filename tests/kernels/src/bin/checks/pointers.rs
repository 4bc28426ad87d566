//! Each hypercall that reads or writes memory, with pointers to where it can't.

use kernels::answer::{answer, line, value};
use kernels::hypercall::{call, number};
use kernels::memory::{self, flag, map, scratch};

/// A hypercall: its name, number, arguments before the pointer and behind it.
type Call = (&'static str, u64, &'static [u64], &'static [u64]);

const SELF: u64 = 0x7ff0;

const CALLS: &[Call] = &[
    ("set_trap_table", 0, &[], &[]),
    ("mmu_update", 1, &[], &[1, 0, SELF]),
    ("set_gdt", 2, &[], &[512]),
    ("platform_op", 7, &[], &[]),
    ("memory_op increase", 12, &[0], &[]),
    ("memory_op decrease", 12, &[1], &[]),
    ("memory_op current", 12, &[3], &[]),
    ("memory_op maximum", 12, &[4], &[]),
    ("memory_op list", 12, &[5], &[]),
    ("memory_op populate", 12, &[6], &[]),
    ("memory_op add", 12, &[7], &[]),
    ("memory_op map", 12, &[9], &[]),
    ("memory_op machine map", 12, &[10], &[]),
    ("memory_op exchange", 12, &[11], &[]),
    ("memory_op table", 12, &[12], &[]),
    ("memory_op most", 12, &[14], &[]),
    ("multicall", 13, &[], &[1]),
    ("xen_version text", 17, &[1], &[]),
    ("xen_version compiler", 17, &[2], &[]),
    ("xen_version capabilities", 17, &[3], &[]),
    ("xen_version changes", 17, &[4], &[]),
    ("xen_version parameters", 17, &[5], &[]),
    ("xen_version features", 17, &[6], &[]),
    ("xen_version handle", 17, &[8], &[]),
    ("xen_version line", 17, &[9], &[]),
    ("grant_table_op map", 20, &[0], &[1]),
    ("grant_table_op unmap", 20, &[1], &[1]),
    ("grant_table_op setup", 20, &[2], &[1]),
    ("grant_table_op copy", 20, &[5], &[1]),
    ("grant_table_op size", 20, &[6], &[1]),
    ("grant_table_op version", 20, &[8], &[1]),
    ("vcpu_op initialise", 24, &[0, 0], &[]),
    ("vcpu_op state", 24, &[4, 0], &[]),
    ("vcpu_op area", 24, &[5, 0], &[]),
    ("vcpu_op period", 24, &[6, 0], &[]),
    ("vcpu_op timer", 24, &[8, 0], &[]),
    ("vcpu_op info", 24, &[10, 0], &[]),
    ("vcpu_op id", 24, &[12, 0], &[]),
    ("vcpu_op clock", 24, &[13, 0], &[]),
    ("mmuext_op", 26, &[], &[1, 0, SELF]),
    ("sched_op end", 29, &[2], &[]),
    ("sched_op poll", 29, &[3], &[]),
    ("sched_op remote", 29, &[4], &[]),
    ("sched_op watchdog", 29, &[6], &[]),
    ("sched_op pin", 29, &[7], &[]),
    ("callback_op register", 30, &[0], &[]),
    ("callback_op unregister", 30, &[1], &[]),
    ("event_channel_op interdomain", 32, &[0], &[]),
    ("event_channel_op virq", 32, &[1], &[]),
    ("event_channel_op pirq", 32, &[2], &[]),
    ("event_channel_op close", 32, &[3], &[]),
    ("event_channel_op send", 32, &[4], &[]),
    ("event_channel_op status", 32, &[5], &[]),
    ("event_channel_op unbound", 32, &[6], &[]),
    ("event_channel_op ipi", 32, &[7], &[]),
    ("event_channel_op vcpu", 32, &[8], &[]),
    ("event_channel_op unmask", 32, &[9], &[]),
    ("event_channel_op reset", 32, &[10], &[]),
    ("event_channel_op control", 32, &[11], &[]),
    ("event_channel_op expand", 32, &[12], &[]),
    ("event_channel_op priority", 32, &[13], &[]),
    ("physdev_op status", 33, &[5], &[]),
    ("physdev_op level", 33, &[6], &[]),
    ("physdev_op ports", 33, &[7], &[]),
    ("physdev_op read", 33, &[8], &[]),
    ("physdev_op write", 33, &[9], &[]),
    ("physdev_op vector", 33, &[10], &[]),
    ("physdev_op end", 33, &[12], &[]),
    ("physdev_op map", 33, &[13], &[]),
    ("physdev_op unmap", 33, &[14], &[]),
    ("physdev_op gsi", 33, &[21], &[]),
    ("physdev_op free", 33, &[23], &[]),
    ("physdev_op add", 33, &[25], &[]),
    ("sysctl", 35, &[], &[]),
    ("domctl", 36, &[], &[]),
];

pub fn check() {
    let read_only = scratch(0);
    map(read_only, flag::DATA);
    memory::fill(read_only, 0);
    map(read_only, flag::READ_ONLY);
    // The page behind it isn't there.
    let cut_off = scratch(2);
    map(cut_off, flag::DATA);
    memory::fill(cut_off, 0);
    memory::map_frame(scratch(3), 0, 0);
    let nowhere = [
        0,
        0x1000,
        0x0000_7fff_ffff_fffc,
        0x0000_8000_0000_0000,
        0x8000_0000_0000_0000,
        0xffff_7fff_ffff_fffc,
        0xffff_8000_0000_0000,
        0xffff_8200_0000_0000,
        0xffff_82d0_8000_0000,
        0xffff_8300_0000_0000,
        0xffff_87ff_ffff_fffc,
        0xffff_8800_0000_0000,
        !0,
        !3,
        scratch(3),
        cut_off + 4096 - 1,
    ];
    for (name, number, before, behind) in CALLS {
        line(format_args!("{name}"));
        let make = |pointer: u64| {
            let mut arguments = [0; 5];
            arguments[..before.len()].copy_from_slice(before);
            arguments[before.len()] = pointer;
            let rest = &mut arguments[before.len() + 1..];
            rest[..behind.len()].copy_from_slice(behind);
            call(*number, &arguments)
        };
        for pointer in nowhere {
            // A list that is nowhere is an empty one to this call.
            if *number == number::SET_TRAP_TABLE && pointer == 0 {
                continue;
            }
            answer("nowhere", make(pointer));
        }
        // What is there would end the kernel, or is what it waits for.
        if !matches!((*number, before.first()), (number::SCHED_OP, Some(2 | 3 | 4 | 6))) {
            answer("what can only be read", make(read_only));
        }
    }
    let zeros = (0..512).all(|index| memory::read(read_only + 8 * index) == 0);
    value("nothing was written", u64::from(zeros));
    map(read_only, flag::DATA);
    map(scratch(3), flag::DATA);
    kernels::traps::init();
    let mut level = 0_u32;
    call(number::PHYSDEV_OP, &[6, kernels::hypercall::place(&mut level)]);
}
