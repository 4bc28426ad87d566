//! Locks. Who waits for one acts on what other processors want at once, so that a processor may
//! wait for the others with a lock held.
//!
//! The order, where one holds more than one: a domain's page tables, interrupts' table, a domain's
//! channels, the scheduler, a processor's timers; then those that are held for a moment only.

use crate::arch::shootdown;

/// What whoever waits for a lock does meanwhile.
pub struct Serve;

impl spin::RelaxStrategy for Serve {
    fn relax() {
        shootdown::serve();
        core::hint::spin_loop();
    }
}

/// A lock.
pub type Mutex<T> = spin::mutex::Mutex<T, Serve>;
