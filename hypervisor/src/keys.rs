//! Debug keys: what a developer at the serial line, or `xl debug-keys`, wants to see.

use core::sync::atomic::Ordering;

use crate::{domain, frames, log, time};

/// A key, what it does, and how.
const KEYS: &[(u8, &str, fn())] = &[
    (b'e', "show event channels", show_channels),
    (b'h', "show this message", help),
    (b'm', "show memory", show_memory),
    (b'q', "show domains and their vcpus", show_domains),
    (b't', "show the time", show_time),
];

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
        for vcpu in domain.vcpus() {
            let info = vcpu.info();
            let blocked = vcpu.blocked.load(Ordering::Relaxed);
            let (pending, mask) = (info.pending().load(Ordering::Relaxed), info.mask());
            let mask = mask.load(Ordering::Relaxed);
            log!(" vcpu {}: blocked {blocked}, pending {pending}, mask {mask}", vcpu.number);
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
