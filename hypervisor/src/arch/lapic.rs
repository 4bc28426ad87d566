//! This processor's local APIC: by x2APIC's registers where the processor has them, else in memory.
//!
//! All destinations are physical APIC numbers.

use core::arch::x86_64::__cpuid;

use hypervisor::apic::{self, Message, Register};
use hypervisor::vectors::{ERROR, SPURIOUS};
use spin::Once;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::registers::model_specific::Msr;

use super::mmio::Mmio;
use super::platform::firmware;

/// IA32_APIC_BASE (Intel SDM, volume 4).
const APIC_BASE: u32 = 0x1b;
/// Of it: the APIC is on; x2APIC mode is on.
const GLOBAL_ENABLE: u64 = 1 << 11;
const X2APIC_ENABLE: u64 = 1 << 10;
/// CPUID leaf 1, ECX: there is an x2APIC.
const HAS_X2APIC: u32 = 1 << 21;
/// How often the command register is looked at before a message is taken for sent.
const PATIENCE: u32 = 1_000_000;

/// How registers are reached, on all processors alike.
enum Access {
    Memory(Mmio),
    Msr,
}

static ACCESS: Once<Access> = Once::new();

fn access() -> &'static Access {
    ACCESS.call_once(|| {
        if __cpuid(1).ecx & HAS_X2APIC != 0 {
            return Access::Msr;
        }
        let address = firmware().madt.local_apic;
        // SAFETY: firmware says that the local APIC is there; it never writes to memory.
        let registers = unsafe { Mmio::new(address, 0x400) };
        let unreachable = || panic!("the local APIC at {address:#x} is out of reach");
        Access::Memory(registers.unwrap_or_else(unreachable))
    })
}

/// A register of which there are eight in a row is read with its index.
fn read_nth(register: Register, index: usize) -> u32 {
    match access() {
        Access::Memory(registers) => registers.read(register as u64 + 16 * index as u64),
        // SAFETY: reading a local APIC's register has no effect on memory.
        Access::Msr => unsafe { Msr::new(register.msr() + index as u32).read() as u32 },
    }
}

fn read(register: Register) -> u32 {
    read_nth(register, 0)
}

fn write(register: Register, value: u32) {
    match access() {
        Access::Memory(registers) => registers.write(register as u64, value),
        // SAFETY: callers write values that the manual defines for that register.
        Access::Msr => unsafe { Msr::new(register.msr()).write(value.into()) },
    }
}

/// Turns this processor's local APIC on, with all of its own sources but NMIs masked.
pub fn init() {
    let wanted = match access() {
        Access::Memory(_) => GLOBAL_ENABLE,
        Access::Msr => GLOBAL_ENABLE | X2APIC_ENABLE,
    };
    let mut base = Msr::new(APIC_BASE);
    // SAFETY: turning the APIC on has no effect on memory; the address stays.
    unsafe {
        let old = base.read();
        // From off to x2APIC there is a step between (Intel SDM, volume 3, section 11.12.5).
        base.write(old | GLOBAL_ENABLE);
        base.write(old | wanted);
    }
    let (nmi_pin, line) = firmware().madt.nmi_pin.unwrap_or((1, Default::default()));
    let nmi = apic::NMI | if line.is_low { apic::LOW } else { 0 };
    for (number, pin) in [(0, Register::Pin0), (1, Register::Pin1)] {
        write(pin, if number == nmi_pin { nmi } else { apic::MASKED });
    }
    write(Register::Timer, apic::MASKED);
    for source in apic::optional_sources(read(Register::Version)) {
        write(source, apic::MASKED);
    }
    write(Register::Error, ERROR.into());
    write(Register::TaskPriority, 0);
    write(Register::Spurious, apic::ENABLED | u32::from(SPURIOUS));
    write(Register::ErrorStatus, 0);
    // An interrupt that the loader left unfinished would hold back all below.
    for _ in 0..256 {
        if (0..8).all(|index| read_nth(Register::InService, index) == 0) {
            break;
        }
        end_of_interrupt();
    }
}

/// This processor's number, by which messages reach it.
pub fn id() -> u32 {
    match access() {
        Access::Memory(_) => read(Register::Id) >> 24,
        Access::Msr => read(Register::Id),
    }
}

/// Whether registers are reached as x2APIC's.
pub fn is_x2apic() -> bool {
    matches!(access(), Access::Msr)
}

/// The interrupt in service has been taken care of.
pub fn end_of_interrupt() {
    write(Register::EndOfInterrupt, 0);
}

/// What went wrong since it was last asked for (Intel SDM, volume 3, section 11.5.3).
pub fn errors() -> u32 {
    write(Register::ErrorStatus, 0);
    read(Register::ErrorStatus)
}

/// Sends a message to the processor with that local APIC.
///
/// # Safety
/// Whoever is started or stopped is known not to be in the middle of anything: [`Message::Init`]
/// and [`Message::Start`] are for bringing processors up.
pub unsafe fn send_any(to: u32, message: Message) {
    let command = message.command();
    without_interrupts(|| match access() {
        Access::Memory(registers) => {
            wait_until_sent(registers);
            registers.write(Register::CommandHigh as u64, to << 24);
            registers.write(Register::CommandLow as u64, command);
            wait_until_sent(registers);
        }
        // SAFETY: the caller's promise. The fence has memory written before seen by the other
        // processor: writes to x2APIC's registers don't wait for it (section 11.12.3).
        Access::Msr => unsafe {
            core::arch::x86_64::_mm_mfence();
            core::arch::x86_64::_mm_lfence();
            let number = Register::CommandLow.msr();
            Msr::new(number).write(u64::from(to) << 32 | u64::from(command));
        },
    });
}

/// Interrupts the processor with that local APIC.
pub fn interrupt(to: u32, vector: u8) {
    // SAFETY: an interrupt is taken where nothing is half done.
    unsafe { send_any(to, Message::Interrupt(vector)) }
}

/// Stops the processor with that local APIC for good, whatever it does.
pub fn stop(to: u32) {
    // SAFETY: the handler does nothing but stand still.
    unsafe { send_any(to, Message::Nmi) }
}

fn wait_until_sent(registers: &Mmio) {
    for _ in 0..PATIENCE {
        if registers.read(Register::CommandLow as u64) & apic::PENDING == 0 {
            break;
        }
        core::hint::spin_loop();
    }
}

/// Sets the timer's entry of the local vector table.
pub fn set_timer_entry(entry: u32) {
    write(Register::TimerDivider, apic::DIVIDE_BY_1);
    write(Register::Timer, entry);
}

/// Has the timer count down from there; 0 stops it.
pub fn start_timer(ticks: u32) {
    write(Register::TimerStart, ticks);
}

/// What the timer has left to count.
pub fn timer_left() -> u32 {
    read(Register::TimerNow)
}
