//! What a trap of the guest that runs leads to, up to the next instruction of a guest.

use core::sync::atomic::Ordering;

use x86_64::registers::control::Cr2;

use super::emulate;
use super::writes::{self, code};
use crate::arch::descriptors::{GUEST_CODE, GUEST_STACK};
use crate::arch::entry::{Registers, SYSCALL};
use crate::arch::processor::{self, CHOOSE};
use crate::arch::{cpu, gates, memory, state};
use crate::vcpu::{Callback, Guest, TASK_SWITCHED};
use crate::{hypercall, interrupts, scheduler};

const DEBUG: u32 = 1;
const NMI: u32 = 2;
const INVALID_OPCODE: u32 = 6;
const NO_DEVICE: u32 = 7;
const PROTECTION: u32 = 13;
const PAGE_FAULT: u32 = 14;
/// What devices never get, so that it is the kernel of 32 bits whose `int` it is.
const NARROW_HYPERCALL: u32 = gates::NARROW_HYPERCALL as u32;
/// Bytes of `syscall`.
const SYSCALL_LENGTH: u64 = 2;

/// From the entry code: an exception or an interrupt.
pub extern "C" fn trap(registers: *mut Registers) -> *mut Registers {
    // SAFETY: the entry code calls this with what it pushed.
    let mut guest = unsafe { Guest::of(registers) };
    let (vector, error) = (guest.registers().vector, guest.registers().error);
    match vector {
        PAGE_FAULT => page_fault(&mut guest, error),
        NARROW_HYPERCALL if guest.is_narrow() => hypercall::narrow::dispatch(&mut guest),
        32.. => interrupts::take(vector as u8),
        PROTECTION => protection(&mut guest, error),
        INVALID_OPCODE => {
            if !emulate::forced(&mut guest) {
                guest.raise(6, None);
            }
        }
        NO_DEVICE => {
            cpu::set_task_switched(false);
            if guest.own.cr0 & TASK_SWITCHED != 0 {
                guest.own.cr0 &= !TASK_SWITCHED;
                guest.raise(7, None);
            }
        }
        NMI => crate::note!(Warning, "NMI while a guest ran"),
        DEBUG => debug(&mut guest),
        10 | 11 | 12 | 17 | 21 => guest.raise(vector as u8, Some(error)),
        _ => guest.raise(vector as u8, None),
    }
    leave(guest)
}

/// From the entry code: a system call of a program, or a hypercall of the kernel.
pub extern "C" fn syscall(registers: *mut Registers) -> *mut Registers {
    // SAFETY: as above.
    let mut guest = unsafe { Guest::of(registers) };
    if guest.own.in_kernel {
        hypercall::dispatch(&mut guest);
    } else {
        let to = guest.own.syscall;
        system_call(&mut guest, to);
    }
    leave(guest)
}

/// Calls the kernel for a system call of a program. Without a place to call it is as on a processor
/// that has no such instruction.
fn system_call(guest: &mut Guest<'_>, to: Callback) {
    if to.address == 0 {
        guest.registers().rip -= SYSCALL_LENGTH;
        return guest.raise(INVALID_OPCODE as u8, None);
    }
    guest.call(to, []);
}

/// From the entry code: a system call from 32-bit code.
pub extern "C" fn syscall32(registers: *mut Registers) -> *mut Registers {
    // SAFETY: as above.
    let mut guest = unsafe { Guest::of(registers) };
    // Whether events are masked, the other way in says for both.
    let to = match guest.is_narrow() {
        true => {
            guest.came_from_program();
            guest.own.syscall32
        }
        false => Callback { masks_events: guest.own.syscall.masks_events, ..guest.own.syscall32 },
    };
    system_call(&mut guest, to);
    leave(guest)
}

/// From the entry code: `sysenter`, which doesn't tell where it comes from.
pub extern "C" fn sysenter(registers: *mut Registers) -> *mut Registers {
    // SAFETY: as above.
    let mut guest = unsafe { Guest::of(registers) };
    let to = guest.own.sysenter;
    if guest.is_narrow() {
        guest.came_from_program();
    }
    match to.address {
        0 => guest.raise_protection(0),
        _ => guest.call(to, []),
    }
    leave(guest)
}

/// From the entry code: the kernel, which was to be called for a system call, has no stack.
pub extern "C" fn stack_failed(registers: *mut Registers) -> *mut Registers {
    // SAFETY: as above.
    let mut guest = unsafe { Guest::of(registers) };
    guest.crash("its kernel's stack can't be written to");
    leave(guest)
}

/// From the entry code: what `iretq` was given can't be returned to. `fault` has the general
/// registers and says why, the vcpu's own has the rest. It is as if the guest had faulted there.
pub extern "C" fn return_failed(fault: &Registers, registers: *mut Registers) -> *mut Registers {
    // What was pushed lies over the general registers' place.
    let general = *fault;
    // SAFETY: as above.
    let mut guest = unsafe { Guest::of(registers) };
    let place = guest.registers();
    let Registers { rip, cs, rflags, rsp, ss, .. } = *place;
    *place = Registers { rip, cs, rflags, rsp, ss, vector: 0, error: 0, ..general };
    guest.raise(general.vector as u8, Some(general.error));
    leave(guest)
}

/// What is to be done before the guest goes on, or another one does.
#[inline(always)]
pub fn leave(mut guest: Guest<'_>) -> *mut Registers {
    if processor::this().has_work() {
        guest = work(guest);
    }
    if guest.vcpu.has_news() {
        deliver(&mut guest);
    }
    let registers = guest.registers();
    let sysret = registers.cs == GUEST_CODE.into() && registers.ss == GUEST_STACK.into();
    if !sysret || (registers.rip as i64) << 16 >> 16 != registers.rip as i64 {
        registers.vector &= !SYSCALL;
    }
    registers
}

/// Acts on what arrived; another vcpu may go on then.
#[cold]
fn work(mut guest: Guest<'_>) -> Guest<'_> {
    let processor = processor::this();
    while processor.has_work() {
        interrupts::settle();
        if processor.take_work(CHOOSE) {
            guest = scheduler::switch(guest);
        }
    }
    guest
}

/// Calls the guest for an NMI or its events, if any wait and it lets us.
#[inline(never)]
pub fn deliver(guest: &mut Guest<'_>) {
    if guest.vcpu.nmi.load(Ordering::Relaxed) && !guest.own.in_nmi {
        guest.vcpu.nmi.store(false, Ordering::Relaxed);
        guest.own.in_nmi = true;
        guest.raise(NMI as u8, None);
    }
    if guest.vcpu.has_event() {
        let to = Callback { masks_events: true, ..guest.own.event };
        guest.call(to, []);
    }
}

fn debug(guest: &mut Guest<'_>) {
    guest.own.debug[6] = hypervisor::debug::status(state::take_debug_status());
    guest.raise(1, None);
}

/// A page fault: in the window of segments, a write to a page table, or the guest's own.
fn page_fault(guest: &mut Guest<'_>, error: u32) {
    const HYPERVISOR: core::ops::Range<u64> = memory::MACHINE_TO_PHYSICAL..0xffff_8800_0000_0000;
    const WRITE_TO_PRESENT: u32 = 3;
    const BY_USER: u32 = 4;
    let address = Cr2::read_raw();
    let window = guest.domain().window(guest.vcpu.number);
    // The processor reads descriptors as ring 0, whoever uses a selector.
    let reads_descriptor = error & BY_USER == 0;
    if reads_descriptor && (window..window + (32 << 12)).contains(&address) {
        // A selector beyond what the guest set: as if the entry were empty.
        return guest.raise_protection((address - window) as u32 & 0xfffc);
    }
    let is_write = error & WRITE_TO_PRESENT == WRITE_TO_PRESENT && guest.is_in_kernel();
    if is_write
        && !HYPERVISOR.contains(&address)
        && (writes::exchange(guest, address).is_some() || writes::emulate(guest, address))
    {
        return;
    }
    guest.raise_page_fault(address, error);
}

/// A privileged instruction, an `int` through a gate of the guest, or the guest's own fault.
fn protection(guest: &mut Guest<'_>, error: u32) {
    const EXTERNAL: u32 = 1;
    const IN_IDT: u32 = 2;
    if error & (EXTERNAL | IN_IDT) == IN_IDT {
        // The instruction says it, too, and the same on every processor and emulator.
        let vector = match code(guest) {
            ([0xcd, vector, ..], 2..) => vector,
            _ => (error >> 3) as u8,
        };
        let trap = guest.own.traps[usize::from(vector)];
        let ring = if guest.is_in_kernel() { 1 } else { 3 };
        if trap.address != 0 && trap.flags & 3 >= ring {
            guest.registers().rip += 2;
            return guest.raise(vector, None);
        }
    } else if error == 0 && emulate::privileged(guest) {
        return;
    }
    guest.raise_protection(error);
}
