//! Which vcpu runs.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::arch::cpu;
use crate::domain::Domain;
use crate::vcpu::Vcpu;
use crate::{interrupts, time};

/// Whether the vcpu that runs has nothing to do.
pub fn wants_another(vcpu: &Vcpu) -> bool {
    vcpu.blocked.load(Ordering::Relaxed)
}

/// Lets others run first.
pub fn give_way(_: &Vcpu) {}

/// Has the vcpu wait for an event.
pub fn block(vcpu: &Vcpu) {
    vcpu.blocked.store(true, Ordering::Release);
    let info = vcpu.info();
    // An event may have come before it was said that the vcpu waits.
    if info.pending().load(Ordering::Acquire) != 0 && info.mask().load(Ordering::Relaxed) == 0 {
        vcpu.blocked.store(false, Ordering::Release);
    }
}

/// Has a vcpu go on.
pub fn wake(vcpu: &Vcpu) {
    vcpu.blocked.store(false, Ordering::Release);
}

/// How long processors had nothing to do, in nanoseconds.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// How long the processor had nothing to do so far, in nanoseconds.
pub fn idle_time() -> u64 {
    IDLE.load(Ordering::Relaxed)
}

/// Waits until the vcpu that runs here may go on.
pub fn switch(vcpu: &Vcpu) {
    let since = time::now();
    while vcpu.blocked.load(Ordering::Acquire) || vcpu.domain().is_over.load(Ordering::Relaxed) {
        cpu::wait();
        interrupts::settle();
    }
    let waited = time::now() - since;
    vcpu.waited.fetch_add(waited, Ordering::Relaxed);
    IDLE.fetch_add(waited, Ordering::Relaxed);
}

/// Runs a domain's first vcpu, on this processor.
pub fn start(domain: &Domain) -> ! {
    let vcpu = domain.vcpu(0).expect("a domain that was built has a vcpu");
    vcpu.enter()
}

/// Has the vcpus of a domain that may not run any more stand still, now. The one that runs is the
/// caller's, which is of another domain.
pub fn stop(_: &Domain) {}

/// The same, as soon as the caller, who may be one of them, is done.
pub fn stop_soon(_: &Domain) {}

/// Lets the vcpus of a domain run, if they may.
pub fn go_on(_: &Domain) {}
