//! Interrupts that a device sends as messages (PCI Local Bus Specification 3.0, section 6.8.1).

use super::{Address, Config, PciError, capability};

/// The capability's number.
const NUMBER: u8 = 0x05;
/// Of the capability's first word, whose upper half is the control register.
const ENABLED: u32 = 1 << 16;
const ENABLED_COUNT: u32 = 7 << 20;
const IS_64_BIT: u32 = 1 << 23;
const HAS_MASK: u32 = 1 << 24;

/// What a device writes to interrupt (Intel SDM, volume 3, section 11.11): physical destination,
/// fixed, edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub address: u64,
    /// What.
    pub data: u32,
}

impl Message {
    /// A message that interrupts the processor with that local APIC.
    pub fn new(vector: u8, apic_id: u32) -> Result<Self, PciError> {
        let apic_id = u8::try_from(apic_id).map_err(|_| PciError::NoDestination(apic_id))?;
        Ok(Self { address: 0xfee0_0000 | u64::from(apic_id) << 12, data: vector.into() })
    }
}

/// A device's capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Msi {
    device: Address,
    offset: u16,
    is_64_bit: bool,
    has_mask: bool,
    /// How many interrupts the device can tell apart.
    pub count: u16,
}

impl Msi {
    /// Finds the capability.
    pub fn find(config: &dyn Config, device: Address) -> Result<Self, PciError> {
        let missing = || match config.is_present(device) {
            true => PciError::NoCapability(device, "MSI"),
            false => PciError::NoDevice(device),
        };
        let offset = capability::find(config, device, NUMBER).ok_or_else(missing)?;
        let head = config.read(device, offset);
        Ok(Self {
            device,
            offset,
            is_64_bit: head & IS_64_BIT != 0,
            has_mask: head & HAS_MASK != 0,
            // 6 and 7 are reserved.
            count: 1 << (head >> 17 & 7).min(5),
        })
    }

    /// Has the first interrupt sent as this message, and it alone. Whether messages are sent at
    /// all is [`Msi::enable`]'s, which domain 0 may have written itself.
    pub fn set(&self, config: &dyn Config, message: Message) {
        let (device, offset) = (self.device, self.offset);
        let head = config.read(device, offset) & !ENABLED_COUNT;
        // Half a message must not be sent.
        config.write(device, offset, head & !ENABLED);
        config.write(device, offset + 4, message.address as u32);
        if self.is_64_bit {
            config.write(device, offset + 8, (message.address >> 32) as u32);
        }
        // The two bytes behind the data are reserved.
        let place = offset + if self.is_64_bit { 12 } else { 8 };
        let behind = config.read(device, place) & 0xffff_0000;
        config.write(device, place, behind | message.data & 0xffff);
        config.write(device, offset, head);
    }

    /// Has the device send messages, or none.
    pub fn enable(&self, config: &dyn Config, is_enabled: bool) {
        let head = config.read(self.device, self.offset);
        let head = if is_enabled { head | ENABLED } else { head & !ENABLED };
        config.write(self.device, self.offset, head);
    }

    /// Masks an interrupt, or has it sent again. Whether the device can do that.
    pub fn set_mask(&self, config: &dyn Config, entry: u16, is_masked: bool) -> bool {
        if !self.has_mask || entry >= self.count {
            return false;
        }
        let place = self.offset + if self.is_64_bit { 16 } else { 12 };
        let old = config.read(self.device, place) & !(1 << entry);
        config.write(self.device, place, old | u32::from(is_masked) << entry);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::tests::{DEVICE, Fake};
    use std::cell::RefCell;

    /// A device whose capability is at 0x50, with that control register.
    fn device(control: u16) -> Fake {
        let mut bytes = [0; 256];
        (bytes[6], bytes[0x34], bytes[0x50]) = (0x10, 0x50, 5);
        bytes[0x52..0x54].copy_from_slice(&control.to_le_bytes());
        bytes[0x54..0x70].fill(0xee);
        Fake(RefCell::new(bytes))
    }

    #[test]
    fn short_and_long_messages_have_their_places() {
        let message = Message::new(0x61, 3).unwrap();
        assert_eq!(message, Message { address: 0xfee0_3000, data: 0x61 });
        for (control, words) in [
            (0x0000, [0xfee0_3000_u32, 0xeeee_0061, 0xeeee_eeee]),
            (0x0080, [0xfee0_3000, 0, 0xeeee_0061]),
        ] {
            let config = device(control);
            Msi::find(&config, DEVICE).unwrap().set(&config, message);
            let found = [4, 8, 12].map(|at| config.read(DEVICE, 0x50 + at));
            assert_eq!(found, words);
        }
    }

    #[test]
    fn only_the_first_interrupt_is_sent() {
        // Enabled, 8 of 32 interrupts, as firmware might leave it.
        let config = device(0x003b);
        let msi = Msi::find(&config, DEVICE).unwrap();
        assert_eq!(msi.count, 32);
        msi.set(&config, Message::new(0x61, 0).unwrap());
        assert_eq!(config.read(DEVICE, 0x50) >> 16, 0x000b);
        msi.enable(&config, false);
        assert_eq!(config.read(DEVICE, 0x50) >> 16, 0x000a);
    }

    #[test]
    fn masks_are_where_the_device_has_them() {
        assert!(!Msi::find(&device(0), DEVICE).unwrap().set_mask(&device(0), 0, true));
        for (control, place) in [(0x0104, 0x5c), (0x0184, 0x60)] {
            let config = device(control);
            let msi = Msi::find(&config, DEVICE).unwrap();
            assert!(msi.set_mask(&config, 0, true));
            assert_eq!(config.read(DEVICE, place), 0xeeee_eeef);
            assert!(msi.set_mask(&config, 1, false));
            assert_eq!(config.read(DEVICE, place), 0xeeee_eeed);
            assert!(!msi.set_mask(&config, 4, true));
        }
    }

    #[test]
    fn what_can_not_be_is_said() {
        let config = device(0);
        let nowhere = Address { bus: 7, ..DEVICE };
        assert_eq!(Msi::find(&config, nowhere), Err(PciError::NoDevice(nowhere)));
        config.0.borrow_mut()[0x50] = 9;
        let missing = Err(PciError::NoCapability(DEVICE, "MSI"));
        assert_eq!(Msi::find(&config, DEVICE), missing);
        assert_eq!(Message::new(0x61, 256), Err(PciError::NoDestination(256)));
    }
}
