//! Traps while the hypervisor itself runs, and those on stacks of their own.

use x86_64::registers::control::Cr2;

use super::entry::Registers;
use super::{copy, cpu, gates, power, processor};

/// The names of the processor's exceptions.
pub const NAMES: [&str; 22] = [
    "divide error",
    "debug",
    "nmi",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment",
    "invalid tss",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "spurious",
    "x87 error",
    "alignment check",
    "machine check",
    "simd error",
    "virtualization",
    "control protection",
];

const DEBUG: u32 = 1;
const NMI: u32 = 2;
const SINGLE_STEP: u64 = 1 << 8;

/// A trap in the hypervisor: a guest's pointer that leads nowhere, an interrupt while waiting, or
/// the end.
pub extern "C" fn trap(registers: &mut Registers) {
    if registers.vector >= 32 {
        return crate::interrupts::take(registers.vector as u8);
    }
    match copy::way_out(registers.rip) {
        Some(way_out) => registers.rip = way_out,
        None => die(registers),
    }
}

/// A trap on a stack of its own. Gives a vcpu's registers if they are to go on as from a guest.
pub extern "C" fn exception(registers: &mut Registers) -> *mut Registers {
    if registers.vector == NMI && power::is_ending() {
        cpu::halt();
    }
    let own = processor::this().running();
    if registers.cs & 3 != 0 && matches!(registers.vector, 1 | 2) && !own.is_null() {
        // SAFETY: the vcpu runs on this processor, in ring 3 until just now, so that nobody else
        // uses what is its own.
        let place = unsafe { &mut (*own).frame.registers };
        *place = *registers;
        return place;
    }
    // `mov ss` puts a debug exception off until the hypervisor's first instruction: not for us.
    if registers.vector != DEBUG {
        die(registers);
    }
    // Nor are the guest's single steps, which `sysenter` doesn't turn off.
    if !gates::is_in_sysenter(registers.rip) {
        registers.rflags &= !SINGLE_STEP;
    }
    core::ptr::null_mut()
}

fn die(registers: &Registers) -> ! {
    let vector = registers.vector as usize;
    let name = NAMES.get(vector).copied().unwrap_or("interrupt");
    let address = Cr2::read_raw();
    let error = registers.error;
    crate::report::trapped(
        registers,
        format_args!("{name} (vector {vector}, error {error:x}, address {address:016x})"),
    )
}
