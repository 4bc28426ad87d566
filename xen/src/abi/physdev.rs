//! Interrupts and devices (physdev.h).

/// Whether an interrupt is to be ended by hand.
pub const IRQ_STATUS_QUERY: u64 = 5;
/// The kernel's right to use ports.
pub const SET_IOPL: u64 = 6;
/// The ports that a program may use.
pub const SET_IOBITMAP: u64 = 7;
/// Read an I/O APIC's register.
pub const APIC_READ: u64 = 8;
/// Write an I/O APIC's register.
pub const APIC_WRITE: u64 = 9;
/// A vector for an interrupt.
pub const ALLOC_IRQ_VECTOR: u64 = 10;
/// An interrupt was handled.
pub const EOI: u64 = 12;
/// A number for an interrupt.
pub const MAP_PIRQ: u64 = 13;
/// Let such a number go.
pub const UNMAP_PIRQ: u64 = 14;
/// A device of the first segment is there.
pub const MANAGE_PCI_ADD: u64 = 15;
/// A device of the first segment is gone.
pub const MANAGE_PCI_REMOVE: u64 = 16;
/// Write the messages of a device of the first segment again.
pub const RESTORE_MSI: u64 = 19;
/// As `MANAGE_PCI_ADD`, and what kind of function it is.
pub const MANAGE_PCI_ADD_EXT: u64 = 20;
/// How an interrupt line signals.
pub const SETUP_GSI: u64 = 21;
/// A number that no interrupt has.
pub const GET_FREE_PIRQ: u64 = 23;
/// Where devices' extended configuration is.
pub const PCI_MMCFG_RESERVED: u64 = 24;
/// A device is there.
pub const PCI_DEVICE_ADD: u64 = 25;
/// A device is gone.
pub const PCI_DEVICE_REMOVE: u64 = 26;
/// Write a device's messages again.
pub const RESTORE_MSI_EXT: u64 = 27;
/// Get ready for a device's table of messages.
pub const PREPARE_MSIX: u64 = 30;
/// Such a table is no longer used.
pub const RELEASE_MSIX: u64 = 31;

/// Messages of a device of the first segment.
pub const MAP_PIRQ_TYPE_MSI: i32 = 0;
/// A line.
pub const MAP_PIRQ_TYPE_GSI: i32 = 1;
/// Messages of a device of any segment.
pub const MAP_PIRQ_TYPE_MSI_SEG: i32 = 3;
/// It is to be ended by hand.
pub const IRQSTAT_NEEDS_EOI: u32 = 1 << 0;
