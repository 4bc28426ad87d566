//! physdev_op: dom0's interrupts and devices (physdev.h).

use hypervisor::acpi::madt::Line;
use hypervisor::pci::Address;
use xen::abi::errno::{EINVAL, ENODEV, ENOSYS, EPERM, Errno};
use xen::abi::physdev as op;
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
    let command = u64::from(command);
    // Which ports programs may use is decided at each access.
    if command == op::SET_IOPL {
        let iopl: u32 = memory::read(place)?;
        if iopl > 3 {
            return Err(EINVAL.into());
        }
        guest.own.iopl = u64::from(iopl) << 12;
        return Ok(0);
    }
    if command == op::SET_IOBITMAP {
        return Ok(0);
    }
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    match command {
        op::IRQ_STATUS_QUERY => {
            let mut status: Status = memory::read(place)?;
            status.flags = if pirqs::needs_end(status.pirq)? { op::IRQSTAT_NEEDS_EOI } else { 0 };
            memory::write(place, &status)?;
        }
        op::APIC_READ => {
            let mut apic: Apic = memory::read(place)?;
            let value = ioapic::read_for_domain(apic.address, apic.register);
            apic.value = value.map_err(|_| EINVAL)?;
            memory::write(place, &apic)?;
        }
        op::APIC_WRITE => {
            let apic: Apic = memory::read(place)?;
            ioapic::write_for_domain(apic.address, apic.register, apic.value).map_err(|_| EPERM)?;
        }
        // Vectors are the hypervisor's own matter; dom0 is told the interrupt's number.
        op::ALLOC_IRQ_VECTOR => {
            let pirq: u32 = memory::read(place)?;
            pirqs::needs_end(pirq)?;
            memory::write(place + 4, &pirq)?;
        }
        op::EOI => pirqs::handled(memory::read(place)?)?,
        op::MAP_PIRQ => map(place)?,
        op::UNMAP_PIRQ => {
            let unmap: Unmap = memory::read(place)?;
            pirqs::unmap(u32::try_from(unmap.pirq).map_err(|_| EINVAL)?)?;
        }
        op::MANAGE_PCI_ADD | op::MANAGE_PCI_ADD_EXT => {
            let OldDevice { bus, devfn } = memory::read(place)?;
            pci::add(Address { segment: 0, bus, devfn }).map_err(|_| ENODEV)?;
        }
        op::MANAGE_PCI_REMOVE => {
            let OldDevice { bus, devfn } = memory::read(place)?;
            pci::remove(Address { segment: 0, bus, devfn }).map_err(|_| ENODEV)?;
        }
        op::RESTORE_MSI => {
            let OldDevice { bus, devfn } = memory::read(place)?;
            pirqs::restore(Address { segment: 0, bus, devfn })?;
        }
        op::SETUP_GSI => {
            let set: SetUp = memory::read(place)?;
            let gsi = u32::try_from(set.gsi).map_err(|_| EINVAL)?;
            pirqs::set_line(gsi, Line { is_low: set.is_low != 0, is_level: set.is_level != 0 })?;
        }
        op::GET_FREE_PIRQ => {
            memory::write(place + 4, &pirqs::free_number()?)?;
        }
        // Extended configuration is where firmware says; dom0 agrees.
        op::PCI_MMCFG_RESERVED => (),
        op::PCI_DEVICE_ADD => {
            pci::add(memory::read::<Device>(place)?.address()).map_err(|_| ENODEV)?
        }
        op::PCI_DEVICE_REMOVE => {
            pci::remove(memory::read::<Device>(place)?.address()).map_err(|_| ENODEV)?
        }
        op::RESTORE_MSI_EXT => pirqs::restore(memory::read::<Device>(place)?.address())?,
        // Tables of messages are looked up each time they are written.
        op::PREPARE_MSIX | op::RELEASE_MSIX => (),
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

fn map(place: u64) -> Result<(), Errno> {
    let mut map: Map = memory::read(place)?;
    let source = match map.kind {
        op::MAP_PIRQ_TYPE_GSI => Source::Gsi(u32::try_from(map.index).map_err(|_| EINVAL)?),
        op::MAP_PIRQ_TYPE_MSI | op::MAP_PIRQ_TYPE_MSI_SEG => {
            let segment =
                if map.kind == op::MAP_PIRQ_TYPE_MSI { 0 } else { (map.bus >> 16) as u16 };
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
