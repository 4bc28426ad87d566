//! Where the guest wants to be called, and small things about the vcpu that runs.

use core::sync::atomic::Ordering;

use hypervisor::paging::entry::is_guest_address;
use xen::abi::errno::{EINVAL, ENOSYS};
use xen::abi::plain_structs;
use xen::abi::vcpu::TrapInfo;

use super::Answer;
use crate::arch::descriptors::GUEST_CODE;
use crate::arch::{copy, cpu};
use crate::guest::memory;
use crate::policy;
use crate::vcpu::{Callback, Guest, TASK_SWITCHED};

/// Sets the exceptions' handlers; the list ends with an address of 0.
pub fn set_trap_table(guest: &mut Guest<'_>, list: u64) -> Answer {
    if list == 0 {
        guest.own.traps.fill(TrapInfo { vector: 0, flags: 0, cs: 0, pad: 0, address: 0 });
        return Ok(0);
    }
    for index in 0..=256 {
        let mut trap: TrapInfo = memory::read(list + index * size_of::<TrapInfo>() as u64)?;
        if trap.address == 0 {
            break;
        }
        if !is_guest_address(trap.address) {
            return Err(EINVAL.into());
        }
        trap.cs |= 3;
        guest.own.traps[usize::from(trap.vector)] = trap;
    }
    Ok(0)
}

/// Sets the kernel's stack for traps from programs.
pub fn stack_switch(guest: &mut Guest<'_>, ss: u64, sp: u64) -> Answer {
    guest.own.kernel_ss = ss & 0xffff | 3;
    guest.own.kernel_sp = sp;
    Ok(0)
}

/// Sets the three callbacks at once, the old way.
pub fn set_callbacks(guest: &mut Guest<'_>, event: u64, failsafe: u64, syscall: u64) -> Answer {
    if ![event, failsafe, syscall].into_iter().all(is_guest_address) {
        return Err(EINVAL.into());
    }
    guest.own.event = Callback { address: event, masks_events: true };
    guest.own.failsafe.address = failsafe;
    guest.own.syscall.address = syscall;
    Ok(0)
}

plain_structs! {
    /// `struct callback_register` (callback.h).
    struct Register {
        kind: u16,
        flags: u16,
        pad: u32,
        address: u64,
    }
}

/// Sets callbacks one by one (callback.h).
pub fn operation(guest: &mut Guest<'_>, command: u32, argument: u64) -> Answer {
    const REGISTER: u32 = 0;
    const UNREGISTER: u32 = 1;
    const MASK_EVENTS: u16 = 1;
    if !matches!(command, REGISTER | UNREGISTER) {
        return Err(ENOSYS.into());
    }
    let mut register: Register = memory::read(argument)?;
    if command == UNREGISTER {
        // Events and the failsafe callback can't be done without.
        if matches!(register.kind, 0 | 1 | 4) {
            return Err(EINVAL.into());
        }
        register.address = 0;
    }
    if !is_guest_address(register.address) {
        return Err(EINVAL.into());
    }
    let masks_events = register.flags & MASK_EVENTS != 0;
    let callback = Callback { address: register.address, masks_events };
    match register.kind {
        0 => guest.own.event = callback,
        1 => guest.own.failsafe = callback,
        2 => guest.own.syscall = callback,
        // An NMI is masked by itself, not with events.
        4 => {
            let trap = &mut guest.own.traps[2];
            (trap.vector, trap.flags, trap.cs) = (2, 0, GUEST_CODE);
            trap.address = register.address;
        }
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

/// Has the next use of the FPU trap, or not.
pub fn fpu_taskswitch(guest: &mut Guest<'_>, set: u32) -> Answer {
    cpu::set_task_switched(set != 0);
    guest.own.cr0 = guest.own.cr0 & !TASK_SWITCHED | if set != 0 { TASK_SWITCHED } else { 0 };
    Ok(0)
}

/// Sets a debug register.
pub fn set_debug(guest: &mut Guest<'_>, number: u32, value: u64) -> Answer {
    let number = u8::try_from(number).map_err(|_| EINVAL)?;
    policy::write_debug(guest, number, value)?;
    Ok(0)
}

/// Reads a debug register.
pub fn get_debug(guest: &mut Guest<'_>, number: u32) -> Answer {
    guest.own.debug.get(number as usize).copied().ok_or(EINVAL.into())
}

/// What guests may ask for: 4 GiB segments, writable page tables, IOPL, runstate's flag, strict m2p;
/// 1 and 3 are 32-bit's (VMASST_TYPE_*, xen.h).
pub const ASSISTS: u64 = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 32;

/// Has the hypervisor do something for the guest, or not (VMASST_*, xen.h).
pub fn vm_assist(guest: &mut Guest<'_>, command: u32, kind: u32) -> Answer {
    let bit = if kind < 64 { 1 << kind } else { 0 };
    if ASSISTS & bit == 0 {
        return Err(EINVAL.into());
    }
    let assists = &guest.domain().assists;
    match command {
        0 => assists.fetch_or(bit, Ordering::Relaxed),
        1 => assists.fetch_and(!bit, Ordering::Relaxed),
        _ => return Err(ENOSYS.into()),
    };
    Ok(0)
}

/// Sets a base of FS or GS, or the selector of the programs' GS (SEGBASE_*, arch-x86/xen-x86_64.h).
pub fn set_segment_base(_: &mut Guest<'_>, which: u32, base: u64) -> Answer {
    const FS_BASE: u32 = 0xc000_0100;
    const GS_BASE: u32 = 0xc000_0101;
    const KERNEL_GS_BASE: u32 = 0xc000_0102;
    let number = match which {
        0 => FS_BASE,
        1 => KERNEL_GS_BASE,
        2 => GS_BASE,
        3 => {
            copy::load_gs(u32::from(base as u16));
            return Ok(0);
        }
        _ => return Err(EINVAL.into()),
    };
    if (base as i64) << 16 >> 16 != base as i64 {
        return Err(EINVAL.into());
    }
    cpu::write_msr(number, base);
    Ok(0)
}
