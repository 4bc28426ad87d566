//! Ends: of a domain, of the machine.

use core::sync::atomic::{AtomicBool, Ordering};

use xen::abi::sched::{SHUTDOWN_CRASH, SHUTDOWN_POWEROFF};

use crate::arch::{cpu, power};
use crate::domain::Domain;

/// After a crash the machine stays as it is.
pub static NO_REBOOT: AtomicBool = AtomicBool::new(false);

/// A domain ended for that reason (SHUTDOWN_*, sched.h). Without domain 0 there is no host.
pub fn domain_is_over(domain: &Domain, reason: u8) {
    domain.is_over.store(true, Ordering::Relaxed);
    if domain.number != 0 {
        return;
    }
    match reason {
        SHUTDOWN_POWEROFF => {
            crate::log!("Hardware Dom0 halted: halting machine");
            cpu::halt()
        }
        SHUTDOWN_CRASH => {
            crate::log!("Hardware Dom0 crashed");
            end_after_crash()
        }
        _ => {
            crate::log!("Hardware Dom0 shutdown: rebooting machine");
            power::reset()
        }
    }
}

/// Resets, or stays if the administrator wants to see what was printed.
pub fn end_after_crash() -> ! {
    if NO_REBOOT.load(Ordering::Relaxed) {
        crate::print!("'noreboot' set - not rebooting.\n");
        cpu::halt()
    }
    power::reset()
}
