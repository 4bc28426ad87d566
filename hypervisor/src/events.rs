//! Event channels: ports of a domain that another domain, an interrupt or the hypervisor raises.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

pub use hypervisor::channels::{Channels, Kind, PORTS, VIRQS, is_global};
use hypervisor::fifo::Raised;
use xen::abi::errno::{EINVAL, ENOENT, Errno};
use xen::abi::x86_32;

use crate::arch::memory;
use crate::domain::{self, Domain};
use crate::pirqs;
use crate::vcpu::Vcpu;

/// Where a shared page has the pending bits and the masks, in words (`struct shared_info`).
const PENDING: usize = 2048 / 8;
const MASKS: usize = 2560 / 8;
/// Where a guest of 32 bits has the masks. As bits in memory, they are the same; there are fewer.
const NARROW_MASKS: usize = x86_32::MASKS / 8;
const _: () = assert!(x86_32::PENDING == 8 * PENDING);

impl Domain {
    fn pending(&self, word: usize) -> &'static AtomicU64 {
        memory::word(self.shared_info, PENDING + word)
    }

    fn masks(&self, word: usize) -> &'static AtomicU64 {
        let first = if self.is_narrow() { NARROW_MASKS } else { MASKS };
        memory::word(self.shared_info, first + word)
    }

    /// Forgets that a port was raised.
    pub fn clear_pending(&self, port: u32) {
        if self.has_queues.load(Ordering::Acquire) {
            return self.queues.lock().close(port);
        }
        self.pending(port as usize / 64).fetch_and(!(1 << (port % 64)), Ordering::AcqRel);
    }

    /// Raises a port.
    pub fn raise_port(&self, port: u32, vcpu: usize) {
        if self.has_queues.load(Ordering::Acquire) {
            let raised = self.queues.lock().raise(port, vcpu);
            self.tell_of_queue(raised);
        } else if !self.raise_bit(port, vcpu) {
            return;
        }
        if self.pollers.load(Ordering::SeqCst) != 0 {
            self.wake_pollers(port);
        }
    }

    /// Raises a port with two levels of bits; false if it was raised already.
    fn raise_bit(&self, port: u32, vcpu: usize) -> bool {
        let (word, bit) = (port as usize / 64, 1 << (port % 64));
        if self.pending(word).fetch_or(bit, Ordering::SeqCst) & bit != 0 {
            return false;
        }
        if self.masks(word).load(Ordering::SeqCst) & bit == 0 {
            self.tell(port, vcpu);
        }
        true
    }

    /// Has a vcpu hear of what is new in its queues. A guest that broke them hears nothing.
    fn tell_of_queue(&self, raised: Raised) {
        if let Raised::Tell(vcpu) = raised
            && let Some(vcpu) = self.vcpu(vcpu)
            && vcpu.info().pending().swap(1, Ordering::SeqCst) == 0
        {
            crate::scheduler::notify(vcpu);
        }
    }

    /// Has the vcpus go on that wait for a port without being told of it.
    fn wake_pollers(&self, port: u32) {
        for vcpu in self.vcpus() {
            if [0, port].contains(&vcpu.polled.load(Ordering::SeqCst)) {
                crate::scheduler::wake(vcpu);
            }
        }
    }

    fn tell(&self, port: u32, vcpu: usize) {
        let Some(vcpu) = self.vcpu(vcpu) else { return };
        vcpu.select(port);
        if vcpu.info().pending().swap(1, Ordering::SeqCst) == 0 {
            crate::scheduler::notify(vcpu);
        }
    }

    /// Lets a port be heard, and hears of it if it was raised meanwhile.
    pub fn unmask(&self, port: u32, vcpu: usize) {
        if self.has_queues.load(Ordering::Acquire) {
            let raised = self.queues.lock().unmask(port, vcpu);
            return self.tell_of_queue(raised);
        }
        let (word, bit) = (port as usize / 64, 1 << (port % 64));
        let was_masked = self.masks(word).fetch_and(!bit, Ordering::AcqRel) & bit != 0;
        if was_masked && self.pending(word).load(Ordering::Acquire) & bit != 0 {
            self.tell(port, vcpu);
        }
    }

    /// Whether a port was raised and not yet handled.
    pub fn is_pending(&self, port: u32) -> bool {
        if self.has_queues.load(Ordering::Acquire) {
            return self.queues.lock().is_pending(port);
        }
        self.pending(port as usize / 64).load(Ordering::Acquire) & 1 << (port % 64) != 0
    }

    /// Raises a virtual interrupt that all of the domain shares.
    pub fn raise_global(&self, virq: u32) {
        self.raise_virtual(virq, 0);
    }

    fn raise_virtual(&self, virq: u32, vcpu: usize) {
        let mut channels = self.channels.lock();
        let Some(number) = channels.find(Kind::Virtual(virq), vcpu) else { return };
        let Some(port) = channels.port(number).copied() else { return };
        self.raise_port(number, port.vcpu);
    }

    /// Raises what is bound to a physical interrupt; false if nothing is.
    pub fn raise_physical(&self, pirq: u32) -> bool {
        let mut channels = self.channels.lock();
        let Some(number) = channels.find(Kind::Physical(pirq), 0) else { return false };
        let Some(port) = channels.port(number).copied() else { return false };
        self.raise_port(number, port.vcpu);
        true
    }
}

impl Vcpu {
    /// Raises a virtual interrupt of this vcpu.
    pub fn raise_virq(&self, virq: u32) {
        self.domain().raise_virtual(virq, self.number);
    }
}

/// Binds one domain's new port to another's, which waits for it.
pub fn bind(own: &Domain, other: &Domain, remote: u32, vcpu: usize) -> Result<u32, Errno> {
    if core::ptr::eq(own, other) {
        return bind_to_itself(own, remote, vcpu);
    }
    // The lower number first, so that two who bind to each other don't wait for ever.
    let (mut ours, mut theirs);
    if own.number < other.number {
        ours = own.channels.lock();
        theirs = other.channels.lock();
    } else {
        theirs = other.channels.lock();
        ours = own.channels.lock();
    }
    let waiting = theirs.port(remote).ok_or(EINVAL)?;
    if waiting.kind != Kind::Unbound(own.number) {
        return Err(EINVAL);
    }
    let port = ours.open(Kind::Interdomain(other.number, remote), vcpu)?;
    waiting.kind = Kind::Interdomain(own.number, port);
    own.raise_port(port, vcpu);
    Ok(port)
}

fn bind_to_itself(own: &Domain, remote: u32, vcpu: usize) -> Result<u32, Errno> {
    let mut channels = own.channels.lock();
    if channels.port(remote).ok_or(EINVAL)?.kind != Kind::Unbound(own.number) {
        return Err(EINVAL);
    }
    let port = channels.open(Kind::Interdomain(own.number, remote), vcpu)?;
    channels.port(remote).ok_or(ENOENT)?.kind = Kind::Interdomain(own.number, port);
    own.raise_port(port, vcpu);
    Ok(port)
}

/// Closes a port; the other end waits for somebody else again.
pub fn close(domain: &Domain, port: u32) -> Result<(), Errno> {
    let kind = domain.channels.lock().close(port)?;
    domain.clear_pending(port);
    match kind {
        Kind::Interdomain(number, remote) if number == domain.number => {
            if let Some(other) = domain.channels.lock().port(remote) {
                other.kind = Kind::Unbound(domain.number);
            }
        }
        Kind::Interdomain(number, remote) => {
            let Some(other) = domain::find(number) else { return Ok(()) };
            if let Some(end) = other.channels.lock().port(remote) {
                end.kind = Kind::Unbound(domain.number);
            }
        }
        Kind::Physical(pirq) => pirqs::unbind(pirq),
        _ => (),
    }
    Ok(())
}

/// Gives a vcpu its control block; the first has all of the domain's ports in queues from then on.
pub fn set_control(domain: &Domain, vcpu: usize, place: (u64, u32)) -> Result<(), Errno> {
    // Nobody raises a port of the domain meanwhile but by what is known of it already.
    let channels = domain.channels.lock();
    let raised = |port: &u32| domain.is_pending(*port);
    let early: Vec<u32> = channels.all().map(|(port, _)| port).filter(raised).collect();
    let mut queues = domain.queues.lock();
    queues.set_control(domain, vcpu, place)?;
    if !domain.has_queues.load(Ordering::Acquire) {
        early.into_iter().for_each(|port| queues.note(port));
        domain.has_queues.store(true, Ordering::Release);
    }
    Ok(())
}

/// Gives a domain's queues the words of the next ports, and raises those that had none when they were.
pub fn expand(domain: &Domain, mfn: u64) -> Result<(), Errno> {
    let early = domain.queues.lock().expand(domain, mfn)?;
    let mut channels = domain.channels.lock();
    for number in early {
        if let Some(port) = channels.port(number).copied() {
            domain.raise_port(number, port.vcpu);
        }
    }
    Ok(())
}

/// Closes all ports of a domain.
pub fn close_all(domain: &Domain) {
    for number in 1..PORTS as u32 {
        // Those that are not open can't be closed.
        let _ = close(domain, number);
    }
    domain.has_queues.store(false, Ordering::Release);
    core::mem::take(&mut *domain.queues.lock()).release(domain);
}
