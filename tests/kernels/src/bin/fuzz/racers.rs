//! Other vcpus, which change the same tables as the first at the same time.
//!
//! They know nothing of traps: what they ask for is only what a hypervisor can refuse.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernels::hypercall::{call, number};
use kernels::memory::{self, flag, map, scratch};
use kernels::random::Random;
use kernels::vcpu::{context, initialise, operation};
use xen::abi::mmuext::{
    FLUSH_CACHE, INVLPG_ALL, INVLPG_LOCAL, INVLPG_MULTI, NEW_USER_BASEPTR, PIN_L1_TABLE,
    PIN_L2_TABLE, PIN_L3_TABLE, PIN_L4_TABLE, TLB_FLUSH_ALL, TLB_FLUSH_LOCAL, TLB_FLUSH_MULTI,
    UNPIN_TABLE,
};
use xen::abi::{DOMID_SELF, sched, vcpu};

use crate::field::{FRAMES, Field, RACERS};
use crate::values;

/// At most so many.
pub const MOST: u64 = 3;
/// Pages of each: two of stack, one of arguments.
const PAGES: usize = 3;

/// What they play with.
static FIELD: [AtomicU64; FRAMES] = [const { AtomicU64::new(0) }; FRAMES];
static SEED: AtomicU64 = AtomicU64::new(0);
/// They are to come to an end, and how many did.
static IS_OVER: AtomicBool = AtomicBool::new(false);
static ENDED: AtomicU64 = AtomicU64::new(0);
/// Calls that were made, and those that succeeded.
static MADE: AtomicU64 = AtomicU64::new(0);
static SUCCEEDED: AtomicU64 = AtomicU64::new(0);

/// The vcpus that run beside the first.
pub struct Racers(u64);

impl Racers {
    /// Starts so many.
    pub fn start(count: u64, field: &Field, seed: u64) -> Self {
        for (place, frame) in FIELD.iter().zip(field.frames()) {
            place.store(*frame, Ordering::Relaxed);
        }
        SEED.store(seed, Ordering::Relaxed);
        let count = count.min(MOST);
        for number in 1..=count {
            (0..PAGES).for_each(|page| _ = map(page_of(number, page), flag::DATA));
            memory::mask_events_of(number, true);
            // As if it had been called.
            let mut context = context(race as *const () as u64, page_of(number, 2) - 8);
            context.user_regs.rdi = number;
            assert_eq!(initialise(number, &mut context), 0, "vcpu {number}");
            assert_eq!(operation(vcpu::UP, number, 0), 0, "vcpu {number}");
        }
        Self(count)
    }

    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        self.0 > 0
    }

    /// Waits for all to end; how many calls they made, and how many succeeded.
    pub fn end(self) -> (u64, u64) {
        IS_OVER.store(true, Ordering::Relaxed);
        while ENDED.load(Ordering::Acquire) < self.0 {
            call(number::SCHED_OP, &[sched::YIELD]);
        }
        for number in 1..=self.0 {
            operation(vcpu::DOWN, number, 0);
        }
        (MADE.load(Ordering::Relaxed), SUCCEEDED.load(Ordering::Relaxed))
    }
}

fn page_of(vcpu: u64, page: usize) -> u64 {
    scratch(RACERS + PAGES * (vcpu as usize - 1) + page)
}

/// What such a vcpu does.
extern "C" fn race(vcpu: u64) -> ! {
    let mut random = Random::new(SEED.load(Ordering::Relaxed).wrapping_add(vcpu << 32));
    let arguments = page_of(vcpu, 2);
    while !IS_OVER.load(Ordering::Relaxed) {
        let answer = step(&mut random, arguments);
        MADE.fetch_add(1, Ordering::Relaxed);
        SUCCEEDED.fetch_add(u64::from(answer >= 0), Ordering::Relaxed);
    }
    memory::extended(NEW_USER_BASEPTR, 0, 0);
    call(number::SET_GDT, &[0, 0]);
    ENDED.fetch_add(1, Ordering::Release);
    loop {
        call(number::SCHED_OP, &[sched::YIELD]);
    }
}

fn frame(random: &mut Random) -> u64 {
    random.pick(&FIELD.each_ref()).load(Ordering::Relaxed)
}

fn step(random: &mut Random, arguments: u64) -> i64 {
    let write = |index: u64, word| memory::write(arguments + 8 * index, word);
    let whose = DOMID_SELF.into();
    match random.below(16) {
        0..6 => {
            let count = 1 + random.below(4);
            for update in 0..count {
                let kind = if random.once_in(8) { 2 } else { 0 };
                write(2 * update, (frame(random) << 12) + 8 * values::index(random) + kind);
                let mapped = frame(random);
                write(2 * update + 1, values::entry_for(random, mapped));
            }
            call(number::MMU_UPDATE, &[arguments, count, 0, whose])
        }
        6..13 => {
            let count = 1 + random.below(3);
            for operation in 0..count {
                write(3 * operation, random.pick(&OPERATIONS).into());
                write(3 * operation + 1, frame(random));
                write(3 * operation + 2, frame(random));
            }
            call(number::MMUEXT_OP, &[arguments, count, 0, whose])
        }
        13 | 14 => {
            let (at, mapped) = (values::window(random) & !4095, frame(random));
            let entry = values::entry_for(random, mapped);
            call(number::UPDATE_VA_MAPPING, &[at, entry, random.below(8)])
        }
        _ if random.once_in(2) => {
            let place = (frame(random) << 12) + 8 * values::index(random);
            call(number::UPDATE_DESCRIPTOR, &[place, 0])
        }
        _ => {
            (0..3).for_each(|index| write(index, frame(random)));
            call(number::SET_GDT, &[arguments, random.below(3) * 512])
        }
    }
}

/// No new base for the kernel, nor what writes to whole frames: what maps the kernel stays.
const OPERATIONS: [u32; 20] = [
    PIN_L1_TABLE,
    PIN_L1_TABLE,
    PIN_L2_TABLE,
    PIN_L2_TABLE,
    PIN_L3_TABLE,
    PIN_L3_TABLE,
    PIN_L4_TABLE,
    PIN_L4_TABLE,
    UNPIN_TABLE,
    UNPIN_TABLE,
    UNPIN_TABLE,
    UNPIN_TABLE,
    TLB_FLUSH_LOCAL,
    INVLPG_LOCAL,
    TLB_FLUSH_MULTI,
    INVLPG_MULTI,
    TLB_FLUSH_ALL,
    INVLPG_ALL,
    FLUSH_CACHE,
    NEW_USER_BASEPTR,
];
