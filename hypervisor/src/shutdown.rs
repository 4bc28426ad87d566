//! Ends: of a domain, of the machine.

use core::sync::atomic::{AtomicBool, Ordering};

use xen::abi::evtchn::VIRQ_DOM_EXC;
use xen::abi::sched::{SHUTDOWN_CRASH, SHUTDOWN_POWEROFF};

use crate::arch::{cpu, power};
use crate::domain::{self, Domain};
use crate::scheduler;

/// After a crash the machine stays as it is.
pub static NO_REBOOT: AtomicBool = AtomicBool::new(false);

/// Tells dom0 that a domain ended, or is gone (VIRQ_DOM_EXC, xen.h).
pub fn tell_of_domains() {
    if let Some(domain) = domain::find(0) {
        domain.raise_global(VIRQ_DOM_EXC);
    }
}

/// A domain ended for that reason (SHUTDOWN_*, sched.h). Without domain 0 there is no host.
pub fn domain_is_over(domain: &Domain, reason: u8) {
    if domain.number != 0 {
        if domain.is_over.load(Ordering::Acquire) {
            return;
        }
        domain.reason.store(reason, Ordering::Release);
        domain.is_over.store(true, Ordering::Release);
        scheduler::stop_soon(domain);
        return tell_of_domains();
    }
    domain.is_over.store(true, Ordering::Release);
    match reason {
        SHUTDOWN_POWEROFF => {
            crate::log!("Hardware Dom0 halted: halting machine");
            power::stop_others();
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
    power::stop_others();
    if NO_REBOOT.load(Ordering::Relaxed) {
        crate::print!("'noreboot' set - not rebooting.\n");
        cpu::halt()
    }
    power::reset()
}
