//! Interrupts: taken at a few places only, and acted on where nothing is half done.

use hypervisor::vectors::{self, CALL, DEVICES, ERROR, LEGACY, SPURIOUS};

use crate::arch::{console, cpu, lapic, processor, shootdown};
use crate::{domain, keys, pirqs, time, watchdogs};

const VIRQ_CONSOLE: u32 = 2;

/// An interrupt arrived, with interrupts off.
pub fn take(vector: u8) {
    match vector {
        vectors::TIMER => time::rang(),
        // Who calls wants this processor to forget, or to see what work it has.
        CALL => shootdown::serve(),
        SPURIOUS => return,
        ERROR => crate::note!(Error, "local APIC errors: {:#x}", lapic::errors()),
        _ if DEVICES.contains(&vector) => {
            pirqs::arrived(vector);
            processor::this().add_work(processor::DEVICES);
        }
        _ if LEGACY.contains(&vector) => return,
        _ => crate::note!(Warning, "unexpected interrupt {vector:#x}"),
    }
    lapic::end_of_interrupt();
}

/// Whether a long operation should stop: something is to be done first.
pub fn are_waiting() -> bool {
    cpu::take_interrupts();
    processor::this().has_work()
}

/// Acts on what arrived.
#[inline]
pub fn settle() {
    let processor = processor::this();
    if !processor.has_work() {
        return;
    }
    if processor.take_work(processor::DEVICES) {
        pirqs::deliver();
    }
    if processor.take_work(processor::TIMER) {
        if processor.number == 0 {
            watchdogs::check();
        }
        if processor.number == 0
            && console::poll(keys::press)
            && let Some(domain) = domain::find(0)
        {
            domain.raise_global(VIRQ_CONSOLE);
        }
        time::expire();
    }
}
