//! Debug keys: what a developer at the serial line, or `xl debug-keys`, wants to see. The letters
//! are Xen's.

use core::sync::atomic::Ordering;

use crate::arch::{power, processor};
use crate::domain::{self, Domain};
use crate::vcpu::Vcpu;
use crate::{frames, log, pirqs, report, time};

/// A key, what it does, and how.
const KEYS: &[(u8, &str, fn())] = &[
    (b'*', "show everything", show_all),
    (b'0', "show domain 0's registers", show_dom0),
    (b'C', "crash, with a report", || panic!("a crash was asked for by key")),
    (b'R', "reset the machine", || power::reset()),
    (b'd', "show what processors run, and registers", show_processors),
    (b'e', "show event channels", show_channels),
    (b'h', "show this message", help),
    (b'i', "show interrupts", pirqs::show),
    (b'm', "show memory", show_memory),
    (b'q', "show domains and their vcpus", show_domains),
    (b'r', "show who runs and who waits", show_queues),
    (b't', "show the time", show_time),
];
/// Those that only show something.
const SHOWING: &[u8] = b"0deimqrt";

/// Does what a key stands for.
pub fn press(key: u8) {
    match KEYS.iter().find(|(known, ..)| *known == key) {
        Some((_, what, act)) => {
            log!("'{}' pressed -> {what}", char::from(key));
            act();
        }
        None => log!("'{}' pressed: no such key, 'h' shows those there are", key.escape_ascii()),
    }
}

fn help() {
    for (key, what, _) in KEYS {
        log!(" key '{}' => {what}", char::from(*key));
    }
}

fn show_all() {
    SHOWING.iter().for_each(|key| press(*key));
}

fn show_memory() {
    log!("{} KiB of {} KiB free", frames::free() * 4, frames::total() * 4);
    domain::for_each(|domain| {
        log!("d{}: {} KiB", domain.number, domain.frames() * 4);
    });
}

fn show_time() {
    log!("{} ns since boot", time::now());
}

fn show_domains() {
    domain::for_each(|domain| {
        let (frames, most) = (domain.frames(), domain.max_frames.load(Ordering::Relaxed));
        log!("Domain {}: {frames} of {most} frames", domain.number);
        domain.vcpus().for_each(|vcpu| show_vcpu(domain, vcpu));
    });
}

fn show_vcpu(domain: &Domain, vcpu: &Vcpu) {
    let info = vcpu.info();
    let (pending, mask) = (info.pending().load(Ordering::Relaxed), info.mask());
    let mask = mask.load(Ordering::Relaxed);
    let blocked = vcpu.blocked.load(Ordering::Relaxed);
    let online = vcpu.online.load(Ordering::Relaxed);
    let selector = vcpu.selected();
    log!(
        " d{}v{}: online {online}, blocked {blocked}, pending {pending}, mask {mask}, \
         words {selector:#x}",
        domain.number,
        vcpu.number
    );
}

fn show_queues() {
    let now = time::now();
    domain::for_each(|domain| {
        for vcpu in domain.vcpus() {
            let ran = vcpu.run_time() / 1_000_000;
            let timer = vcpu.timer.load(Ordering::Relaxed).checked_sub(now);
            let timer = timer.filter(|left| *left < 1 << 60);
            let what = if vcpu.blocked.load(Ordering::Relaxed) { "waits" } else { "runs" };
            let name = (domain.number, vcpu.number);
            log!(" d{}v{} {what}, ran {ran} ms, timer in {timer:?} ns", name.0, name.1);
        }
    });
}

fn show_channels() {
    domain::for_each(|domain| {
        log!("Event channels of domain {}:", domain.number);
        for (number, port) in domain.channels.lock().all() {
            let pending = domain.is_pending(number);
            log!(" {number}: {:?} to vcpu {}, pending {pending}", port.kind, port.vcpu);
        }
    });
}

fn show_dom0() {
    if let Some(domain) = domain::find(0) {
        domain.vcpus().for_each(|vcpu| {
            log!("d0v{}:", vcpu.number);
            report::show_registers(&vcpu.last_registers());
        });
    }
}

fn show_processors() {
    for processor in processor::all() {
        let running = domain_of(processor.running());
        match running {
            None => log!("CPU {}: nobody", processor.number),
            Some((domain, vcpu)) => log!("CPU {}: d{domain}v{vcpu}", processor.number),
        }
    }
    domain::for_each(|domain| {
        for vcpu in domain.vcpus() {
            log!("d{}v{}:", domain.number, vcpu.number);
            report::show_registers(&vcpu.last_registers());
        }
    });
}

/// Whose vcpu that is.
fn domain_of(own: *mut crate::vcpu::Own) -> Option<(u16, usize)> {
    let mut found = None;
    domain::for_each(|domain| {
        let vcpu = domain.vcpus().find(|vcpu| core::ptr::eq(vcpu.own_pointer(), own));
        found = found.or(vcpu.map(|vcpu| (domain.number, vcpu.number)));
    });
    found
}
