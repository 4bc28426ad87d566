//! Hypercalls that take one structure.

use hypervisor::narrow::{wide_context, word};
use xen::abi::hypercall as number;
use xen::abi::{callback, plain_structs, sched, vcpu, x86_32};

use super::super::{Answer, Stop, call};
use super::put;
use crate::guest::memory;
use crate::vcpu::Guest;

plain_structs! {
    /// As `hypercall/sched.rs` takes it.
    struct Poll { ports: u64, count: u32, pad: u32, timeout: u64 }
    /// As `hypercall/callbacks.rs` takes it.
    struct Register { kind: u16, flags: u16, pad: u32, address: u64 }
    /// As `hypercall/vcpu.rs` takes it.
    struct Singleshot { at: u64, flags: u32, pad: u32 }
}

/// sched_op.
pub fn scheduling(guest: &mut Guest<'_>, command: u64, place: u64) -> Answer {
    let argument = match command {
        sched::POLL => {
            let x86_32::Poll { ports, nr_ports, timeout } = memory::read(place)?;
            let ports = ports.into();
            put(0, &Poll { ports, count: nr_ports, pad: 0, timeout: word(timeout) })?
        }
        _ => place,
    };
    call(guest, number::SCHED_OP, [command, argument, 0, 0, 0, 0])
}

/// callback_op.
pub fn callback(guest: &mut Guest<'_>, command: u64, place: u64) -> Answer {
    let x86_32::CallbackRegister { r#type: kind, flags, eip, .. } = match command {
        callback::UNREGISTER => {
            let [kind, _]: [u16; 2] = memory::read(place)?;
            x86_32::CallbackRegister { r#type: kind, flags: 0, cs: 0, eip: 0 }
        }
        _ => memory::read(place)?,
    };
    let argument = put(0, &Register { kind, flags, pad: 0, address: eip.into() })?;
    call(guest, number::CALLBACK_OP, [command, argument, 0, 0, 0, 0])
}

/// vcpu_op.
pub fn vcpu(guest: &mut Guest<'_>, command: u64, number: u64, place: u64) -> Answer {
    let argument = match command {
        vcpu::INITIALISE => put(0, &wide_context(&memory::read(place)?))?,
        vcpu::REGISTER_RUNSTATE_MEMORY_AREA => {
            let area: u32 = memory::read(place)?;
            put(0, &u64::from(area))?
        }
        vcpu::SET_SINGLESHOT_TIMER => {
            let x86_32::Singleshot { timeout_abs_ns, flags } = memory::read(place)?;
            put(0, &Singleshot { at: word(timeout_abs_ns), flags, pad: 0 })?
        }
        _ => place,
    };
    let answer = call(guest, number::VCPU_OP, [command, number, argument, 0, 0, 0]);
    match answer {
        Err(Stop::Again(_)) => Err(Stop::Again([command, number, place, 0, 0, 0])),
        answer => answer,
    }
}
