//! Interrupts: taken at a few places only, and acted on where nothing is half done.

use core::sync::atomic::{AtomicBool, Ordering};

use xen::abi::errno::{EINVAL, Errno};

use hypervisor::vectors::{self, ERROR, LEGACY, SPURIOUS};

use crate::arch::{console, cpu, lapic};
use crate::domain::{self, Domain};
use crate::events::Kind;
use crate::time;

const VIRQ_CONSOLE: u32 = 2;

/// The timer's time has come.
static TIMER: AtomicBool = AtomicBool::new(false);

/// An interrupt arrived, with interrupts off.
pub fn take(vector: u8) {
    match vector {
        vectors::TIMER => TIMER.store(true, Ordering::Relaxed),
        SPURIOUS => return,
        ERROR => crate::log!("local APIC errors: {:#x}", lapic::errors()),
        _ if LEGACY.contains(&vector) => return,
        _ => crate::log!("unexpected interrupt {vector:#x}"),
    }
    lapic::end_of_interrupt();
}

/// Whether a long operation should stop: something is to be done first.
pub fn are_waiting() -> bool {
    cpu::take_interrupts();
    TIMER.load(Ordering::Relaxed)
}

/// Acts on what arrived.
pub fn settle() {
    if TIMER.swap(false, Ordering::Relaxed) {
        if console::poll()
            && let Some(domain) = domain::find(0)
        {
            domain.raise_global(VIRQ_CONSOLE);
        }
        time::expire();
    }
}

/// Binds a port to a physical interrupt.
pub fn bind(domain: &Domain, pirq: u32) -> Result<u32, Errno> {
    let mut channels = domain.channels.lock();
    if !domain.is_privileged || pirq >= 256 || channels.find(Kind::Physical(pirq), 0).is_some() {
        return Err(EINVAL);
    }
    channels.open(Kind::Physical(pirq), 0)
}

/// Nothing is bound to a physical interrupt any more.
pub fn unbind(_: u32) {}
