//! physdev_op: dom0's interrupts and devices (physdev.h).

use hypervisor::acpi::madt::Line;
use hypervisor::pci::Address;
use xen::abi::errno::{EINVAL, ENODEV, ENOSYS, EPERM, Errno};
use xen::abi::{DomId, plain_structs};

use super::Answer;
use crate::arch::pci::Interrupt;
use crate::arch::{ioapic, pci};
use crate::guest::memory;
use crate::pirqs::{self, Source};
use crate::vcpu::Guest;

plain_structs! {
    /// `struct physdev_apic`
    struct Apic { address: u64, register: u32, value: u32 }
    /// `struct physdev_map_pirq`
    struct Map {
        domain: DomId, pad: u16, kind: i32, index: i32, pirq: i32,
        bus: i32, devfn: i32, entry: i32, pad2: u32, table: u64,
    }
    /// `struct physdev_unmap_pirq`
    struct Unmap { domain: DomId, pad: u16, pirq: i32 }
    /// `struct physdev_setup_gsi`
    struct SetUp { gsi: i32, is_level: u8, is_low: u8, pad: u16 }
    /// `struct physdev_pci_device`, and the head of `physdev_pci_device_add`
    struct Device { segment: u16, bus: u8, devfn: u8 }
    /// `struct physdev_manage_pci`
    struct OldDevice { bus: u8, devfn: u8 }
    /// `struct physdev_irq_status_query`
    struct Status { pirq: u32, flags: u32 }
}

impl Device {
    fn address(self) -> Address {
        Address { segment: self.segment, bus: self.bus, devfn: self.devfn }
    }
}

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, command: u32, place: u64) -> Answer {
    const NEEDS_END: u32 = 1;
    // Which ports programs may use is decided at each access.
    if command == 6 {
        let iopl: u32 = memory::read(place)?;
        if iopl > 3 {
            return Err(EINVAL.into());
        }
        guest.own.iopl = u64::from(iopl) << 12;
        return Ok(0);
    }
    if command == 7 {
        return Ok(0);
    }
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    match command {
        5 => {
            let mut status: Status = memory::read(place)?;
            status.flags = if pirqs::needs_end(status.pirq)? { NEEDS_END } else { 0 };
            memory::write(place, &status)?;
        }
        8 => {
            let mut apic: Apic = memory::read(place)?;
            let value = ioapic::read_for_domain(apic.address, apic.register);
            apic.value = value.map_err(|_| EINVAL)?;
            memory::write(place, &apic)?;
        }
        9 => {
            let apic: Apic = memory::read(place)?;
            ioapic::write_for_domain(apic.address, apic.register, apic.value).map_err(|_| EPERM)?;
        }
        // Vectors are the hypervisor's own matter; dom0 is told the interrupt's number.
        10 => {
            let pirq: u32 = memory::read(place)?;
            pirqs::needs_end(pirq)?;
            memory::write(place + 4, &pirq)?;
        }
        12 => pirqs::handled(memory::read(place)?)?,
        13 => map(place)?,
        14 => {
            let unmap: Unmap = memory::read(place)?;
            pirqs::unmap(u32::try_from(unmap.pirq).map_err(|_| EINVAL)?)?;
        }
        15 | 20 => {
            let OldDevice { bus, devfn } = memory::read(place)?;
            pci::add(Address { segment: 0, bus, devfn }).map_err(|_| ENODEV)?;
        }
        16 => {
            let OldDevice { bus, devfn } = memory::read(place)?;
            pci::remove(Address { segment: 0, bus, devfn }).map_err(|_| ENODEV)?;
        }
        19 => {
            let OldDevice { bus, devfn } = memory::read(place)?;
            pirqs::restore(Address { segment: 0, bus, devfn })?;
        }
        21 => {
            let set: SetUp = memory::read(place)?;
            let gsi = u32::try_from(set.gsi).map_err(|_| EINVAL)?;
            pirqs::set_line(gsi, Line { is_low: set.is_low != 0, is_level: set.is_level != 0 })?;
        }
        23 => {
            memory::write(place + 4, &pirqs::free_number()?)?;
        }
        // Extended configuration is where firmware says; dom0 agrees.
        24 => (),
        25 => pci::add(memory::read::<Device>(place)?.address()).map_err(|_| ENODEV)?,
        26 => pci::remove(memory::read::<Device>(place)?.address()).map_err(|_| ENODEV)?,
        27 => pirqs::restore(memory::read::<Device>(place)?.address())?,
        // Tables of messages are looked up each time they are written.
        30 | 31 => (),
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

fn map(place: u64) -> Result<(), Errno> {
    const MSI: i32 = 0;
    const GSI: i32 = 1;
    const MSI_SEGMENT: i32 = 3;
    let mut map: Map = memory::read(place)?;
    let source = match map.kind {
        GSI => Source::Gsi(u32::try_from(map.index).map_err(|_| EINVAL)?),
        MSI | MSI_SEGMENT => {
            let segment = if map.kind == MSI { 0 } else { (map.bus >> 16) as u16 };
            let device = Address { segment, bus: map.bus as u8, devfn: map.devfn as u8 };
            let entry = u16::try_from(map.entry).map_err(|_| EINVAL)?;
            Source::Message(match map.table {
                0 => Interrupt::Msi(device),
                _ => Interrupt::MsiX(device, entry),
            })
        }
        _ => return Err(EINVAL),
    };
    let wanted = u32::try_from(map.pirq).ok();
    map.pirq = pirqs::map(source, wanted)? as i32;
    memory::write(place, &map)
}
