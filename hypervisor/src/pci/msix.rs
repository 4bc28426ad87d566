//! Interrupts as messages from a table in the device's memory (PCI Local Bus Specification 3.0,
//! section 6.8.2).

use super::msi::Message;
use super::{Address, Config, PciError, capability};

/// The capability's number.
const NUMBER: u8 = 0x11;
/// Of the capability's first word, whose upper half is the control register.
const ENABLED: u32 = 1 << 31;
const ALL_MASKED: u32 = 1 << 30;
/// Bytes of an entry; its words are address (2), data, control.
const ENTRY: u64 = 16;
const MASKED: u32 = 1;

/// The table's words in memory.
pub trait Words {
    /// Reads 4 bytes.
    fn read(&self, offset: u64) -> u32;
    /// Writes 4 bytes.
    fn write(&self, offset: u64, value: u32);
}

/// A device's capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MsiX {
    device: Address,
    offset: u16,
    /// How many entries the table has.
    pub count: u16,
    /// The physical address of the table.
    pub table: u64,
}

impl MsiX {
    /// Finds the capability and the table. The device has to answer in memory.
    pub fn find(config: &dyn Config, device: Address) -> Result<Self, PciError> {
        let missing = || match config.is_present(device) {
            true => PciError::NoCapability(device, "MSI-X"),
            false => PciError::NoDevice(device),
        };
        let offset = capability::find(config, device, NUMBER).ok_or_else(missing)?;
        let place = config.read(device, offset + 4);
        let base = capability::memory_base(config, device, (place & 7) as u8);
        let is_on = capability::is_memory_on(config, device);
        let no_table = PciError::NoTable { device, address: base.unwrap_or(0) };
        let base = base.filter(|_| is_on).ok_or(no_table)?;
        let table = base.checked_add(u64::from(place & !7)).ok_or(no_table)?;
        let count = (config.read(device, offset) >> 16 & 0x7ff) as u16 + 1;
        Ok(Self { device, offset, count, table })
    }

    /// Bytes of the table.
    pub fn size(&self) -> u64 {
        ENTRY * u64::from(self.count)
    }

    fn entry(&self, entry: u16) -> Result<u64, PciError> {
        let error = PciError::NoEntry { device: self.device, entry, count: self.count };
        if entry < self.count { Ok(ENTRY * u64::from(entry)) } else { Err(error) }
    }

    /// Has an interrupt sent as this message; it is masked until [`MsiX::set_mask`]. The table
    /// only answers while messages are sent, so they are for a moment, all masked.
    pub fn set(
        &self,
        config: &dyn Config,
        table: &dyn Words,
        entry: u16,
        message: Message,
    ) -> Result<(), PciError> {
        let at = self.entry(entry)?;
        self.while_on(config, || {
            table.write(at + 12, table.read(at + 12) | MASKED);
            table.write(at, message.address as u32);
            table.write(at + 4, (message.address >> 32) as u32);
            table.write(at + 8, message.data);
        });
        Ok(())
    }

    /// Masks an interrupt, or has it sent again.
    pub fn set_mask(
        &self,
        config: &dyn Config,
        table: &dyn Words,
        entry: u16,
        is_masked: bool,
    ) -> Result<(), PciError> {
        let at = self.entry(entry)? + 12;
        self.while_on(config, || {
            table.write(at, table.read(at) & !MASKED | u32::from(is_masked));
        });
        Ok(())
    }

    /// Has the device send messages, or none.
    pub fn enable(&self, config: &dyn Config, is_enabled: bool) {
        let head = config.read(self.device, self.offset) & !(ENABLED | ALL_MASKED);
        let enabled = if is_enabled { ENABLED } else { 0 };
        config.write(self.device, self.offset, head | enabled);
    }

    fn while_on(&self, config: &dyn Config, act: impl FnOnce()) {
        let head = config.read(self.device, self.offset);
        if head & ENABLED != 0 {
            return act();
        }
        config.write(self.device, self.offset, head | ENABLED | ALL_MASKED);
        act();
        config.write(self.device, self.offset, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::tests::{DEVICE, Fake};
    use std::cell::RefCell;
    use std::vec::Vec;

    /// A table that can only be reached while its device sends messages.
    struct Table<'a> {
        device: &'a Fake,
        words: RefCell<[u32; 16]>,
        /// Messages that could be sent at some moment.
        live: RefCell<Vec<[u32; 3]>>,
    }

    impl Words for Table<'_> {
        fn read(&self, offset: u64) -> u32 {
            assert_ne!(self.device.read(DEVICE, 0x60) & ENABLED, 0);
            self.words.borrow()[offset as usize / 4]
        }

        fn write(&self, offset: u64, value: u32) {
            let is_masked = self.device.read(DEVICE, 0x60) & ALL_MASKED != 0;
            let mut words = self.words.borrow_mut();
            words[offset as usize / 4] = value;
            let entry = &words[offset as usize / 16 * 4..][..4];
            if entry[3] & MASKED == 0 && !is_masked {
                self.live.borrow_mut().push([entry[0], entry[1], entry[2]]);
            }
        }
    }

    /// A device with 4 interrupts whose table is in its second base, 0x800 bytes from the start.
    fn device() -> Fake {
        let mut bytes = [0; 256];
        (bytes[4], bytes[6], bytes[0x34], bytes[0x60]) = (2, 0x10, 0x60, 0x11);
        bytes[0x62] = 3;
        bytes[0x64..0x68].copy_from_slice(&0x801_u32.to_le_bytes());
        bytes[0x14..0x18].copy_from_slice(&0xfebf_0000_u32.to_le_bytes());
        Fake(RefCell::new(bytes))
    }

    fn table(device: &Fake) -> Table<'_> {
        let mut words = [0xeeee_eeee; 16];
        // As after a reset.
        (3..16).step_by(4).for_each(|control| words[control] = MASKED);
        Table { device, words: RefCell::new(words), live: RefCell::default() }
    }

    #[test]
    fn the_table_is_found() {
        let config = device();
        let msix = MsiX::find(&config, DEVICE).unwrap();
        assert_eq!((msix.count, msix.table, msix.size()), (4, 0xfebf_0800, 64));
        let no_table = Err(PciError::NoTable { device: DEVICE, address: 0xfebf_0000 });
        config.0.borrow_mut()[4] = 0;
        assert_eq!(MsiX::find(&config, DEVICE), no_table);
        let nowhere = Address { bus: 7, ..DEVICE };
        assert_eq!(MsiX::find(&config, nowhere), Err(PciError::NoDevice(nowhere)));
    }

    #[test]
    fn half_a_message_is_never_sent() {
        let config = device();
        let table = table(&config);
        let msix = MsiX::find(&config, DEVICE).unwrap();
        let messages = [0x61, 0x72].map(|vector| Message::new(vector, 5).unwrap());
        msix.set(&config, &table, 2, messages[0]).unwrap();
        // What was off is off again.
        assert_eq!(config.read(DEVICE, 0x60) & (ENABLED | ALL_MASKED), 0);
        msix.enable(&config, true);
        msix.set_mask(&config, &table, 2, false).unwrap();
        msix.set(&config, &table, 2, messages[1]).unwrap();
        msix.set_mask(&config, &table, 2, false).unwrap();
        let expected = [[0xfee0_5000, 0, 0x61], [0xfee0_5000, 0, 0x72]];
        assert_eq!(*table.live.borrow(), expected);
        msix.set_mask(&config, &table, 2, true).unwrap();
        assert_eq!(table.words.borrow()[11], MASKED);
    }

    #[test]
    fn entries_have_a_limit() {
        let config = device();
        let table = table(&config);
        let msix = MsiX::find(&config, DEVICE).unwrap();
        let error = Err(PciError::NoEntry { device: DEVICE, entry: 4, count: 4 });
        assert_eq!(msix.set_mask(&config, &table, 4, true), error);
        assert_eq!(msix.set(&config, &table, 4, Message::new(0x61, 0).unwrap()), error);
    }
}
