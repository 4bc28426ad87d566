//! Event channels, as far as the kernel has to do with their bits.

use core::sync::atomic::{AtomicU32, Ordering};

use xen::abi::sched;
use xen::abi::x86_32::{PENDING, Poll};

use super::hypercall::{number, operation};
use super::memory;

fn word(port: u64) -> &'static AtomicU32 {
    let word = memory::shared_address(PENDING as u64 + port / 32 * 4) as *mut u32;
    // SAFETY: the hypervisor shares this word, and changes it atomically, too.
    unsafe { AtomicU32::from_ptr(word) }
}

/// Whether a port was raised.
pub fn is_pending(port: u64) -> bool {
    word(port).load(Ordering::Acquire) >> (port % 32) & 1 != 0
}

/// Forgets that a port was raised.
pub fn clear(port: u64) {
    word(port).fetch_and(!(1 << (port % 32)), Ordering::AcqRel);
}

/// Waits until a port is raised, or until a time in nanoseconds since boot; 0 is never.
pub fn poll(port: u32, until: u64) {
    let ports = [port];
    let timeout = [until as u32, (until >> 32) as u32];
    let mut poll = Poll { ports: ports.as_ptr() as u32, nr_ports: 1, timeout };
    operation(number::SCHED_OP, sched::POLL, &mut poll);
}
