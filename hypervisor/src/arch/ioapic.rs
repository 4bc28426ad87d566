//! The machine's I/O APICs: global system interrupts are routed to processors here.

use hypervisor::acpi::madt::{Line, MAX_IO_APICS};
use hypervisor::ioapic::{Entry, IoApic, Refused, Registers};
use spin::Once;
use x86_64::instructions::interrupts::without_interrupts;

use super::mmio::Mmio;
use super::platform::firmware;
use crate::lock::Mutex;
use crate::note;

/// The index is written here, the register's contents are there.
const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;

impl Registers for Mmio {
    fn read(&mut self, index: u32) -> u32 {
        Mmio::write(self, SELECT, index);
        Mmio::read(self, WINDOW)
    }

    fn write(&mut self, index: u32, value: u32) {
        Mmio::write(self, SELECT, index);
        Mmio::write(self, WINDOW, value);
    }
}

/// In the order of firmware's table; the lock is never held while interrupts may come.
static ALL: [Once<Mutex<IoApic<Mmio>>>; MAX_IO_APICS] = [const { Once::new() }; MAX_IO_APICS];

/// Takes over all I/O APICs and silences them; called once.
pub fn init() {
    for (place, found) in ALL.iter().zip(firmware().madt.io_apics()) {
        let address = u64::from(found.address);
        // SAFETY: firmware says that an I/O APIC is there; it never writes to memory.
        let Some(registers) = (unsafe { Mmio::new(address, 0x20) }) else {
            note!(Error, "The I/O APIC at {address:#x} is out of reach and not used");
            continue;
        };
        let io_apic = IoApic::new(registers, address, found.first_gsi);
        let (first, last) = (io_apic.first_gsi, io_apic.first_gsi + io_apic.pins - 1);
        note!(Info, "I/O APIC at {address:#x}: GSIs {first} to {last}");
        place.call_once(|| Mutex::new(io_apic));
    }
}

fn all() -> impl Iterator<Item = &'static Mutex<IoApic<Mmio>>> {
    ALL.iter().filter_map(Once::get)
}

/// Does something with an interrupt's pin.
fn with_pin<T>(gsi: u32, act: impl Fn(&mut IoApic<Mmio>, u32) -> T) -> Result<T, Refused> {
    let found = without_interrupts(|| {
        all().find_map(|io_apic| {
            let mut io_apic = io_apic.lock();
            let pin = io_apic.pin(gsi)?;
            Some(act(&mut io_apic, pin))
        })
    });
    found.ok_or(Refused::NoPin(gsi))
}

/// Does something with the I/O APIC that domain 0 names.
fn with_address<T>(
    address: u64,
    act: impl FnOnce(&mut IoApic<Mmio>) -> Result<T, Refused>,
) -> Result<T, Refused> {
    without_interrupts(|| {
        let mut locked = all().map(Mutex::lock);
        let mut found = locked.find(|io_apic| io_apic.address == address);
        act(found.as_mut().ok_or(Refused::NoIoApic(address))?)
    })
}

/// The number behind the last global system interrupt.
pub fn end() -> u32 {
    let ends = all().map(|io_apic| {
        let io_apic = io_apic.lock();
        io_apic.first_gsi + io_apic.pins
    });
    without_interrupts(|| ends.max().unwrap_or(0))
}

/// Has an interrupt go to a processor; its pin is masked until [`set_mask`].
pub fn route(gsi: u32, vector: u8, apic_id: u8, line: Line) -> Result<(), Refused> {
    with_pin(gsi, |io_apic, pin| io_apic.set(pin, Entry::new(vector, apic_id, line)))
}

/// Has an interrupt go nowhere.
pub fn silence(gsi: u32) -> Result<(), Refused> {
    with_pin(gsi, |io_apic, pin| io_apic.set(pin, Entry::SILENT))
}

/// Masks an interrupt, or has it come again.
pub fn set_mask(gsi: u32, is_masked: bool) -> Result<(), Refused> {
    with_pin(gsi, |io_apic, pin| io_apic.set_mask(pin, is_masked))
}

/// How a global system interrupt is read as long as domain 0 doesn't say: as ISA's where it is
/// one, else as PCI's, which are low levels.
pub fn default_line(gsi: u32) -> Line {
    firmware().madt.isa_line(gsi).unwrap_or(Line { is_low: true, is_level: true })
}

/// Reads a register for domain 0 (`PHYSDEVOP_apic_read`).
pub fn read_for_domain(address: u64, register: u32) -> Result<u32, Refused> {
    with_address(address, |io_apic| io_apic.read_for_domain(register))
}

/// Writes a register for domain 0 (`PHYSDEVOP_apic_write`).
pub fn write_for_domain(address: u64, register: u32, value: u32) -> Result<(), Refused> {
    with_address(address, |io_apic| io_apic.write_for_domain(register, value))
}
