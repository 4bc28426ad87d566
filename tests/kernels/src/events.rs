//! Event channels, as far as the kernel has to do with their bits.

use core::sync::atomic::{AtomicU64, Ordering};

use xen::abi::sched;

use crate::hypercall::{number, operation};
use crate::memory::{self, MASK_BITS, PENDING_BITS};

/// Whether a port was raised.
pub fn is_pending(port: u64) -> bool {
    memory::shared(PENDING_BITS + port / 64 * 8) >> (port % 64) & 1 != 0
}

/// Forgets that a port was raised.
pub fn clear(port: u64) {
    let word = memory::shared_address(PENDING_BITS + port / 64 * 8) as *mut u64;
    // SAFETY: the hypervisor shares this word, and changes it atomically, too.
    unsafe { AtomicU64::from_ptr(word) }.fetch_and(!(1 << (port % 64)), Ordering::AcqRel);
}

/// Waits until a port is raised, or until a time in nanoseconds since boot; 0 is never
/// (`struct sched_poll`).
pub fn poll(port: u32, until: u64) {
    let ports = [port];
    let mut poll = [ports.as_ptr() as u64, ports.len() as u64, until];
    operation(number::SCHED_OP, sched::POLL, &mut poll);
}

/// Forgets all that was raised.
pub fn forget() {
    (0..64).for_each(|word| memory::write(memory::shared_address(PENDING_BITS + 8 * word), 0));
    memory::write(memory::shared_address(memory::SELECTOR), 0);
    let pending = memory::shared_address(memory::PENDING) as *mut u8;
    // SAFETY: the hypervisor shares this byte.
    unsafe { pending.write_volatile(0) }
}

/// Masks all ports, or none.
pub fn mask_all(mask: bool) {
    let word = if mask { !0 } else { 0 };
    (0..64).for_each(|index| memory::write(memory::shared_address(MASK_BITS + 8 * index), word));
}
