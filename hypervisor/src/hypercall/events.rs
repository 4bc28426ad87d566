//! event_channel_op (event_channel.h).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use hypervisor::fifo;
use xen::abi::errno::{EACCES, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH, Errno};
use xen::abi::evtchn as op;
use xen::abi::{DOMID_SELF, DomId, plain_structs};

use super::Answer;
use crate::domain::{self, Domain};
use crate::events::{Kind, VIRQS, bind, close, close_all, expand, is_global, set_control};
use crate::guest::memory;
use crate::pirqs;
use crate::vcpu::Guest;

plain_structs! {
    /// `struct evtchn_bind_interdomain`
    struct BindInterdomain { remote: DomId, pad: u16, remote_port: u32, port: u32 }
    /// `struct evtchn_bind_virq`
    struct BindVirq { virq: u32, vcpu: u32, port: u32 }
    /// `struct evtchn_bind_pirq`
    struct BindPirq { pirq: u32, flags: u32, port: u32 }
    /// `struct evtchn_bind_ipi`
    struct BindIpi { vcpu: u32, port: u32 }
    /// `struct evtchn_status`
    struct Status { domain: DomId, pad: u16, port: u32, status: u32, vcpu: u32, first: u32, second: u32 }
    /// `struct evtchn_alloc_unbound`
    struct AllocUnbound { domain: DomId, remote: DomId, port: u32 }
    /// `struct evtchn_init_control`
    struct Control { mfn: u64, offset: u32, vcpu: u32, link_bits: u64 }
    /// `struct evtchn_set_priority`
    struct Priority { port: u32, priority: u32 }
    /// `struct evtchn_bind_vcpu`
    struct BindVcpu { port: u32, vcpu: u32 }
}

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, command: u32, place: u64) -> Answer {
    let domain = guest.domain();
    match u64::from(command) {
        op::BIND_INTERDOMAIN => {
            let mut bound: BindInterdomain = memory::read(place)?;
            let other = named(guest, bound.remote)?;
            let other = other.as_deref().unwrap_or(domain);
            bound.port = bind(domain, other, bound.remote_port, guest.vcpu.number)?;
            memory::write(place, &bound)?;
        }
        op::BIND_VIRQ => {
            let mut bound: BindVirq = memory::read(place)?;
            // What is global has its vcpu, whether there are others or not.
            if bound.virq >= VIRQS || is_global(bound.virq) && bound.vcpu != 0 {
                return Err(EINVAL.into());
            }
            let vcpu = known_vcpu(domain, bound.vcpu)?;
            bound.port = domain.channels.lock().bind_virq(bound.virq, vcpu)?;
            memory::write(place, &bound)?;
        }
        op::BIND_PIRQ => {
            let mut bound: BindPirq = memory::read(place)?;
            bound.port = pirqs::bind(domain, bound.pirq)?;
            memory::write(place, &bound)?;
        }
        op::CLOSE => {
            let port: u32 = memory::read(place)?;
            close(domain, port)?;
        }
        op::SEND => send(domain, memory::read(place)?)?,
        op::STATUS => status(guest, place)?,
        op::ALLOC_UNBOUND => {
            let mut alloc: AllocUnbound = memory::read(place)?;
            let other = named(guest, alloc.domain)?;
            if other.is_some() && !domain.is_privileged {
                return Err(EPERM.into());
            }
            let remote = if alloc.remote == DOMID_SELF { domain.number } else { alloc.remote };
            let whose = other.as_deref().unwrap_or(domain);
            alloc.port = whose.channels.lock().open(Kind::Unbound(remote), 0)?;
            memory::write(place, &alloc)?;
        }
        op::BIND_IPI => {
            let mut bound: BindIpi = memory::read(place)?;
            let vcpu = known_vcpu(domain, bound.vcpu)?;
            bound.port = domain.channels.lock().open(Kind::Ipi, vcpu)?;
            memory::write(place, &bound)?;
        }
        op::BIND_VCPU => bind_vcpu(domain, memory::read(place)?)?,
        op::UNMASK => {
            let number: u32 = memory::read(place)?;
            let vcpu = {
                let mut channels = domain.channels.lock();
                if !channels.knows(number) {
                    return Err(EINVAL.into());
                }
                channels.port(number).map_or(0, |port| port.vcpu)
            };
            domain.unmask(number, vcpu);
        }
        op::RESET => {
            let number: DomId = memory::read(place)?;
            let other = named(guest, number)?;
            if other.is_some() && !domain.is_privileged {
                return Err(EPERM.into());
            }
            close_all(other.as_deref().unwrap_or(domain));
        }
        op::INIT_CONTROL => {
            let mut control: Control = memory::read(place)?;
            let vcpu = known_vcpu(domain, control.vcpu)?;
            set_control(domain, vcpu, (control.mfn, control.offset))?;
            control.link_bits = u64::from(fifo::LINK_BITS);
            memory::write(place, &control)?;
        }
        op::EXPAND_ARRAY => {
            let mfn = memory::read(place)?;
            if !domain.has_queues.load(Ordering::Acquire) {
                return Err(EOPNOTSUPP.into());
            }
            expand(domain, mfn)?;
        }
        op::SET_PRIORITY => set_priority(domain, memory::read(place)?)?,
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

fn set_priority(domain: &Domain, asked: Priority) -> Result<(), Errno> {
    let mut channels = domain.channels.lock();
    if !channels.knows(asked.port) {
        return Err(EINVAL);
    }
    if !domain.has_queues.load(Ordering::Acquire) {
        return Err(ENOSYS);
    }
    channels.port(asked.port).ok_or(EACCES)?;
    let priority = u8::try_from(asked.priority).ok().filter(|it| *it < 16).ok_or(EINVAL)?;
    domain.queues.lock().set_priority(asked.port, priority);
    Ok(())
}

fn known_vcpu(domain: &Domain, number: u32) -> Result<usize, Errno> {
    let number = number as usize;
    domain.vcpu(number).map(|_| number).ok_or(ENOENT)
}

/// Another domain; none if the caller means itself.
fn named(guest: &Guest<'_>, number: DomId) -> Result<Option<Arc<Domain>>, Errno> {
    if number == DOMID_SELF || number == guest.domain().number {
        return Ok(None);
    }
    domain::find(number).ok_or(ESRCH).map(Some)
}

fn send(domain: &Domain, number: u32) -> Result<(), Errno> {
    let port = *domain.channels.lock().port(number).ok_or(EINVAL)?;
    match port.kind {
        Kind::Interdomain(other, remote) if other == domain.number => raise(domain, remote),
        Kind::Interdomain(other, remote) => {
            if let Some(other) = domain::find(other) {
                raise(&other, remote);
            }
        }
        Kind::Ipi => domain.raise_port(number, port.vcpu),
        Kind::Unbound(_) => (),
        _ => return Err(EINVAL),
    }
    Ok(())
}

fn raise(domain: &Domain, number: u32) {
    let port = domain.channels.lock().port(number).copied();
    if let Some(port) = port {
        domain.raise_port(number, port.vcpu);
    }
}

fn bind_vcpu(domain: &Domain, bind: BindVcpu) -> Result<(), Errno> {
    let vcpu = known_vcpu(domain, bind.vcpu)?;
    let mut channels = domain.channels.lock();
    let port = channels.port(bind.port).ok_or(EINVAL)?;
    match port.kind {
        Kind::Virtual(virq) if is_global(virq) => port.vcpu = vcpu,
        Kind::Unbound(_) | Kind::Interdomain(..) | Kind::Physical(_) => port.vcpu = vcpu,
        _ => return Err(EINVAL),
    }
    Ok(())
}

fn status(guest: &Guest<'_>, place: u64) -> Result<(), Errno> {
    let mut status: Status = memory::read(place)?;
    let other = named(guest, status.domain)?;
    if other.is_some() && !guest.domain().is_privileged {
        return Err(EPERM);
    }
    let domain = other.as_deref().unwrap_or(guest.domain());
    let port = {
        let mut channels = domain.channels.lock();
        if !channels.knows(status.port) {
            return Err(EINVAL);
        }
        channels.port(status.port).copied().unwrap_or_default()
    };
    (status.status, status.first, status.second) = match port.kind {
        Kind::Free => (op::STATUS_CLOSED, 0, 0),
        Kind::Unbound(remote) => (op::STATUS_UNBOUND, remote.into(), 0),
        Kind::Interdomain(remote, port) => (op::STATUS_INTERDOMAIN, remote.into(), port),
        Kind::Physical(pirq) => (op::STATUS_PIRQ, pirq, 0),
        Kind::Virtual(virq) => (op::STATUS_VIRQ, virq, 0),
        Kind::Ipi => (op::STATUS_IPI, 0, 0),
    };
    status.vcpu = port.vcpu as u32;
    memory::write(place, &status)
}
