//! Random hypercalls: the hypervisor lives on, and takes everything back when the domain ends.
//!
//! What the kernel needs itself, its code, stack, first tables and rings, is kept out of them.

use kernels::answer::line;
use kernels::hypercall::{call, number};
use kernels::memory::flag::{DATA, PRESENT, READ_ONLY, TABLE, USER};
use kernels::memory::{
    SCRATCH, extended, frame, machine, map_frame, read, scratch, write, write_entry,
};
use kernels::random::Random;
use kernels::{start, traps};
use xen::abi::x86_32::{HYPERVISOR_START, MulticallEntry};
use xen::abi::{DOMID_SELF, evtchn, memory, mmuext, vcpu};

const CALLS: u32 = 3_000;
/// Hypercalls that may have any argument of those below. Without the FPU the kernel can't be: the
/// compiler loads words of 64 bits by it.
const NUMBERS: [u64; 16] = [
    number::SET_TRAP_TABLE,
    number::MMU_UPDATE,
    number::MMU_UPDATE,
    number::SET_GDT,
    number::STACK_SWITCH,
    number::SET_CALLBACKS,
    number::UPDATE_DESCRIPTOR,
    number::MEMORY_OP,
    number::UPDATE_VA_MAPPING,
    number::SET_TIMER_OP,
    number::XEN_VERSION,
    number::GRANT_TABLE_OP,
    number::VM_ASSIST,
    number::VCPU_OP,
    number::MMUEXT_OP,
    number::EVENT_CHANNEL_OP,
];
/// Addresses that are nobody's, the hypervisor's, or at an end.
const BAD: [u64; 6] = [0, 0x1000, 0xbfff_fffc, 0xf580_0000, 0xffe0_0000, 0xffff_fffc];

/// Pages to play with, as they are now.
struct Field {
    random: Random,
    frames: [u64; SCRATCH],
}

pub fn all() {
    let frames = core::array::from_fn(|index| frame(scratch(index)));
    let mut field = Field { random: Random::new(32), frames };
    for _ in 0..CALLS {
        field.fill();
        let number = field.random.pick(&NUMBERS);
        match field.random.below(8) {
            0 => field.several(),
            _ => {
                let arguments = field.arguments(number);
                let _ = traps::attempt(|| _ = call(number, &arguments));
            }
        }
        // Whatever was said of handlers, these are needed.
        traps::init();
        field.map();
    }
    line(format_args!("random calls: {CALLS}"));
}

impl Field {
    /// The first page is always there, for arguments; others now and then.
    fn map(&mut self) {
        let index = self.random.below(SCRATCH as u64 * 4) as usize;
        if index < SCRATCH {
            map_frame(scratch(index), self.frames[index], DATA);
        }
        for _ in 0..4 * SCRATCH {
            if map_frame(scratch(0), self.frames[0], DATA) == 0 {
                return;
            }
            // It became a table, or descriptors: it goes on as one, or is none any more.
            call(number::SET_GDT, &[0, 0]);
            if extended(mmuext::UNPIN_TABLE, self.frames[0], 0) != 0 {
                self.frames.rotate_left(1);
            }
        }
        panic!("no page is left to write to");
    }

    /// A frame: mostly one to play with, or any that isn't the kernel's.
    fn frame(&mut self) -> u64 {
        if !self.random.once_in(12) {
            return self.random.pick(&self.frames);
        }
        let any = self.random.below(1 << 17);
        let pages = u64::from(start::info().nr_pages);
        let place = u64::from(HYPERVISOR_START) + 4 * any;
        let mut pfn = u32::MAX;
        let _ = traps::attempt(|| pfn = read(place));
        if u64::from(pfn) < pages { 0x100 } else { any }
    }

    fn address(&mut self) -> u64 {
        if self.random.once_in(8) {
            return self.random.pick(&BAD);
        }
        // What is written there may be longer than a page; behind the last is the kernel's own.
        let page = self.random.below(SCRATCH as u64 - 1) as usize;
        scratch(page) + self.random.below(512) * 8
    }

    /// Half of what a structure has, or all of an entry.
    fn word(&mut self) -> [u32; 2] {
        let flags = [0, PRESENT, READ_ONLY, DATA, TABLE, TABLE, DATA | USER, DATA | 1 << 7];
        let half = match self.random.below(8) {
            0 | 1 => {
                let flags = self.random.pick(&flags);
                let entry = self.frame() << 12 | flags;
                return [entry as u32, (entry >> 32) as u32];
            }
            2 => {
                let at = self.frame() << 12 | self.random.below(512) << 3 | self.random.below(4);
                return [at as u32, (at >> 32) as u32];
            }
            3 => self.frame() as u32,
            4 => self.address() as u32,
            5 => u32::from(DOMID_SELF),
            6 => self.random.word() as u32,
            _ => self.random.below(24) as u32,
        };
        [half, if self.random.once_in(2) { 0 } else { self.random.below(24) as u32 }]
    }

    /// Fills places where arguments are.
    fn fill(&mut self) {
        let first = self.random.below(500) * 8;
        for at in (first..first + 96).step_by(8) {
            let [low, high] = self.word();
            write(scratch(0) + at, low);
            write(scratch(0) + at + 4, high);
        }
    }

    fn arguments(&mut self, number: u64) -> [u64; 5] {
        let place = scratch(0) + self.random.below(500) * 8;
        let place = if self.random.once_in(10) { self.address() } else { place };
        let small = self.random.below(16);
        let whose = u64::from(DOMID_SELF);
        let [low, high] = self.word().map(u64::from);
        match number {
            number::MMU_UPDATE => {
                let place = scratch(0) + self.random.below(500) * 8;
                for at in [place, place + 16, place + 32] {
                    let kind = self.random.below(4);
                    write_entry(at, self.frame() << 12 | self.random.below(512) << 3 | kind);
                    let [low, high] = self.word();
                    write_entry(at + 8, u64::from(low) | u64::from(high) << 32);
                }
                [place, self.random.below(4), 0, whose, 0]
            }
            number::MMUEXT_OP => {
                // Another top table would be the kernel's end.
                let commands =
                    [0, 1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 99];
                let place = scratch(0) + self.random.below(500) * 8;
                (0..3).for_each(|at| {
                    write(place + 12 * at, self.random.pick(&commands));
                    let frame = self.frame() as u32;
                    write(place + 12 * at + 4, frame);
                });
                [place, self.random.below(4), 0, whose, 0]
            }
            number::UPDATE_VA_MAPPING => [self.address(), low, high, small & 7, 0],
            number::UPDATE_DESCRIPTOR => {
                let at = machine(scratch(1)) & 4095 | self.frame() << 12;
                [at, at >> 32, low, high, 0]
            }
            number::EVENT_CHANNEL_OP => {
                // The console's port is needed, and bits for it.
                let kept = [evtchn::CLOSE, evtchn::RESET, evtchn::INIT_CONTROL];
                [if kept.contains(&small) { evtchn::STATUS } else { small }, place, 0, 0, 0]
            }
            number::VCPU_OP => {
                // One that goes down, or moves what it shares, hears nothing more.
                let kept = [vcpu::DOWN, vcpu::REGISTER_VCPU_INFO];
                [if kept.contains(&small) { vcpu::IS_UP } else { small }, 0, place, 0, 0]
            }
            number::MEMORY_OP if small == memory::DECREASE_RESERVATION => {
                [memory::CURRENT_RESERVATION, place, 0, 0, 0]
            }
            number::GRANT_TABLE_OP => [small, place, self.random.below(4), 0, 0],
            number::SET_CALLBACKS => [low, place, high, place, 0],
            number::SET_TRAP_TABLE | number::SET_GDT => [place, small, 0, 0, 0],
            _ => [small, place, low, 0, 0],
        }
    }

    /// A list of hypercalls.
    fn several(&mut self) {
        let list = core::array::from_fn::<_, 4, _>(|_| {
            let number = self.random.pick(&NUMBERS);
            let [a, b, c, d, e] = self.arguments(number).map(|argument| argument as u32);
            MulticallEntry { op: number as u32, result: 0, args: [a, b, c, d, e, 0] }
        });
        let place = &raw const list as u64;
        let _ = traps::attempt(|| _ = call(number::MULTICALL, &[place, 4]));
    }
}
