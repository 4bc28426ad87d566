//! The list of a device's capabilities (PCI Local Bus Specification 3.0, section 6.7).

use super::{Address, Config};

/// Of the word with command and status: there is a list.
const HAS_LIST: u32 = 1 << 20;
const COMMAND: u16 = 0x04;
/// Of the command: the device answers in memory.
const MEMORY_ON: u32 = 1 << 1;
const HEADER: u16 = 0x0c;
/// Where the list's first offset is; bridges to CardBus have it elsewhere.
const FIRST: u16 = 0x34;
const FIRST_OF_CARDBUS: u16 = 0x14;
/// Capabilities are behind the header, so that there can't be more.
const MOST: usize = 48;

/// Where a device's capability with that number is.
pub fn find(config: &dyn Config, device: Address, wanted: u8) -> Option<u16> {
    if !config.is_present(device) || config.read(device, COMMAND) & HAS_LIST == 0 {
        return None;
    }
    let kind = config.read(device, HEADER) >> 16 & 0x7f;
    let first = if kind == 2 { FIRST_OF_CARDBUS } else { FIRST };
    let mut offset = next(config.read(device, first));
    for _ in 0..MOST {
        let head = config.read(device, offset?);
        if head as u8 == wanted {
            return offset;
        }
        offset = next(head >> 8);
    }
    None
}

/// The offset in the lowest byte, if it can be one.
fn next(value: u32) -> Option<u16> {
    let offset = (value & 0xfc) as u16;
    (offset >= 0x40).then_some(offset)
}

/// Whether a device answers in memory.
pub fn is_memory_on(config: &dyn Config, device: Address) -> bool {
    config.read(device, COMMAND) & MEMORY_ON != 0
}

/// The physical address in one of a device's six base address registers (section 6.2.5.1).
pub fn memory_base(config: &dyn Config, device: Address, number: u8) -> Option<u64> {
    let is_bridge = config.read(device, HEADER) >> 16 & 0x7f != 0;
    let count = if is_bridge { 2 } else { 6 };
    let register = |number: u8| config.read(device, 0x10 + 4 * u16::from(number));
    if number >= count {
        return None;
    }
    let low = register(number);
    let high = match low >> 1 & 3 {
        2 if number + 1 < count => register(number + 1),
        2 => return None,
        _ => 0,
    };
    let address = u64::from(high) << 32 | u64::from(low & !0xf);
    (low & 1 == 0 && address != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::tests::{DEVICE, Fake};
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn device(parts: &[(usize, &[u8])]) -> Fake {
        let mut bytes = [0; 256];
        for (at, part) in parts {
            bytes[*at..*at + part.len()].copy_from_slice(part);
        }
        Fake(RefCell::new(bytes))
    }

    #[test]
    fn the_list_is_followed() {
        let parts: [(usize, &[u8]); 4] =
            [(6, &[0x10]), (0x34, &[0x43]), (0x40, &[1, 0x80]), (0x80, &[0x11, 0])];
        let config = device(&parts);
        assert_eq!(find(&config, DEVICE, 1), Some(0x40));
        assert_eq!(find(&config, DEVICE, 0x11), Some(0x80));
        assert_eq!(find(&config, DEVICE, 5), None);
        assert_eq!(find(&config, Address { bus: 9, ..DEVICE }, 1), None);
        // Without the status bit there is no list.
        assert_eq!(find(&device(&parts[1..]), DEVICE, 1), None);
    }

    #[test]
    fn a_list_without_end_ends() {
        let config = device(&[(6, &[0x10]), (0x34, &[0x40]), (0x40, &[1, 0x40])]);
        assert_eq!(find(&config, DEVICE, 5), None);
    }

    #[test]
    fn bases_have_32_or_64_bits() {
        let config = device(&[
            (0x10, &[0x00, 0x10, 0xbf, 0xfe]),
            (0x14, &[0x0c, 0, 0, 0x40, 0x80, 0, 0, 0]),
            (0x1c, &[0x01, 0xc0]),
            (0x24, &[0x04, 0, 0, 0x40]),
        ]);
        let base = |number| memory_base(&config, DEVICE, number);
        assert_eq!(base(0), Some(0xfebf_1000));
        assert_eq!(base(1), Some(0x80_4000_0000));
        // A port; a half of 64 bits; nothing; what no device has.
        assert_eq!((base(3), base(5), base(4), base(6)), (None, None, None, None));
    }

    proptest! {
        /// Whatever a device says, walking its list ends, and finds what is behind the header.
        #[test]
        fn devices_are_not_believed(bytes in proptest::array::uniform32(any::<u64>()), id: u8) {
            let mut all = [0; 256];
            for (place, value) in all.chunks_exact_mut(8).zip(bytes) {
                place.copy_from_slice(&value.to_le_bytes());
            }
            let config = Fake(RefCell::new(all));
            let found = find(&config, DEVICE, id);
            prop_assert!(found.is_none_or(|at| (0x40..0x100).contains(&at)));
            let _ = memory_base(&config, DEVICE, id);
        }
    }
}
