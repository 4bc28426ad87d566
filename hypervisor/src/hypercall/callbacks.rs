//! Where the guest wants to be called, and small things about the vcpu that runs.

use core::sync::atomic::Ordering;

use hypervisor::paging::entry::is_canonical;
use xen::abi::assist;
use xen::abi::callback as op;
use xen::abi::errno::{EINVAL, ENODEV, ENOSYS};
use xen::abi::plain_structs;
use xen::abi::vcpu::{self, TrapInfo};

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
        if !is_canonical(trap.address) {
            return Err(EINVAL.into());
        }
        trap.cs = guest.domain().selector(trap.cs);
        guest.own.traps[usize::from(trap.vector)] = trap;
    }
    Ok(0)
}

/// Sets the kernel's stack for traps from programs.
pub fn stack_switch(guest: &mut Guest<'_>, ss: u64, sp: u64) -> Answer {
    guest.own.kernel_ss = guest.domain().selector(ss as u16).into();
    guest.own.kernel_sp = sp;
    Ok(0)
}

/// Sets the three callbacks at once, the old way: one that can't be stays as it was.
pub fn set_callbacks(guest: &mut Guest<'_>, event: u64, failsafe: u64, syscall: u64) -> Answer {
    if is_canonical(event) {
        guest.own.event = Callback { address: event, masks_events: true };
    }
    for (callback, address) in
        [(&mut guest.own.failsafe, failsafe), (&mut guest.own.syscall, syscall)]
    {
        if is_canonical(address) {
            *callback = Callback { address, masks_events: false };
        }
    }
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
    let command = u64::from(command);
    if !matches!(command, op::REGISTER | op::UNREGISTER) {
        return Err(ENOSYS.into());
    }
    let register: Register = memory::read(argument)?;
    if command == op::UNREGISTER {
        // Without these a kernel can't be; non-maskable interrupts it can do without.
        return match register.kind {
            op::EVENT..=op::SYSCALL | op::SYSENTER | op::SYSCALL32 => Err(EINVAL.into()),
            op::NMI => Ok(0),
            _ => Err(ENOSYS.into()),
        };
    }
    if !is_canonical(register.address) {
        return Err(EINVAL.into());
    }
    let masks_events = register.flags & op::MASK_EVENTS != 0;
    let callback = Callback { address: register.address, masks_events };
    match register.kind {
        op::EVENT => guest.own.event = callback,
        op::FAILSAFE => guest.own.failsafe = callback,
        op::SYSCALL => guest.own.syscall = callback,
        op::SYSENTER => guest.own.sysenter = callback,
        op::SYSCALL32 => guest.own.syscall32 = callback,
        // An NMI is masked by itself, not with events.
        op::NMI => {
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
    let number = u8::try_from(number).map_err(|_| ENODEV)?;
    policy::write_debug(guest, number, value)?;
    Ok(0)
}

/// Reads a debug register; 4 and 5 are other names of 6 and 7.
pub fn get_debug(guest: &mut Guest<'_>, number: u32) -> Answer {
    let number = if matches!(number, 4 | 5) { number + 2 } else { number };
    guest.own.debug.get(number as usize).copied().ok_or(ENODEV.into())
}

/// What guests may ask for. The first four are 32-bit's and nothing here.
pub const ASSISTS: u64 = 1 << assist::SEGMENTS_4GB
    | 1 << assist::SEGMENTS_4GB_NOTIFY
    | 1 << assist::WRITABLE_PAGETABLES
    | 1 << assist::PAE_EXTENDED_CR3
    | 1 << assist::ARCHITECTURAL_IOPL
    | 1 << assist::RUNSTATE_UPDATE_FLAG
    | 1 << assist::M2P_STRICT;

/// Has the hypervisor do something for the guest, or not (VMASST_*, xen.h).
pub fn vm_assist(guest: &mut Guest<'_>, command: u32, kind: u32) -> Answer {
    let bit = if kind < 64 { 1 << kind } else { 0 };
    if ASSISTS & bit == 0 {
        return Err(EINVAL.into());
    }
    let assists = &guest.domain().assists;
    match u64::from(command) {
        assist::ENABLE => assists.fetch_or(bit, Ordering::Relaxed),
        assist::DISABLE => assists.fetch_and(!bit, Ordering::Relaxed),
        _ => return Err(ENOSYS.into()),
    };
    Ok(0)
}

/// Sets a base of FS or GS, or the selector of the programs' GS (SEGBASE_*, arch-x86/xen-x86_64.h).
pub fn set_segment_base(_: &mut Guest<'_>, which: u32, base: u64) -> Answer {
    const FS_BASE: u32 = 0xc000_0100;
    const GS_BASE: u32 = 0xc000_0101;
    const KERNEL_GS_BASE: u32 = 0xc000_0102;
    let number = match u64::from(which) {
        vcpu::SEGBASE_FS => FS_BASE,
        vcpu::SEGBASE_GS_USER => KERNEL_GS_BASE,
        vcpu::SEGBASE_GS_KERNEL => GS_BASE,
        vcpu::SEGBASE_GS_USER_SEL => {
            copy::load_gs(u32::from(base as u16));
            return Ok(0);
        }
        _ => return Err(EINVAL.into()),
    };
    if !is_canonical(base) {
        return Err(EINVAL.into());
    }
    cpu::write_msr(number, base);
    Ok(0)
}
