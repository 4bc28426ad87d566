//! Time since boot, and what each vcpu wants to be woken at.

use core::sync::atomic::{AtomicU64, Ordering};

use hypervisor::clock::SECOND;
use spin::Mutex;

use crate::arch::{memory, time};
use crate::domain::{self, Domain};
use crate::vcpu::Vcpu;

const VIRQ_TIMER: u32 = 0;
/// The processor wakes at least so often, for what is typed at the serial line.
const LONGEST: u64 = 50_000_000;
/// Words of the wall clock in a shared page (`wc_version`, `wc_sec`, `wc_nsec`, `wc_sec_hi`).
const WALL_CLOCK: usize = 3072 / 8;

/// Nanoseconds since 1970 at boot.
static BOOT: AtomicU64 = AtomicU64::new(0);
static WALL_CLOCK_LOCK: Mutex<()> = Mutex::new(());

/// Takes the time of day from the machine.
pub fn init() {
    BOOT.store(time::boot_seconds() * SECOND, Ordering::Relaxed);
}

/// Nanoseconds since boot.
pub fn now() -> u64 {
    time::now()
}

/// Sets the time of day: so much at a system time.
pub fn set_wall_clock(seconds: u64, nanoseconds: u64, at: u64) {
    let boot = (seconds.wrapping_mul(SECOND)).wrapping_add(nanoseconds).wrapping_sub(at);
    BOOT.store(boot, Ordering::Relaxed);
    domain::for_each(show_wall_clock);
}

/// Shows a domain the time of day at boot.
pub fn show_wall_clock(domain: &Domain) {
    let _lock = WALL_CLOCK_LOCK.lock();
    let boot = BOOT.load(Ordering::Relaxed);
    let offset = domain.time_offset.load(Ordering::Relaxed);
    let (seconds, nanoseconds) = ((boot / SECOND).wrapping_add_signed(offset), boot % SECOND);
    let first = memory::word(domain.shared_info, WALL_CLOCK);
    let second = memory::word(domain.shared_info, WALL_CLOCK + 1);
    // An odd version says that it is being changed.
    let version = (first.load(Ordering::Relaxed) as u32).wrapping_add(1) | 1;
    let first_half = |version: u32| u64::from(version) | (seconds & 0xffff_ffff) << 32;
    first.store(first_half(version), Ordering::SeqCst);
    second.store(nanoseconds | seconds >> 32 << 32, Ordering::SeqCst);
    first.store(first_half(version.wrapping_add(1)), Ordering::SeqCst);
}

/// Shows a vcpu the clock, as it is on the processor that it runs on.
pub fn show_clock(vcpu: &Vcpu) {
    let clock = time::clock();
    let info = vcpu.info();
    let version = (info.time(0).load(Ordering::Relaxed) as u32).wrapping_add(1) | 1;
    info.time(0).store(version.into(), Ordering::SeqCst);
    info.time(1).store(clock.counter, Ordering::SeqCst);
    info.time(2).store(clock.time, Ordering::SeqCst);
    let scale = u64::from(clock.scale.mul) | u64::from(clock.scale.shift as u8) << 32;
    info.time(3).store(scale, Ordering::SeqCst);
    info.time(0).store(version.wrapping_add(1).into(), Ordering::SeqCst);
}

/// Sets the processor's timer to the next thing that any vcpu waits for.
pub fn rearm() {
    let mut next = u64::MAX;
    domain::for_each(|domain| {
        for vcpu in domain.vcpus() {
            next =
                next.min(vcpu.timer.load(Ordering::Relaxed)).min(vcpu.poll.load(Ordering::Relaxed));
        }
    });
    time::wake_at(Some(next.min(now() + LONGEST)));
}

/// Does what is due.
pub fn expire() {
    let now = now();
    domain::for_each(|domain| {
        for vcpu in domain.vcpus() {
            if vcpu.timer.load(Ordering::Relaxed) <= now {
                vcpu.timer.store(u64::MAX, Ordering::Relaxed);
                vcpu.raise_virq(VIRQ_TIMER);
            }
            if vcpu.poll.load(Ordering::Relaxed) <= now {
                vcpu.poll.store(u64::MAX, Ordering::Relaxed);
                crate::scheduler::wake(vcpu);
            }
        }
    });
    rearm();
}
