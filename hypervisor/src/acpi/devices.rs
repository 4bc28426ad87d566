//! Two tables of one device each: the event timer, and PCI's configuration space in memory.

use super::fadt::Register;
use super::table::Table;
use crate::bytes::{u8_at, u16_at, u64_at};

/// The physical address of the event timer's registers (IA-PC HPET Specification 1.0a, section
/// 3.2.4).
pub fn hpet_address(table: &Table) -> Option<u64> {
    match Register::read(table.bytes, 40)? {
        Register::Memory(address) => Some(address),
        _ => None,
    }
}

/// Configuration space of some buses, 4 KiB a function (PCI Firmware Specification 3.2, section
/// 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ecam {
    /// Where bus 0 is, or would be.
    pub base: u64,
    /// The PCI segment.
    pub segment: u16,
    /// The first bus.
    pub first_bus: u8,
    /// The last bus.
    pub last_bus: u8,
}

/// Reads table `MCFG`; entries that can't be are left out.
pub fn ecams(table: &Table) -> impl Iterator<Item = Ecam> {
    let entries = table.bytes.get(44..).unwrap_or_default().chunks_exact(16);
    let areas = entries.map(|entry| Ecam {
        base: u64_at(entry, 0),
        segment: u16_at(entry, 8),
        first_bus: u8_at(entry, 10),
        last_bus: u8_at(entry, 11),
    });
    areas.filter(|area| {
        let end = area.base.checked_add((u64::from(area.last_bus) + 1) << 20);
        area.first_bus <= area.last_bus && area.base % (1 << 20) == 0 && end.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::root::tests::{Ram, table};
    use std::boxed::Box;
    use std::vec::Vec;

    fn read(signature: &[u8; 4], body: &[u8]) -> Table {
        Table::read(&Ram(Box::leak(table(signature, body).into_boxed_slice())), 0).unwrap()
    }

    #[test]
    fn the_timer_is_in_memory() {
        let mut body = [0; 20];
        body[8..16].copy_from_slice(&0xfed0_0000u64.to_le_bytes());
        assert_eq!(hpet_address(&read(b"HPET", &body)), Some(0xfed0_0000));
        body[4] = 1;
        assert_eq!(hpet_address(&read(b"HPET", &body)), None);
        assert_eq!(hpet_address(&read(b"HPET", &[])), None);
    }

    #[test]
    fn areas_that_cannot_be_are_left_out() {
        let entry = |base: u64, first: u8, last: u8| {
            [&base.to_le_bytes()[..], &[0, 0, first, last, 0, 0, 0, 0]].concat()
        };
        let parts = [entry(0xb000_0000, 0, 255), entry(0xc000_0000, 5, 4), entry(!0 << 20, 0, 9)];
        let body = [&[0; 8][..], &parts.concat()].concat();
        let found: Vec<_> = ecams(&read(b"MCFG", &body)).collect();
        let area = Ecam { base: 0xb000_0000, segment: 0, first_bus: 0, last_bus: 255 };
        assert_eq!(found, [area]);
    }
}
