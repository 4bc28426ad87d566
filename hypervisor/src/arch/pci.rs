//! PCI configuration space and the messages that devices interrupt with: through memory where
//! firmware has it there, else through the ports.

use hypervisor::acpi::devices::Ecam;
use hypervisor::acpi::firmware::MAX_ECAMS;
use hypervisor::pci::msi::{Message, Msi};
use hypervisor::pci::msix::{MsiX, Words};
use hypervisor::pci::{Address, Config, Devices, PciError};
use spin::Once;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::instructions::port::Port;

use super::mmio::Mmio;
use super::platform::{self, firmware};
use crate::lock::Mutex;
use crate::note;

/// The ports (PCI Local Bus Specification 3.0, section 3.2.2.3.2).
struct Ports {
    address: Port<u32>,
    data: Port<u32>,
}

static PORTS: Mutex<Ports> =
    Mutex::new(Ports { address: Port::new(0xcf8), data: Port::new(0xcfc) });
static AREAS: Once<[Option<(Ecam, Mmio)>; MAX_ECAMS]> = Once::new();
static DEVICES: Mutex<Devices> = Mutex::new(Devices::new());

/// The machine's configuration space.
pub struct Machine;

fn areas() -> &'static [Option<(Ecam, Mmio)>; MAX_ECAMS] {
    AREAS.call_once(|| {
        let mut areas = [None; MAX_ECAMS];
        let reachable = firmware().ecams().filter_map(|area| {
            let length = (u64::from(area.last_bus) + 1) << 20;
            // SAFETY: firmware says that configuration space is there; what domain 0 has devices
            // do is not for this to prevent.
            let registers = unsafe { Mmio::new(area.base, length) };
            Some((*area, registers?)).filter(|_| platform::is_device(area.base, length))
        });
        areas.iter_mut().zip(reachable).for_each(|(place, area)| *place = Some(area));
        areas
    })
}

/// The registers in memory for a device's bytes, if they are there.
fn in_memory(device: Address) -> Option<&'static Mmio> {
    let holds = |area: &Ecam| {
        area.segment == device.segment && (area.first_bus..=area.last_bus).contains(&device.bus)
    };
    areas().iter().flatten().find(|(area, _)| holds(area)).map(|(_, registers)| registers)
}

/// Does something with the data port while the address port has that value.
fn with_ports<T>(value: u32, act: impl FnOnce(&mut Port<u32>) -> T) -> T {
    without_interrupts(|| {
        let mut ports = PORTS.lock();
        // SAFETY: the address port only says what the data port is for; domain 0's accesses set it
        // again each time.
        unsafe { ports.address.write(value) };
        act(&mut ports.data)
    })
}

impl Config for Machine {
    fn read(&self, device: Address, offset: u16) -> u32 {
        if let Some(registers) = in_memory(device).filter(|_| offset < Address::SIZE) {
            return registers.read(device.memory_offset() + u64::from(offset & !3));
        }
        let Some(value) = device.port_value(offset) else { return !0 };
        // SAFETY: reading configuration has no effect on memory.
        with_ports(value, |data| unsafe { data.read() })
    }

    fn write(&self, device: Address, offset: u16, value: u32) {
        if let Some(registers) = in_memory(device).filter(|_| offset < Address::SIZE) {
            return registers.write(device.memory_offset() + u64::from(offset & !3), value);
        }
        if let Some(address) = device.port_value(offset) {
            // SAFETY: callers write what they know to be a register of the device.
            with_ports(address, |data| unsafe { data.write(value) });
        }
    }
}

/// Reads or writes configuration for domain 0, which wrote `address` to port 0xcf8 and accesses
/// 1, 2 or 4 bytes at `offset` of port 0xcfc: its two steps are one here, so that it need not know
/// of the hypervisor's own accesses. Nothing is there as long as `address` isn't enabled.
pub fn read_for_domain(address: u32, offset: u16, size: u8) -> u32 {
    if address & 1 << 31 == 0 {
        return u32::MAX >> (32 - 8 * u32::from(size));
    }
    let port = 0xcfc + (offset & 3);
    with_ports(address, |_| {
        // SAFETY: domain 0 has the devices; reading configuration has no effect on memory.
        unsafe {
            match size {
                1 => Port::<u8>::new(port).read().into(),
                2 => Port::<u16>::new(port).read().into(),
                _ => Port::<u32>::new(port).read(),
            }
        }
    })
}

/// See [`read_for_domain`].
pub fn write_for_domain(address: u32, offset: u16, size: u8, value: u32) {
    if address & 1 << 31 == 0 {
        return;
    }
    let port = 0xcfc + (offset & 3);
    with_ports(address, |_| {
        // SAFETY: domain 0 has the devices, and what they do.
        unsafe {
            match size {
                1 => Port::<u8>::new(port).write(value as u8),
                2 => Port::<u16>::new(port).write(value as u16),
                _ => Port::<u32>::new(port).write(value),
            }
        }
    });
}

/// Says what answers on the first bus.
pub fn report() {
    for devfn in 0..=255 {
        let device = Address { segment: 0, bus: 0, devfn };
        if !Machine.is_present(device) {
            continue;
        }
        let id = Machine.read(device, 0);
        let msi = Msi::find(&Machine, device).map_or(0, |msi| msi.count);
        let msix = MsiX::find(&Machine, device).map_or(0, |msix| msix.count);
        note!(Info, "PCI {device} {:04x}:{:04x}, MSI {msi}, MSI-X {msix}", id & 0xffff, id >> 16);
    }
}

/// Notes that domain 0 found a device (`PHYSDEVOP_pci_device_add`); an error if it isn't there.
pub fn add(device: Address) -> Result<(), PciError> {
    let added = Machine.is_present(device) && without_interrupts(|| DEVICES.lock().add(device));
    if added { Ok(()) } else { Err(PciError::NoDevice(device)) }
}

/// Notes that a device is gone (`PHYSDEVOP_pci_device_remove`).
pub fn remove(device: Address) -> Result<(), PciError> {
    let removed = without_interrupts(|| DEVICES.lock().remove(device));
    if removed { Ok(()) } else { Err(PciError::NoDevice(device)) }
}

/// An interrupt that a device sends as a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The first one of the MSI capability.
    Msi(Address),
    /// One of the table of the MSI-X capability.
    MsiX(Address, u16),
}

impl Words for Mmio {
    fn read(&self, offset: u64) -> u32 {
        Mmio::read(self, offset)
    }

    fn write(&self, offset: u64, value: u32) {
        Mmio::write(self, offset, value);
    }
}

/// A device's table. The device's base address registers are domain 0's to write, so it is made
/// sure each time that no memory is there.
fn table(device: Address) -> Result<(MsiX, Mmio), PciError> {
    let msix = MsiX::find(&Machine, device)?;
    let error = PciError::NoTable { device, address: msix.table };
    if !platform::is_device(msix.table, msix.size()) {
        return Err(error);
    }
    // SAFETY: no memory is there but a device's.
    let words = unsafe { Mmio::new(msix.table, msix.size()) };
    Ok((msix, words.ok_or(error)?))
}

impl Interrupt {
    /// Who sends it.
    pub fn device(self) -> Address {
        match self {
            Self::Msi(device) | Self::MsiX(device, _) => device,
        }
    }

    /// Has it sent to a processor. A device that can mask it does, until [`Interrupt::set_mask`];
    /// domain 0 has messages sent at all.
    pub fn route(self, vector: u8, apic_id: u32) -> Result<(), PciError> {
        let message = Message::new(vector, apic_id)?;
        match self {
            Self::Msi(device) => {
                let msi = Msi::find(&Machine, device)?;
                msi.set_mask(&Machine, 0, true);
                msi.set(&Machine, message);
                Ok(())
            }
            Self::MsiX(device, entry) => {
                let (msix, words) = table(device)?;
                msix.set(&Machine, &words, entry, message)
            }
        }
    }

    /// Masks it, or has it sent again. A device that can't mask its one message goes on sending.
    pub fn set_mask(self, is_masked: bool) -> Result<(), PciError> {
        match self {
            Self::Msi(device) => {
                Msi::find(&Machine, device)?.set_mask(&Machine, 0, is_masked);
                Ok(())
            }
            Self::MsiX(device, entry) => {
                let (msix, words) = table(device)?;
                msix.set_mask(&Machine, &words, entry, is_masked)
            }
        }
    }

    /// Has the device send messages, or none (`PHYSDEVOP_restore_msi` after a reset).
    pub fn enable(self, is_enabled: bool) -> Result<(), PciError> {
        match self {
            Self::Msi(device) => Msi::find(&Machine, device)?.enable(&Machine, is_enabled),
            Self::MsiX(device, _) => table(device)?.0.enable(&Machine, is_enabled),
        }
        Ok(())
    }
}
