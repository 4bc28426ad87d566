//! sched_op: waiting, ending (sched.h); and the vcpu's timer.

use core::sync::atomic::Ordering;

use xen::abi::errno::{EINVAL, ENOSYS, EPERM, ESRCH, Errno};
use xen::abi::plain_structs;
use xen::abi::sched::RemoteShutdown;

use super::Answer;
use crate::guest::memory;
use crate::vcpu::Guest;
use crate::{domain, scheduler, shutdown, time};

plain_structs! {
    /// `struct sched_poll`
    struct Poll { ports: u64, count: u32, pad: u32, timeout: u64 }
}

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, command: u32, place: u64) -> Answer {
    match command {
        0 => scheduler::give_way(guest.vcpu),
        1 => {
            let info = guest.vcpu.info();
            info.mask().store(0, Ordering::Relaxed);
            if info.pending().load(Ordering::Acquire) == 0 {
                scheduler::block(guest.vcpu);
            }
        }
        2 => {
            let reason: u32 = memory::read(place)?;
            shutdown::domain_is_over(guest.domain(), reason as u8);
        }
        3 => return poll(guest, place),
        4 => remote_shutdown(guest, memory::read(place)?)?,
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
    let domain = guest.domain();
    for index in 0..u64::from(poll.count) {
        let port: u32 = memory::read(poll.ports + 4 * index)?;
        if port as usize >= crate::events::PORTS {
            return Err(EINVAL.into());
        }
        if domain.is_pending(port) {
            return Ok(0);
        }
    }
    if poll.timeout != 0 && poll.timeout <= time::now() {
        return Ok(0);
    }
    let until = if poll.timeout == 0 { u64::MAX } else { poll.timeout };
    guest.vcpu.poll.store(until, Ordering::Relaxed);
    scheduler::block(guest.vcpu);
    Ok(0)
}

/// Has VIRQ_TIMER raised at a time; 0 is never.
pub fn set_timer(guest: &mut Guest<'_>, at: u64) -> Answer {
    let at = if at == 0 { u64::MAX } else { at };
    guest.vcpu.timer.store(at, Ordering::Relaxed);
    time::rearm();
    Ok(0)
}
