//! Random hypercalls that leave the kernel what it needs.

use kernels::hypercall::number;
use kernels::memory::{scratch, write};
use kernels::random::Random;
use xen::abi::mmuext::{NEW_BASEPTR, TLB_FLUSH_LOCAL};
use xen::abi::sched::{POLL, REMOTE_SHUTDOWN, SHUTDOWN, WATCHDOG};
use xen::abi::{platform, sysctl, vcpu};

use crate::field::{ARGUMENTS, Field};
use crate::{racers, values};

/// A hypercall that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Which.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 5],
    /// Afterwards what the kernel needs has to be put right.
    pub restores: bool,
}

impl Call {
    fn new<const N: usize>(number: u64, list: [u64; N]) -> Self {
        let mut arguments = [0; 5];
        arguments[..N].copy_from_slice(&list);
        Self { number, arguments, restores: false }
    }

    fn with_restore(self) -> Self {
        Self { restores: true, ..self }
    }

    /// Any.
    pub fn any(random: &mut Random, field: &Field) -> Self {
        match random.below(64) {
            0..20 => updates(random, field),
            20..34 => operations(random, field),
            34..42 => mapping(random, field),
            42..44 => descriptors(random, field),
            44..48 => channels(random, field),
            48..51 => vcpus(random, field),
            51..53 => list(random, field),
            53..56 => own_state(random, field),
            56..59 => memory(random, field),
            59..62 => host(random, field),
            62 => grants(random, field),
            _ => anything(random, field),
        }
    }
}

/// How many: mostly what there is, sometimes far more, or a call that goes on.
fn count(random: &mut Random, there_are: u64) -> u64 {
    match random.below(16) {
        0 => values::number(random),
        1 => there_are | 1 << 31,
        2 => there_are | values::number(random) << 32,
        _ => there_are,
    }
}

/// Where the number of those done goes.
fn done(random: &mut Random) -> u64 {
    if random.once_in(4) { values::pointer(random) } else { 0 }
}

/// mmu_update
fn updates(random: &mut Random, field: &Field) -> Call {
    let there_are = 1 + random.below(4);
    let mut list = [0; 16];
    for update in list.chunks_mut(2) {
        let kind = if random.once_in(8) { random.below(8) } else { 0 };
        let frame = values::frame(random, field);
        update[0] = (frame << 12) + 8 * values::index(random) + kind;
        update[1] = if random.once_in(16) { random.word() } else { values::entry(random, field) };
    }
    let place = values::words(&list);
    let place = if random.once_in(32) { values::pointer(random) } else { place };
    // A list elsewhere in that page may have anything in it, in what is written here too.
    let whose =
        if random.once_in(16) { values::domain(random) | random.below(3) << 16 } else { 0x7ff0 };
    let place = if place == scratch(ARGUMENTS) { place } else { bad_list(place) };
    // No more are read than were written.
    let count = count(random, there_are);
    let count = if count & 0x7fff_ffff > 8 { there_are } else { count };
    Call::new(number::MMU_UPDATE, [place, count, done(random), whose])
}

/// A list in the page of arguments is one of what is foreign only.
fn bad_list(place: u64) -> u64 {
    let page = scratch(ARGUMENTS);
    if (page..page + 4096).contains(&place) { values::NOWHERE } else { place }
}

/// mmuext_op
fn operations(random: &mut Random, field: &Field) -> Call {
    let there_are = 1 + random.below(3);
    let mut list = [0; 12];
    for (place, operation) in list.chunks_mut(3).enumerate() {
        operation[0] = match random.below(16) {
            0 => random.below(32),
            1..6 => 4,
            6..12 => random.below(4),
            _ => random.pick(&[5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17]),
        };
        let is_address = matches!(operation[0], 7..=11 | 13);
        operation[1] = match () {
            () if is_address && random.once_in(2) => values::window(random) & !4095,
            () if is_address => values::pointer(random),
            () if matches!(operation[0], 0..=5) && random.once_in(32) => field.root(),
            () => values::frame(random, field),
        };
        operation[2] =
            if is_address { values::pointer(random) } else { values::frame(random, field) };
        if operation[0] == 13 {
            operation[2] = values::number(random);
        }
        // Those before it may change the frame that was looked at.
        let is_new_base = operation[0] == u64::from(NEW_BASEPTR);
        if is_new_base && (place > 0 || !field.may_be_base(operation[1])) {
            operation[0] = TLB_FLUSH_LOCAL.into();
        }
    }
    let place = values::words(&list);
    let whose = if random.once_in(16) { values::domain(random) } else { 0x7ff0 };
    let count = count(random, there_are);
    // What is behind the list was not looked at.
    let count = if count & 0x7fff_ffff > 4 { there_are } else { count };
    Call::new(number::MMUEXT_OP, [place, count, done(random), whose])
}

/// update_va_mapping
fn mapping(random: &mut Random, field: &Field) -> Call {
    let at = match random.below(16) {
        0 => values::number(random) & !0xffff_ffff_0000_0000,
        1 => random.pick(&[0x1000, 0x8000_0000_0000, 0xffff_8000_0000_0000, 0xffff_8300_0000_0000]),
        _ => values::window(random),
    };
    let entry = values::entry(random, field);
    let flags = if random.once_in(8) { values::pointer(random) } else { random.below(8) };
    if random.once_in(8) {
        let whose = values::domain(random);
        return Call::new(number::UPDATE_VA_MAPPING_OTHERDOMAIN, [at, entry, flags, whose]);
    }
    Call::new(number::UPDATE_VA_MAPPING, [at, entry, flags])
}

/// set_gdt, update_descriptor
fn descriptors(random: &mut Random, field: &Field) -> Call {
    if random.once_in(2) {
        let list: [u64; 16] = core::array::from_fn(|_| values::frame(random, field));
        let place = values::words(&list);
        let place = if random.once_in(8) { values::pointer(random) } else { place };
        let entries =
            if random.once_in(2) { random.below(3 * 512) } else { values::number(random) };
        return Call::new(number::SET_GDT, [place, entries]);
    }
    let place = (values::frame(random, field) << 12) + 8 * values::index(random);
    let kinds =
        [0, 0x00cf_f300_0000_ffff, 0x00af_9b00_0000_ffff, 0xec00_e033_1234, 0x8900_0000_0067];
    let descriptor = if random.once_in(4) { random.word() } else { random.pick(&kinds) };
    Call::new(number::UPDATE_DESCRIPTOR, [place, descriptor])
}

/// event_channel_op
fn channels(random: &mut Random, field: &Field) -> Call {
    let mut list: [u64; 4] = core::array::from_fn(|_| {
        let half = |random: &mut Random| match random.below(4) {
            0 => values::number(random) & 0xffff_ffff,
            1 => values::domain(random) | values::domain(random) << 16,
            _ => random.below(16),
        };
        half(random) | half(random) << 32
    });
    if random.once_in(4) {
        list[0] = values::any(random, field);
    }
    let place = values::words(&list);
    let place = if random.once_in(8) { values::pointer(random) } else { place };
    let command = if random.once_in(16) { values::number(random) } else { random.below(14) };
    Call::new(number::EVENT_CHANNEL_OP, [command, place])
}

/// vcpu_op, sched_op, timers
fn vcpus(random: &mut Random, field: &Field) -> Call {
    match random.below(4) {
        0 => Call::new(number::SET_TIMER_OP, [values::number(random)]),
        1 => {
            let command =
                random.pick(&[0, POLL, POLL, 5, 7, 99, SHUTDOWN, REMOTE_SHUTDOWN, WATCHDOG]);
            // Time is always up.
            let poll = values::words(&[values::pointer(random), values::number(random), 1]);
            let place = match command {
                SHUTDOWN | REMOTE_SHUTDOWN | WATCHDOG => values::NOWHERE,
                POLL => poll,
                _ => values::structure(random, field),
            };
            Call::new(number::SCHED_OP, [command, place])
        }
        _ => {
            let command = random.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 99]);
            let vcpu = if random.once_in(2) { 0 } else { values::number(random) };
            // Those that race are left alone.
            let vcpu = if vcpu as u32 as u64 <= racers::MOST { 0 } else { vcpu };
            // Without its only vcpu the kernel is over.
            let command =
                if command == vcpu::DOWN && vcpu as u32 == 0 { vcpu::UP } else { command };
            let place = match command {
                // Its place is written to at any time.
                5 | 13 => {
                    values::words(&[if random.once_in(2) { values::window(random) } else { 0 }])
                }
                4 => values::pointer(random),
                _ => values::structure(random, field),
            };
            Call::new(number::VCPU_OP, [command, vcpu, place])
        }
    }
}

/// multicall
fn list(random: &mut Random, field: &Field) -> Call {
    const AT: u64 = 1024;
    let there_are = random.below(6);
    let mut restores = false;
    let mut last = [0; 8];
    for entry in 0..there_are {
        // All of them have their own arguments in the same place: those of the last are there.
        let call = match random.below(4) {
            0 => mapping(random, field),
            1 => own_state(random, field),
            2 if entry == there_are - 1 => updates(random, field),
            2 => Call::new(number::MULTICALL, [scratch(ARGUMENTS) + AT, 2]),
            _ => Call::new(number::XEN_VERSION, [random.below(12), values::window(random)]),
        };
        restores |= call.restores;
        last[0] = call.number;
        last[1] = 0;
        last[2..7].copy_from_slice(&call.arguments);
        for (index, word) in last.iter().enumerate() {
            write(scratch(ARGUMENTS) + AT + 64 * entry + 8 * index as u64, *word);
        }
    }
    let place = scratch(ARGUMENTS) + AT;
    let count =
        if random.once_in(16) { there_are | values::number(random) << 32 } else { there_are };
    Call { restores, ..Call::new(number::MULTICALL, [place, count]) }
}

/// What the kernel needs itself, and is put right afterwards.
fn own_state(random: &mut Random, field: &Field) -> Call {
    match random.below(9) {
        0 => {
            let list: [u64; 8] = core::array::from_fn(|_| values::any(random, field));
            let place = values::words(&list);
            let place = if random.once_in(2) { place } else { bad_list(values::pointer(random)) };
            Call::new(number::SET_TRAP_TABLE, [place]).with_restore()
        }
        1 => {
            let list = core::array::from_fn(|_| values::any(random, field));
            Call::new::<3>(number::SET_CALLBACKS, list).with_restore()
        }
        2 => {
            let place = values::structure(random, field);
            Call::new(number::CALLBACK_OP, [random.below(3), place]).with_restore()
        }
        3 => {
            let (segment, stack) = (values::number(random), values::any(random, field));
            Call::new(number::STACK_SWITCH, [segment, stack]).with_restore()
        }
        4 => Call::new(number::FPU_TASKSWITCH, [random.below(2)]),
        5 => {
            // None is on: they would stop anything.
            let which = random.below(9);
            let value = values::any(random, field) & if which == 7 { !0xff } else { !0 };
            Call::new(number::SET_DEBUGREG, [which, value]).with_restore()
        }
        6 => Call::new(number::GET_DEBUGREG, [values::number(random)]),
        7 => {
            let which = random.below(5);
            Call::new(number::SET_SEGMENT_BASE, [which, values::any(random, field)])
        }
        _ => Call::new(number::VM_ASSIST, [random.below(3), values::number(random)]),
    }
}

/// memory_op
fn memory(random: &mut Random, field: &Field) -> Call {
    // What takes frames away or brings new ones is done elsewhere.
    let command = random.pick(&[2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19, 26, 27, 28]);
    let done = if random.once_in(8) { values::number(random) << 6 } else { 0 };
    if random.once_in(2) {
        let list: [u64; 4] = core::array::from_fn(|_| values::foreign(random));
        write(scratch(ARGUMENTS) + 512, list[0]);
        let reservation = [
            scratch(ARGUMENTS) + 512,
            if random.once_in(2) { 1 } else { values::number(random) },
            if random.once_in(2) { 0 } else { values::number(random) },
            values::domain(random),
        ];
        // Frames that are none of the kernel's can't be given back.
        let place = values::words(&reservation);
        write(place + 8, reservation[1].min(1));
        write(place + 16, 0);
        return Call::new(number::MEMORY_OP, [1 | done, place]);
    }
    Call::new(number::MEMORY_OP, [command | done, values::structure(random, field)])
}

/// What the host is asked: version, console, devices, platform, control.
fn host(random: &mut Random, field: &Field) -> Call {
    match random.below(6) {
        0 => Call::new(number::XEN_VERSION, [random.below(12), values::pointer(random)]),
        1 => {
            // Nothing is written to the console but from where nothing is.
            let at = random.pick(&[values::NOWHERE, 0xffff_8300_0000_0000, !0]);
            Call::new(number::CONSOLE_IO, [random.below(4), values::number(random), at])
        }
        2 | 3 => {
            let command = if random.once_in(8) { values::number(random) } else { random.below(35) };
            Call::new(number::PHYSDEV_OP, [command, values::structure(random, field)])
                .with_restore()
        }
        4 => {
            // Not to sleep, which is what ends a machine.
            let command = random.pick(&[
                17, 31, 32, 33, 39, 43, 50, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64,
            ]);
            let place = values::structure(random, field);
            if place == scratch(ARGUMENTS) {
                write(place, command | u64::from(platform::INTERFACE_VERSION) << 32);
            }
            Call::new(number::PLATFORM_OP, [place])
        }
        _ => {
            // Debug keys print.
            let command = random.pick(&[1, 3, 4, 6, 8, 9, 16, 17, 18, 20]);
            let list: [u64; 8] = core::array::from_fn(|_| match random.below(3) {
                0 => values::pointer(random),
                1 => random.below(64) | random.below(64) << 32,
                _ => values::number(random),
            });
            let place = values::words(&list);
            write(place, command | u64::from(sysctl::INTERFACE_VERSION) << 32);
            Call::new(number::SYSCTL, [place])
        }
    }
}

/// grant_table_op, on the caller's own table.
fn grants(random: &mut Random, field: &Field) -> Call {
    let command = if random.once_in(16) { values::number(random) } else { random.below(13) };
    let count = if random.once_in(8) { values::number(random) } else { random.below(4) };
    let list: [u64; 16] = core::array::from_fn(|_| match random.below(5) {
        0 => values::window(random) & !4095,
        1 => random.below(16) | random.below(16) << 32,
        2 => values::domain(random) | random.below(16) << 32,
        3 => values::pointer(random),
        _ => values::any(random, field),
    });
    Call::new(number::GRANT_TABLE_OP, [command, values::words(&list), count])
}

/// A number that means nothing, with arguments that mean nothing.
fn anything(random: &mut Random, field: &Field) -> Call {
    let numbers =
        [6, 11, 16, 19, 27, 28, 31, 34, 37, 38, 39, 40, 41, 42, 48, 55, 56, 63, 1 << 32, !0];
    let list = core::array::from_fn(|_| values::any(random, field));
    Call::new::<5>(random.pick(&numbers), list)
}
