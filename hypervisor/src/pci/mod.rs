//! PCI devices: where their configuration is, what they can do, how they interrupt (PCI Local Bus
//! Specification 3.0, chapter 6).

pub mod capability;
pub mod msi;
pub mod msix;

use core::fmt;

use thiserror::Error;

/// A function of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Address {
    /// The segment.
    pub segment: u16,
    /// The bus.
    pub bus: u8,
    /// Device (5 bits) and function (3 bits).
    pub devfn: u8,
}

impl Address {
    /// Bytes of configuration that the ports reach.
    pub const PORTS_REACH: u16 = 256;
    /// Bytes of configuration that a PCI Express function has.
    pub const SIZE: u16 = 4096;

    /// What is written to port 0xcf8 to reach 4 bytes of configuration (section 3.2.2.3.2); `None`
    /// if they can't be reached that way.
    pub fn port_value(&self, offset: u16) -> Option<u32> {
        let reachable = self.segment == 0 && offset < Self::PORTS_REACH;
        let function = u32::from(self.bus) << 16 | u32::from(self.devfn) << 8;
        reachable.then_some(1 << 31 | function | u32::from(offset & 0xfc))
    }

    /// Where its configuration is from bus 0's on, in memory (PCI Express Base Specification,
    /// section 7.2.2).
    pub fn memory_offset(&self) -> u64 {
        u64::from(self.bus) << 20 | u64::from(self.devfn) << 12
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, bus, devfn } = self;
        write!(f, "{segment:04x}:{bus:02x}:{:02x}.{}", devfn >> 3, devfn & 7)
    }
}

/// Why a device can't be used as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PciError {
    /// Nothing answers there.
    #[error("there is no device {0}")]
    NoDevice(Address),
    /// It lacks a capability.
    #[error("device {0} has no {1} capability")]
    NoCapability(Address, &'static str),
    /// An interrupt beyond what it has.
    #[error("device {device} has no message interrupt {entry}: it has {count}")]
    NoEntry {
        /// The device.
        device: Address,
        /// The interrupt asked for.
        entry: u16,
        /// How many there are.
        count: u16,
    },
    /// Its MSI-X table is nowhere, or where it can't be reached.
    #[error("the MSI-X table of device {device} can't be reached at {address:#x}")]
    NoTable {
        /// The device.
        device: Address,
        /// The physical address.
        address: u64,
    },
    /// Messages have room for numbers of 8 bits.
    #[error("messages of devices don't reach local APIC {0}")]
    NoDestination(u32),
}

/// Configuration space, in units of 4 bytes. What isn't there reads as ones.
pub trait Config {
    /// Reads 4 bytes.
    fn read(&self, device: Address, offset: u16) -> u32;
    /// Writes 4 bytes.
    fn write(&self, device: Address, offset: u16, value: u32);

    /// Whether a device answers.
    fn is_present(&self, device: Address) -> bool {
        self.read(device, 0) & 0xffff != 0xffff
    }
}

/// Devices that domain 0 announced (`PHYSDEVOP_pci_device_add`): those of segment 0.
#[derive(Debug, Clone)]
pub struct Devices {
    known: [u64; 1024],
}

impl Default for Devices {
    fn default() -> Self {
        Self::new()
    }
}

impl Devices {
    /// None.
    pub const fn new() -> Self {
        Self { known: [0; 1024] }
    }

    fn place(device: Address) -> Option<(usize, u64)> {
        let number = usize::from(device.bus) << 8 | usize::from(device.devfn);
        (device.segment == 0).then_some((number / 64, 1 << (number % 64)))
    }

    /// Adds a device; whether it could be.
    pub fn add(&mut self, device: Address) -> bool {
        let place = Self::place(device);
        place.inspect(|(word, bit)| self.known[*word] |= bit).is_some()
    }

    /// Removes a device; whether it was there.
    pub fn remove(&mut self, device: Address) -> bool {
        let Some((word, bit)) = Self::place(device) else { return false };
        let was_known = self.known[word] & bit != 0;
        self.known[word] &= !bit;
        was_known
    }

    /// Whether a device was announced.
    pub fn is_known(&self, device: Address) -> bool {
        Self::place(device).is_some_and(|(word, bit)| self.known[word] & bit != 0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::string::ToString;

    /// One device's configuration, every byte of which can be written but the first four.
    pub struct Fake(pub RefCell<[u8; 256]>);

    /// Where the fake is.
    pub const DEVICE: Address = Address { segment: 0, bus: 1, devfn: 0x1a };

    impl Config for Fake {
        fn read(&self, device: Address, offset: u16) -> u32 {
            let bytes = self.0.borrow();
            let at = usize::from(offset);
            if device == DEVICE { crate::bytes::u32_at(&*bytes, at) } else { !0 }
        }

        fn write(&self, device: Address, offset: u16, value: u32) {
            assert_eq!(device, DEVICE);
            self.0.borrow_mut()[usize::from(offset)..][..4].copy_from_slice(&value.to_le_bytes());
        }
    }

    #[test]
    fn addresses_are_written_as_everybody_does() {
        assert_eq!(DEVICE.to_string(), "0000:01:03.2");
        assert_eq!(DEVICE.port_value(0x36), Some(0x8001_1a34));
        assert_eq!(DEVICE.port_value(256), None);
        assert_eq!(Address { segment: 1, ..DEVICE }.port_value(0), None);
        assert_eq!(DEVICE.memory_offset(), 0x11_a000);
    }

    #[test]
    fn nothing_answers_with_ones() {
        let config = Fake(RefCell::new([0; 256]));
        assert!(config.is_present(DEVICE));
        assert!(!config.is_present(Address { bus: 2, ..DEVICE }));
    }

    proptest! {
        /// Devices are a set.
        #[test]
        fn devices_are_a_set(
            steps in proptest::collection::vec((any::<bool>(), 0u16..2, 0u8..3, any::<u8>()), 0..99),
        ) {
            let (mut devices, mut model) = (Devices::new(), BTreeSet::new());
            for (adds, segment, bus, devfn) in steps {
                let device = Address { segment, bus, devfn };
                if adds {
                    prop_assert_eq!(devices.add(device), segment == 0);
                    if segment == 0 {
                        model.insert(device);
                    }
                } else {
                    prop_assert_eq!(devices.remove(device), model.remove(&device));
                }
                prop_assert_eq!(devices.is_known(device), model.contains(&device));
            }
        }
    }
}
