//! Having other processors forget translations.
//!
//! Who asks counts the request at the processor that is to forget, interrupts it, and waits until
//! the processor has counted the same. A processor acts on it where it takes interrupts, and where
//! it waits for a lock or for others: it may ask itself, or be waited for by who holds the lock.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use hypervisor::vectors::CALL;

use super::lapic;
use super::processor::{self, Processor};

/// What a processor was asked to forget.
#[derive(Debug, Default)]
pub struct Requests {
    asked: AtomicU64,
    done: AtomicU64,
}

/// Forgets what this processor was asked to forget.
pub fn serve() {
    let processor = processor::this();
    let requests = &processor.requests;
    let asked = requests.asked.load(Ordering::Acquire);
    if asked != requests.done.load(Ordering::Relaxed) {
        processor.flush();
        requests.done.store(asked, Ordering::Release);
    }
}

/// Has processors forget all translations, and waits until they have. What led to it was written
/// before.
pub fn flush(is_meant: impl Fn(&Processor) -> bool) {
    // Pairs with the one in `Processor::load_for`: either it is seen here which tables a processor
    // uses, or it sees there what was written.
    fence(Ordering::SeqCst);
    let own = processor::this();
    if processor::others().any(&is_meant) {
        ask(|other| other.number != own.number && is_meant(other));
    } else if is_meant(own) {
        own.flush();
    }
}

/// Asks others, and waits for them. This processor, if it is meant, forgets meanwhile.
#[cold]
fn ask(is_meant: impl Fn(&&Processor) -> bool) {
    let mut waiting = [0; processor::MAX];
    for other in processor::all().filter(&is_meant) {
        waiting[other.number] = other.requests.asked.fetch_add(1, Ordering::AcqRel) + 1;
        lapic::interrupt(other.apic_id(), CALL);
    }
    processor::this().flush();
    for other in processor::all() {
        while other.requests.done.load(Ordering::Acquire) < waiting[other.number] {
            serve();
            core::hint::spin_loop();
        }
    }
}
