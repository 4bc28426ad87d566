//! Interrupts: taken at a few places only, and acted on where nothing is half done.

use core::sync::atomic::{AtomicBool, Ordering};

use hypervisor::vectors::{self, DEVICES, ERROR, LEGACY, SPURIOUS};

use crate::arch::{console, cpu, lapic, processor};
use crate::{domain, keys, pirqs, time};

const VIRQ_CONSOLE: u32 = 2;

/// The timer's time has come.
static TIMER: AtomicBool = AtomicBool::new(false);

/// An interrupt arrived, with interrupts off.
pub fn take(vector: u8) {
    processor::this().arrived.store(true, Ordering::Relaxed);
    match vector {
        vectors::TIMER => TIMER.store(true, Ordering::Relaxed),
        SPURIOUS => return,
        ERROR => crate::log!("local APIC errors: {:#x}", lapic::errors()),
        _ if DEVICES.contains(&vector) => pirqs::arrived(vector),
        _ if LEGACY.contains(&vector) => return,
        _ => crate::log!("unexpected interrupt {vector:#x}"),
    }
    lapic::end_of_interrupt();
}

/// Whether a long operation should stop: something is to be done first.
pub fn are_waiting() -> bool {
    cpu::take_interrupts();
    processor::this().arrived.load(Ordering::Relaxed)
}

/// Acts on what arrived.
#[inline]
pub fn settle() {
    if processor::this().arrived.load(Ordering::Relaxed) {
        settle_all();
    }
}

#[cold]
fn settle_all() {
    processor::this().arrived.store(false, Ordering::Relaxed);
    pirqs::deliver();
    if TIMER.swap(false, Ordering::Relaxed) {
        if console::poll(keys::press)
            && let Some(domain) = domain::find(0)
        {
            domain.raise_global(VIRQ_CONSOLE);
        }
        time::expire();
    }
}
