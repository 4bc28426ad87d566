//! Time since boot, and what each vcpu wants to be woken at.

use alloc::collections::BTreeSet;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::lock::Mutex;
use hypervisor::clock::SECOND;
use hypervisor::paging::page::Owner;
use xen::abi::x86_32;

use crate::arch::{memory, processor, time};
use crate::domain::{self, Domain};
use crate::scheduler;
use crate::vcpu::Vcpu;

/// The first processor wakes at least so often, for what is typed at the serial line.
const LONGEST: u64 = 50_000_000;
/// The wall clock in a shared page (`wc_version`, `wc_sec`, `wc_nsec`; `wc_sec_hi`).
const WALL_CLOCK: u64 = 3072;
const WALL_CLOCK_HIGH: u64 = 3084;

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
    let page = domain.shared_info << 12;
    let (place, high_place) = match domain.is_narrow() {
        true => (x86_32::WALL_CLOCK as u64, x86_32::WALL_CLOCK_HIGH as u64),
        false => (WALL_CLOCK, WALL_CLOCK_HIGH),
    };
    let [version, low, fraction] = memory::halves(page + place);
    let [high] = memory::halves(page + high_place);
    // An odd version says that it is being changed.
    let odd = version.load(Ordering::Relaxed).wrapping_add(1) | 1;
    version.store(odd, Ordering::SeqCst);
    low.store(seconds as u32, Ordering::SeqCst);
    fraction.store(nanoseconds as u32, Ordering::SeqCst);
    high.store((seconds >> 32) as u32, Ordering::SeqCst);
    version.store(odd.wrapping_add(1), Ordering::SeqCst);
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

/// Of a processor: the vcpus that run nowhere and wait for a time, by that time, their domain's place
/// and their number. They ran there last.
static KEPT: [Mutex<BTreeSet<(u64, Owner, usize)>>; processor::MAX] =
    [const { Mutex::new(BTreeSet::new()) }; processor::MAX];

/// Wakes a vcpu in time, which ran on this processor until just now; the scheduler is locked.
pub fn keep(vcpu: &Vcpu) {
    let next = vcpu.next_time(false);
    if next != u64::MAX {
        let number = processor::this().number;
        vcpu.kept.store(next, Ordering::Relaxed);
        vcpu.kept_by.store(number, Ordering::Relaxed);
        KEPT[number].lock().insert((next, vcpu.domain().owner, vcpu.number));
    }
}

/// The processor that runs a vcpu from now on looks after its times itself.
pub fn take_back(vcpu: &Vcpu) {
    let next = vcpu.kept.swap(u64::MAX, Ordering::Relaxed);
    if next != u64::MAX {
        let number = vcpu.kept_by.load(Ordering::Relaxed);
        KEPT[number].lock().remove(&(next, vcpu.domain().owner, vcpu.number));
    }
}

/// Has this processor's timer interrupt when something is to be done.
pub fn rearm() {
    let processor = processor::this();
    let own = processor.vcpu().map_or(u64::MAX, |vcpu| vcpu.next_time(true));
    let kept = KEPT[processor.number].lock().first().map_or(u64::MAX, |(time, ..)| *time);
    let mut next = own.min(kept).min(processor.slice_end.load(Ordering::Relaxed));
    if processor.number == 0 {
        next = next.min(now() + LONGEST);
    }
    if processor.alarm.swap(next, Ordering::Relaxed) != next {
        time::wake_at((next != u64::MAX).then_some(next));
    }
}

/// The timer interrupted.
pub fn rang() {
    let processor = processor::this();
    processor.alarm.store(u64::MAX, Ordering::Relaxed);
    processor.add_work(processor::TIMER);
}

/// Does what is due on this processor.
pub fn expire() {
    let (processor, now) = (processor::this(), now());
    if let Some(vcpu) = processor.vcpu() {
        vcpu.expire(now);
    }
    while let Some((owner, number)) = take_due(processor.number, now) {
        if let Some(domain) = domain::at(owner)
            && let Some(vcpu) = domain.vcpu(number)
        {
            vcpu.expire(now);
            // What is due later, if it still waits.
            if vcpu.next_time(false) != u64::MAX {
                scheduler::retime(vcpu);
            }
        }
    }
    if processor.slice_end.load(Ordering::Relaxed) <= now {
        processor.slice_end.store(u64::MAX, Ordering::Relaxed);
        processor.add_work(processor::CHOOSE);
    }
    rearm();
}

/// Takes a vcpu out that is to be woken; its domain's place, and its number.
fn take_due(processor: usize, now: u64) -> Option<(Owner, usize)> {
    let mut kept = KEPT[processor].lock();
    let (time, owner, number) = *kept.first().filter(|(time, ..)| *time <= now)?;
    kept.remove(&(time, owner, number));
    Some((owner, number))
}
