//! Resetting the machine and turning it off.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use hypervisor::acpi::fadt::Register;
use hypervisor::pci::{Address, Config};
use hypervisor::power::{Sleep, SleepError, to_write};
use x86_64::instructions::port::Port;

use super::mmio::Mmio;
use super::{cpu, lapic, pci, platform, processor};

/// The machine is ending: whoever gets an NMI stands still.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Whether the machine is ending.
pub fn is_ending() -> bool {
    IS_ENDING.load(Ordering::Acquire)
}

/// Has all other processors stand still for good, whatever they do. They don't act on requests to
/// forget translations any more.
pub fn stop_others() {
    if !IS_ENDING.swap(true, Ordering::AcqRel) {
        let own = processor::this().number;
        processor::all()
            .filter(|other| other.number != own)
            .for_each(|other| lapic::stop(other.apic_id()));
    }
}

/// How often nothing is done while the machine gets around to it.
const PATIENCE: u32 = 50_000_000;

fn wait() {
    (0..PATIENCE).for_each(|_| core::hint::spin_loop());
}

/// Resets by ACPI's register if there is one, then by the chipset's, by the keyboard controller,
/// and by a fault without a handler.
pub fn reset() -> ! {
    x86_64::instructions::interrupts::disable();
    stop_others();
    let fadt = platform::known_firmware().and_then(|firmware| firmware.fadt.as_ref());
    if let Some((register, value)) = fadt.and_then(|fadt| fadt.reset) {
        write_byte(register, value);
        wait();
    }
    // SAFETY: a write to the reset control register (Intel PCH, CF9h) or to the keyboard
    // controller ends everything that could be unsound.
    unsafe {
        let mut control = Port::<u8>::new(0xcf9);
        control.write(0x02);
        control.write(0x06);
        wait();
        Port::<u8>::new(0x64).write(0xfe);
        wait();
    }
    let no_table = [0u16; 5];
    // SAFETY: without a table the exception has no handler, nor has the double fault, so that the
    // processor shuts down and the chipset resets.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &raw const no_table) }
    cpu::halt()
}

/// Writes a byte to a register that ACPI describes (ACPI Specification 6.5, section 4.8.3.6).
fn write_byte(register: Register, value: u8) {
    match register {
        // SAFETY: firmware says that this resets the machine, which ends what could be unsound.
        Register::Port(port) => unsafe { Port::new(port).write(value) },
        Register::Memory(address) => {
            let shift = address % 4;
            // SAFETY: as above.
            if let Some(registers) = unsafe { Mmio::new(address - shift, 4) } {
                let old = registers.read(0) & !(0xff << (8 * shift));
                registers.write(0, old | u32::from(value) << (8 * shift));
            }
        }
        Register::Pci { device, function, offset } => {
            let device = Address { segment: 0, bus: 0, devfn: device << 3 | function };
            let shift = 8 * (offset % 4);
            let old = pci::Machine.read(device, offset & !3) & !(0xff << shift);
            pci::Machine.write(device, offset & !3, old | u32::from(value) << shift);
        }
    }
}

/// Turns the machine off with the values that domain 0 found; comes back only if that fails.
pub fn sleep(asked: Sleep) -> Result<(), SleepError> {
    let fadt = platform::firmware().fadt.as_ref();
    let port = |register: Option<Register>| match register {
        Some(Register::Port(port)) => Some(port),
        _ => None,
    };
    let pm1a = port(fadt.and_then(|fadt| fadt.pm1a_control));
    let pm1b = port(fadt.and_then(|fadt| fadt.pm1b_control));
    let (first, second) = to_write(asked, pm1a.is_some(), pm1b.is_some())?;
    for (port, value) in [(pm1a, Some(first)), (pm1b, second)] {
        if let (Some(port), Some(value)) = (port, value) {
            // SAFETY: the register turns the machine off, which ends what could be unsound.
            unsafe { Port::new(port).write(value) }
        }
    }
    wait();
    Err(SleepError::StillOn)
}
