//! Hypercalls of guests of 32 bits: the number in eax, arguments in ebx, ecx, edx, esi, edi, ebp, an
//! answer in eax.
//!
//! What differs from 64 bits is translated here, and done by the same code: structures are written as
//! those of 64 bits to pages that the guest doesn't see (`vcpu/narrow.rs`), and their addresses are
//! passed on; what comes back there is translated back.

mod lists;
mod memory;
mod structures;

use hypervisor::narrow::word;
use xen::abi::errno::{ENOSYS, EPERM, Errno};
use xen::abi::hypercall as number;
use xen::abi::{PAGE_SIZE, Plain, sched};

use super::multicall::{self, Form};
use super::{Answer, Arguments, INSTRUCTION, Stop, arguments_of, callbacks};
use crate::guest::memory as guest_memory;
use crate::vcpu::Guest;
use crate::vcpu::narrow::{SCRATCH, SCRATCH_SIZE};

/// Writes a structure to the pages, at an offset; its address.
fn put<T: Plain>(offset: u64, value: &T) -> Result<u64, Errno> {
    debug_assert!(offset + size_of::<T>() as u64 <= SCRATCH_SIZE);
    guest_memory::write(SCRATCH + offset, value)?;
    Ok(SCRATCH + offset)
}

/// Does the hypercall that the guest's registers hold.
pub fn dispatch(guest: &mut Guest<'_>) {
    let registers = guest.registers();
    let low = |register: u64| u64::from(register as u32);
    let number = low(registers.rax);
    if number == number::IRET {
        return guest.iret_narrow();
    }
    let arguments =
        [registers.rbx, registers.rcx, registers.rdx, registers.rsi, registers.rdi, registers.rbp];
    let answer = call(guest, number, arguments.map(low));
    let registers = guest.registers();
    match answer {
        Ok(value) => registers.rax = low(value),
        Err(Stop::Error(error)) => registers.rax = u64::from(-error.0 as u32),
        Err(Stop::Again(arguments)) => {
            registers.rip -= INSTRUCTION;
            let places =
                [&mut registers.rbx, &mut registers.rcx, &mut registers.rdx, &mut registers.rsi];
            let changed = places.into_iter().zip(arguments).take(arguments_of(number));
            changed.for_each(|(place, argument)| *place = low(argument));
        }
    }
}

/// Does a hypercall.
fn call(guest: &mut Guest<'_>, number: u64, arguments: Arguments) -> Answer {
    let [a, b, c, d, e, _] = arguments;
    let pair = |low: u64, high: u64| word([low as u32, high as u32]);
    match number {
        // All that these take has the same layout.
        number::MMU_UPDATE
        | number::STACK_SWITCH
        | number::FPU_TASKSWITCH
        | number::SET_DEBUGREG
        | number::GET_DEBUGREG
        | number::CONSOLE_IO
        | number::VM_ASSIST
        | number::EVENT_CHANNEL_OP
        | number::PHYSDEV_OP
        | number::XEN_VERSION => super::call(guest, number, arguments),
        number::SET_TRAP_TABLE => lists::set_trap_table(guest, a),
        number::SET_GDT => lists::set_gdt(guest, a, b),
        number::SET_CALLBACKS => callbacks::set_callbacks(guest, b, d, 0),
        number::SCHED_OP_OLD => scheduling(guest, a, b),
        number::UPDATE_DESCRIPTOR => {
            super::call(guest, number, [pair(a, b), pair(c, d), 0, 0, 0, 0])
        }
        number::MEMORY_OP => memory::operation(guest, a, b),
        number::MULTICALL => multicall::multicall::<Narrow>(guest, arguments),
        number::UPDATE_VA_MAPPING => super::call(guest, number, [a, pair(b, c), d, 0, 0, 0]),
        number::UPDATE_VA_MAPPING_OTHERDOMAIN => {
            super::call(guest, number, [a, pair(b, c), d, e, 0, 0])
        }
        number::SET_TIMER_OP => super::call(guest, number, [pair(a, b), 0, 0, 0, 0, 0]),
        number::GRANT_TABLE_OP => lists::grants(guest, a, b, c),
        number::VCPU_OP => structures::vcpu(guest, a, b, c),
        number::MMUEXT_OP => lists::mmuext(guest, arguments),
        number::SCHED_OP => structures::scheduling(guest, a, b),
        number::CALLBACK_OP => structures::callback(guest, a, b),
        number::PLATFORM_OP | number::SYSCTL | number::DOMCTL => Err(EPERM.into()),
        _ => Err(ENOSYS.into()),
    }
}

/// Scheduling, the old way: the reason for the end is the argument itself.
fn scheduling(guest: &mut Guest<'_>, command: u64, argument: u64) -> Answer {
    let argument = match command {
        sched::YIELD | sched::BLOCK => 0,
        sched::SHUTDOWN => put(0, &(argument as u32))?,
        _ => return Err(ENOSYS.into()),
    };
    super::call(guest, number::SCHED_OP, [command, argument, 0, 0, 0, 0])
}

/// `struct multicall_entry` of 32 bits: the number, the answer, six arguments.
struct Narrow;

impl Form for Narrow {
    const SIZE: u64 = 32;

    fn read(entry: u64) -> Result<(u64, Arguments), Errno> {
        let [number, _, arguments @ ..] = guest_memory::read::<[u32; 8]>(entry)?;
        Ok((number.into(), arguments.map(u64::from)))
    }

    fn answer(entry: u64, value: u64) -> Result<(), Errno> {
        guest_memory::write(entry + 4, &(value as u32))
    }

    fn replace(entry: u64, arguments: &[u64]) -> Result<(), Errno> {
        (0..).zip(arguments).try_for_each(|(index, argument)| {
            guest_memory::write(entry + 8 + 4 * index, &(*argument as u32))
        })
    }

    fn call(guest: &mut Guest<'_>, number: u64, arguments: Arguments) -> Answer {
        call(guest, number, arguments)
    }
}

/// The page through which kernels of 32 bits make hypercalls (`HYPERVISOR_iret` takes eax from the
/// stack).
pub fn hypercall_page() -> [u8; PAGE_SIZE] {
    let mut page = [0xcc; PAGE_SIZE];
    for (number, place) in page.chunks_mut(32).enumerate() {
        let [a, b, c, d] = (number as u32).to_le_bytes();
        if number as u64 == number::IRET {
            // push eax; mov eax, 23; int 0x82
            place[..8].copy_from_slice(&[0x50, 0xb8, a, b, c, d, 0xcd, 0x82]);
        } else {
            // mov eax, number; int 0x82; ret
            place[..8].copy_from_slice(&[0xb8, a, b, c, d, 0xcd, 0x82, 0xc3]);
        }
    }
    page
}
