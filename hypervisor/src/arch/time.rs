//! What time it is, and being woken at a time: the clock that guests compute, and each processor's
//! timer.
//!
//! System time counts nanoseconds from boot. It is computed from the time stamp counter, which is
//! taken to be the same on all processors.

use core::arch::x86_64::__cpuid;

use hypervisor::apic::{MASKED, TSC_DEADLINE};
use hypervisor::clock::{self, Clock, Scale};
use hypervisor::vectors::TIMER;
use spin::Once;
use x86_64::registers::model_specific::Msr;

use super::{cmos, counters, lapic};
use crate::note;

/// IA32_TSC_DEADLINE (Intel SDM, volume 3, section 11.5.4.1).
const DEADLINE: u32 = 0x6e0;
/// CPUID leaf 1, ECX: the timer takes a deadline.
const HAS_DEADLINE: u32 = 1 << 24;

struct Time {
    clock: Clock,
    /// How often the time stamp counter counts a second.
    hertz: u64,
    /// How often the local timer counts a second; without it it takes deadlines.
    timer_hertz: Option<u64>,
    /// Seconds since 1970 when system time was 0.
    boot: u64,
}

static TIME: Once<Time> = Once::new();

/// Starts the clock; called once, on the first processor, when its local APIC is on.
pub fn init() {
    let hertz = counters::timestamp_hertz();
    let scale = Scale::from_frequency(hertz).expect("a frequency that was measured isn't 0");
    let timer_hertz = match __cpuid(1).ecx & HAS_DEADLINE {
        0 => Some(timer_hertz()),
        _ => None,
    };
    let boot = cmos::unix_seconds().unwrap_or_else(|| {
        note!(Warning, "The real-time clock has no date; 1970 is assumed");
        0
    });
    let clock = Clock { counter: counters::timestamp(), time: 0, scale };
    TIME.call_once(|| Time { clock, hertz, timer_hertz, boot });
    note!(Info, "Clock: {} s since 1970, mul {:#x}, shift {}", boot, scale.mul, scale.shift);
    start_timer();
}

fn timer_hertz() -> u64 {
    lapic::set_timer_entry(MASKED);
    lapic::start_timer(u32::MAX);
    // It counts down.
    let hertz = counters::measure("Local timer", || (u32::MAX - lapic::timer_left()).into());
    lapic::start_timer(0);
    hertz
}

fn time() -> &'static Time {
    TIME.get().expect("the clock is started first")
}

/// Prepares this processor's timer, which stays silent until [`wake_at`].
pub fn start_timer() {
    let mode = if time().timer_hertz.is_none() { TSC_DEADLINE } else { 0 };
    lapic::set_timer_entry(mode | u32::from(TIMER));
    wake_at(None);
}

/// System time now.
pub fn now() -> u64 {
    time().clock.at(counters::timestamp())
}

/// Whether there is a system time yet.
pub fn has_begun() -> bool {
    TIME.is_completed()
}

/// The parameters by which guests compute system time themselves.
pub fn clock() -> Clock {
    time().clock
}

/// How often the time stamp counter counts a second.
pub fn timestamp_hertz() -> u64 {
    time().hertz
}

/// Seconds since 1970 when system time was 0: `wc_sec` of xen.h, where `wc_nsec` is 0.
pub fn boot_seconds() -> u64 {
    time().boot
}

/// Has this processor interrupted with [`TIMER`] when system time gets there, or not at all. The
/// interrupt may come early, if the time is further away than the timer counts.
pub fn wake_at(deadline: Option<u64>) {
    let time = time();
    let left = deadline.map(|deadline| deadline.saturating_sub(now()));
    match time.timer_hertz {
        Some(hertz) => {
            let ticks = left.map_or(0, |left| clock::ticks(hertz, left).max(1));
            lapic::start_timer(u32::try_from(ticks).unwrap_or(u32::MAX));
        }
        None => {
            let far = |left| counters::timestamp().saturating_add(clock::ticks(time.hertz, left));
            // SAFETY: the processor has the register, and it interrupts at most. The fence orders
            // it behind the write to the local vector table (section 11.5.4.1).
            unsafe {
                core::arch::x86_64::_mm_mfence();
                Msr::new(DEADLINE).write(left.map_or(0, far));
            }
        }
    }
}
