//! Timers, the clock, waiting, vcpus.

use kernels::answer::{answer, trap, value};
use kernels::events::{forget, is_pending, mask_all};
use kernels::hypercall::{call, number, place, volatile};
use kernels::memory::{self, flag, map, scratch};
use kernels::traps::attempt;

const SECOND: u64 = 1_000_000_000;
/// Of a vcpu's part of the shared page: `struct vcpu_time_info`.
const CLOCK: u64 = 32;

/// Nanoseconds since boot (struct vcpu_time_info, xen.h).
fn now() -> u64 {
    loop {
        let word = |index: u64| memory::shared(CLOCK + 8 * index);
        let version = word(0) as u32;
        let (counter, time, scale) = (word(1), word(2), word(3));
        // SAFETY: reads the counter.
        let passed = unsafe { core::arch::x86_64::_rdtsc() }.wrapping_sub(counter);
        let shift = (scale >> 32) as i8;
        let shifted = if shift < 0 { passed >> -shift } else { passed << shift };
        let passed = ((u128::from(shifted) * u128::from(scale as u32)) >> 32) as u64;
        if version & 1 == 0 && version == word(0) as u32 {
            return time + passed;
        }
    }
}

pub fn check() {
    clock();
    timers();
    poll();
    vcpus();
    states();
    schedule();
}

fn clock() {
    let first = now();
    let second = now();
    answer("time goes on", i64::from(second >= first));
    answer("and is less than an hour", i64::from(second < 3600 * SECOND));
    let wall = memory::shared(3072);
    answer("the wall clock is set", i64::from(wall >> 32 != 0));
    answer("its version is even", i64::from(wall & 1 == 0));
}

fn timers() {
    mask_all(false);
    forget();
    let mut bind = [0_u32; 3];
    answer("the timer's interrupt", call(number::EVENT_CHANNEL_OP, &[1, place(&mut bind)]));
    let port = u64::from(volatile(&mut bind)[2]);
    let wait = |name: &str| {
        let mut spins = 0_u64;
        while !is_pending(port) && spins < 2_000_000 {
            // Gives the hypervisor an occasion.
            call(number::XEN_VERSION, &[0, 0]);
            spins += 1;
        }
        answer(name, i64::from(is_pending(port)));
        forget();
    };
    answer("a timer for now", call(number::SET_TIMER_OP, &[now()]));
    wait("it came");
    answer("a timer for soon", call(number::SET_TIMER_OP, &[now() + SECOND / 1000]));
    wait("it came");
    answer("a timer for a negative time", call(number::SET_TIMER_OP, &[u64::MAX]));
    answer("no timer", call(number::SET_TIMER_OP, &[0]));
    forget();
    for flags in [0, 1, 2, u32::MAX] {
        for at in [0, 1, u64::MAX, 1 << 63] {
            let mut timer = [at, flags.into()];
            answer("a timer", call(number::VCPU_OP, &[8, 0, place(&mut timer)]));
        }
        let mut timer = [now() + SECOND / 1000, flags.into()];
        answer("a timer for soon", call(number::VCPU_OP, &[8, 0, place(&mut timer)]));
        wait("it came");
    }
    let mut timer = [now() + SECOND, 0];
    answer("a timer for later", call(number::VCPU_OP, &[8, 0, place(&mut timer)]));
    answer("stopped", call(number::VCPU_OP, &[9, 0, 0]));
    for period in [0, 1, 999_999, SECOND / 1000, SECOND, 1 << 62, u64::MAX] {
        let mut period = period;
        answer("a period", call(number::VCPU_OP, &[6, 0, place(&mut period)]));
        answer("stopped", call(number::VCPU_OP, &[7, 0, 0]));
    }
    let mut period = SECOND / 500;
    answer("a period", call(number::VCPU_OP, &[6, 0, place(&mut period)]));
    forget();
    if call(number::VCPU_OP, &[6, 0, place(&mut period)]) == 0 {
        wait("its interrupt came");
        wait("and again");
    }
    answer("stopped", call(number::VCPU_OP, &[7, 0, 0]));
    for vcpu in [1, 31, 32, u32::MAX] {
        answer("another's timer", call(number::VCPU_OP, &[8, vcpu.into(), place(&mut timer)]));
        answer("another's period", call(number::VCPU_OP, &[6, vcpu.into(), place(&mut period)]));
        answer("stop it", call(number::VCPU_OP, &[7, vcpu.into(), 0]));
        answer("stop it", call(number::VCPU_OP, &[9, vcpu.into(), 0]));
    }
    forget();
    call(number::SET_TIMER_OP, &[now() + SECOND / 1000]);
    trap("block until the timer", attempt(|| call(number::SCHED_OP, &[1, 0])));
    forget();
    call(number::EVENT_CHANNEL_OP, &[3, place(&mut (port as u32))]);
}

fn poll() {
    forget();
    let mut bind = [0_u32; 2];
    call(number::EVENT_CHANNEL_OP, &[7, place(&mut bind)]);
    let port = volatile(&mut bind)[1];
    let poll = |name: &str, ports: &[u32], count: u64, timeout: u64| {
        let mut poll = [ports.as_ptr() as u64, count, timeout];
        answer(name, call(number::SCHED_OP, &[3, place(&mut poll)]));
    };
    poll("no port, a time that is past", &[], 0, 1);
    poll("no port, a time soon", &[], 0, now() + SECOND / 1000);
    poll("one port, a time soon", &[port], 1, now() + SECOND / 1000);
    poll("two ports, a time soon", &[port, 4095], 2, now() + SECOND / 1000);
    call(number::EVENT_CHANNEL_OP, &[4, place(&mut { port })]);
    poll("a raised port", &[port], 1, 0);
    poll("a raised one of two", &[4095, port], 2, 0);
    poll("a raised one, then nobody's", &[port, 4095], 2, 0);
    poll("a bad port", &[4096], 1, 1);
    poll("a port beyond all", &[u32::MAX], 1, 1);
    poll("port 0", &[0], 1, 1);
    let many = [port; 129];
    poll("128 ports", &many, 128, 1);
    poll("129 ports", &many, 129, 1);
    poll("far too many", &many, 1 << 31, 1);
    let mut bad = [0x1000, 1, 1];
    answer("ports nowhere", call(number::SCHED_OP, &[3, place(&mut bad)]));
    forget();
    call(number::EVENT_CHANNEL_OP, &[3, place(&mut { port })]);
}

fn vcpus() {
    for vcpu in [0_u64, 1, 2, 31, 32, 8192, u32::MAX.into()] {
        for command in [0, 1, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14, 99, u32::MAX.into()] {
            // A place that can't be had: nothing changes.
            let place = if command == 4 { scratch(0) } else { 0x1000 };
            answer("a vcpu's operation", call(number::VCPU_OP, &[command, vcpu, place]));
        }
        if vcpu != 0 {
            answer("take it down", call(number::VCPU_OP, &[2, vcpu, 0]));
        }
    }
    let page = scratch(0);
    map(page, flag::DATA);
    let frame = memory::frame(page);
    for (name, frame, offset) in [
        ("no frame", 1 << 40, 0),
        ("all ones", !0, 0),
        ("too far", frame, 4096),
        ("across the end", frame, 4096 - 32),
        ("not aligned", frame, 4),
        ("by one", frame, 1),
        ("the local APIC", 0xfee00, 0),
        ("a table", memory::root(), 0),
    ] {
        let mut register = [frame, offset];
        answer("put what is shared into", 0);
        answer(name, call(number::VCPU_OP, &[10, 0, place(&mut register)]));
        answer("another vcpu's", call(number::VCPU_OP, &[10, 1, place(&mut register)]));
    }
}

fn states() {
    let mut state = [9_u64; 6];
    answer("its state", call(number::VCPU_OP, &[4, 0, place(&mut state)]));
    let [running, since, times @ ..] = volatile(&mut state);
    value("runs", running & 0xffff_ffff);
    answer("since it is", i64::from(since <= now()));
    answer("it has run", i64::from(times[0] > 0));
    let page = scratch(1);
    map(page, flag::DATA);
    memory::fill(page, 9);
    let mut area = page;
    answer("a place for it", call(number::VCPU_OP, &[5, 0, place(&mut area)]));
    value("which says", memory::read(page) & 0xffff_ffff);
    answer("has it run", i64::from(memory::read(page + 16) != 9));
    let mut area = 0xffff_8300_0000_0000_u64;
    answer("a bad place", call(number::VCPU_OP, &[5, 0, place(&mut area)]));
    let mut area = 0_u64;
    answer("no place", call(number::VCPU_OP, &[5, 0, place(&mut area)]));
    memory::fill(page, 9);
    let mut area = page;
    answer("a place for the clock", call(number::VCPU_OP, &[13, 0, place(&mut area)]));
}

fn schedule() {
    answer("yield", call(number::SCHED_OP, &[0, 0]));
    answer("yield, with an argument", call(number::SCHED_OP, &[0, !0]));
    answer("end with a bad pointer", call(number::SCHED_OP, &[2, 0x1000]));
    let page = scratch(0);
    for (name, domain) in
        [("itself", 0x7ff0_u64), ("one that isn't there", 77), ("no domain", 0x7ff4)]
    {
        let mut end = [domain, 1];
        answer("end a domain", call(number::SCHED_OP, &[4, place(&mut end)]));
        answer(name, 0);
    }
    let mut watchdog = [0_u32, 3000];
    let id = call(number::SCHED_OP, &[6, place(&mut watchdog)]);
    answer("a watchdog", id);
    if id > 0 {
        watchdog = [id as u32, 0];
        answer("no watchdog", call(number::SCHED_OP, &[6, place(&mut watchdog)]));
    }
    watchdog = [3, 3000];
    answer("a watchdog that isn't there", call(number::SCHED_OP, &[6, place(&mut watchdog)]));
    for cpu in [-1_i32, 0, 1, 4096] {
        let mut cpu = cpu;
        answer("pinned to a processor", call(number::SCHED_OP, &[7, place(&mut cpu)]));
    }
    answer("not pinned", call(number::SCHED_OP, &[7, place(&mut -1_i32)]));
    for command in [8, 99, u32::MAX.into()] {
        answer("another command", call(number::SCHED_OP, &[command, page]));
    }
}
