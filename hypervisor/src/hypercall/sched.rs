//! sched_op: waiting, ending (sched.h); and the vcpu's timer.

use core::sync::atomic::Ordering;

use xen::abi::errno::{EINVAL, ENOSYS, EPERM, ESRCH, Errno};
use xen::abi::plain_structs;
use xen::abi::sched::{self as op, RemoteShutdown};

use super::Answer;
use crate::guest::memory;
use crate::vcpu::Guest;
use crate::{domain, scheduler, shutdown, time, watchdogs};

plain_structs! {
    /// `struct sched_poll`
    struct Poll { ports: u64, count: u32, pad: u32, timeout: u64 }
}

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, command: u32, place: u64) -> Answer {
    match u64::from(command) {
        op::YIELD => scheduler::give_way(guest.vcpu),
        op::BLOCK => {
            guest.vcpu.info().mask().store(0, Ordering::SeqCst);
            scheduler::block(guest.vcpu);
        }
        op::SHUTDOWN => {
            let reason: u32 = memory::read(place)?;
            shutdown::domain_is_over(guest.domain(), reason as u8);
        }
        op::POLL => return poll(guest, place),
        op::REMOTE_SHUTDOWN => remote_shutdown(guest, memory::read(place)?)?,
        op::WATCHDOG => {
            let [number, seconds]: [u32; 2] = memory::read(place)?;
            return Ok(watchdogs::set(guest.domain(), number, seconds)?);
        }
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

/// Makes another domain look as if it had shut itself down.
fn remote_shutdown(guest: &Guest<'_>, shutdown: RemoteShutdown) -> Result<(), Errno> {
    if !guest.domain().is_privileged {
        return Err(EPERM);
    }
    let domain = domain::find(shutdown.domain_id).ok_or(ESRCH)?;
    if domain.is_privileged {
        return Err(EINVAL);
    }
    shutdown::domain_is_over(&domain, shutdown.reason as u8);
    Ok(())
}

/// Waits for one of some ports, or for a time.
fn poll(guest: &mut Guest<'_>, place: u64) -> Answer {
    const MOST: u32 = 128;
    let poll: Poll = memory::read(place)?;
    if poll.count > MOST {
        return Err(EINVAL.into());
    }
    let (domain, vcpu) = (guest.domain(), guest.vcpu);
    let until = if poll.timeout == 0 { u64::MAX } else { poll.timeout };
    let polled = if poll.count == 1 { memory::read(poll.ports)? } else { 0 };
    if polled as usize >= crate::events::PORTS {
        return Err(EINVAL.into());
    }
    // Who raises a port from here on has the vcpu go on.
    vcpu.poll.store(until, Ordering::Relaxed);
    vcpu.start_polling(polled);
    // An event that the vcpu would be told of may have come just before.
    let mut goes_on = Ok(vcpu.has_event());
    for index in 0..u64::from(poll.count) {
        if goes_on != Ok(false) {
            break;
        }
        goes_on = memory::read(poll.ports.wrapping_add(4 * index)).and_then(|port: u32| {
            // Of a port that nobody has, nothing would ever come.
            let is_open = domain.channels.lock().port(port).is_some();
            is_open.then(|| domain.is_pending(port)).ok_or(EINVAL)
        });
    }
    match goes_on {
        Ok(false) if until > time::now() => scheduler::update(vcpu),
        _ => scheduler::wake(vcpu),
    }
    goes_on?;
    Ok(0)
}

/// Has VIRQ_TIMER raised at a time; 0 is never.
pub fn set_timer(guest: &mut Guest<'_>, at: u64) -> Answer {
    let at = if at == 0 { u64::MAX } else { at };
    guest.vcpu.timer.store(at, Ordering::Relaxed);
    scheduler::retime(guest.vcpu);
    Ok(0)
}
