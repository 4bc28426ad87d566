//! vcpu_op (vcpu.h).

use core::sync::atomic::Ordering;

use xen::abi::errno::{EINVAL, ENOENT, ENOSYS, Errno};
use xen::abi::plain_structs;

use super::Answer;
use crate::guest::memory;
use crate::vcpu::{Guest, Vcpu};
use crate::{frames, time};

plain_structs! {
    /// `struct vcpu_set_singleshot_timer`
    struct Singleshot { at: u64, flags: u32, pad: u32 }
    /// `struct vcpu_register_vcpu_info`
    struct RegisterInfo { mfn: u64, offset: u32, pad: u32 }
    /// `struct vcpu_runstate_info`
    struct Runstate { state: u32, pad: u32, since: u64, times: [u64; 4] }
}

/// Does what the command says of a vcpu of the caller's domain.
pub fn operation(guest: &mut Guest<'_>, command: u32, number: u32, place: u64) -> Answer {
    const ETIME: Errno = Errno(62);
    let vcpu = guest.domain().vcpu(number as usize).ok_or(ENOENT)?;
    match command {
        3 => return Ok(u64::from(vcpu.online.load(Ordering::Relaxed))),
        4 | 5 => {
            let state = runstate(vcpu);
            let place = if command == 4 { place } else { memory::read(place)? };
            memory::write(place, &state)?;
        }
        7 if core::ptr::eq(vcpu, guest.vcpu) => (),
        8 => {
            let timer: Singleshot = memory::read(place)?;
            // VCPU_SSHOTTMR_future: a time that has passed is an error.
            if timer.flags & 1 != 0 && timer.at < time::now() {
                return Err(ETIME.into());
            }
            vcpu.timer.store(timer.at, Ordering::Relaxed);
            time::rearm();
        }
        9 => {
            vcpu.timer.store(u64::MAX, Ordering::Relaxed);
            time::rearm();
        }
        10 => register_info(guest, vcpu, memory::read(place)?)?,
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

fn runstate(vcpu: &Vcpu) -> Runstate {
    let blocked = vcpu.blocked.load(Ordering::Relaxed);
    let waited = vcpu.waited.load(Ordering::Relaxed);
    // Running, runnable, blocked, offline.
    let times = [vcpu.run_time(), 0, waited, 0];
    Runstate { state: if blocked { 2 } else { 0 }, pad: 0, since: time::now(), times }
}

/// Moves a vcpu's shared part into a page of the guest, which stays the hypervisor's to write to.
fn register_info(guest: &Guest<'_>, vcpu: &Vcpu, register: RegisterInfo) -> Result<(), Errno> {
    use hypervisor::paging::page::Use;
    if u64::from(register.offset) > 4096 - 64 || register.offset & 7 != 0 {
        return Err(EINVAL);
    }
    let domain = guest.domain();
    let shared = domain.shared_info << 12..(domain.shared_info + 1) << 12;
    if !shared.contains(&vcpu.info().address()) {
        return Err(EINVAL);
    }
    frames::page(register.mfn).ok_or(EINVAL)?;
    domain.rules().get(register.mfn, domain.owner, Use::Writable).map_err(|_| EINVAL)?;
    vcpu.move_info((register.mfn << 12) + u64::from(register.offset));
    // What was raised before is heard in the new place, too.
    vcpu.info().selector().store(!0, Ordering::Relaxed);
    vcpu.info().pending().store(1, Ordering::Release);
    Ok(())
}
