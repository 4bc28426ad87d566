//! From the root pointer to the tables (ACPI Specification 6.5, sections 5.2.5, 5.2.7, 5.2.8).

use super::AcpiError;
use super::table::{HEADER, Signature, Table, adds_up, signature};
use crate::bytes::{u8_at, u16_at, u32_at, u64_at};
use crate::multiboot::Memory;

/// The BIOS keeps the segment of its extended data area here.
const EBDA_SEGMENT: u64 = 0x40e;
/// The BIOS area that the pointer may be in.
const BIOS_AREA: core::ops::Range<u64> = 0xe_0000..0x10_0000;
/// Size of the pointer in ACPI 1.0, which is all that its first checksum covers.
const FIRST_PART: usize = 20;
/// Size since ACPI 2.0.
const WHOLE: usize = 36;

/// The list of all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    table: Table,
    /// Size of an address in the list.
    width: usize,
}

/// The root pointer's addresses of the RSDT and, since ACPI 2.0, of the XSDT.
fn pointer(memory: &dyn Memory, address: u64) -> Option<(u64, Option<u64>)> {
    let first = memory.bytes(address, FIRST_PART)?;
    if !first.starts_with(b"RSD PTR ") || !adds_up(first) {
        return None;
    }
    let rsdt = u32_at(first, 16).into();
    let whole = if u8_at(first, 15) >= 2 { memory.bytes(address, WHOLE) } else { None };
    let xsdt = whole.filter(|whole| adds_up(whole)).map(|whole| u64_at(whole, 24));
    Some((rsdt, xsdt.filter(|address| *address != 0)))
}

/// The places where a root pointer may be, in the order of trust.
fn places(memory: &dyn Memory, hint: Option<u64>) -> impl Iterator<Item = u64> {
    let segment = u16_at(memory.bytes(EBDA_SEGMENT, 2).unwrap_or_default(), 0);
    let ebda = u64::from(segment) << 4;
    let ebda_end = if ebda == 0 { 0 } else { ebda + 1024 };
    hint.into_iter().chain((ebda..ebda_end).step_by(16)).chain(BIOS_AREA.step_by(16))
}

impl Root {
    /// Finds the tables; `hint` is where the loader left a copy of the root pointer.
    pub fn find(memory: &dyn Memory, hint: Option<u64>) -> Result<Self, AcpiError> {
        let found = places(memory, hint).find_map(|place| pointer(memory, place));
        let (rsdt, xsdt) = found.ok_or(AcpiError::NoRoot)?;
        // A broken XSDT is no reason to go without the RSDT, which lists the same tables.
        let long = xsdt.and_then(|address| Self::list(memory, address, Signature::XSDT, 8).ok());
        long.map_or_else(|| Self::list(memory, rsdt, Signature::RSDT, 4), Ok)
    }

    fn list(
        memory: &dyn Memory,
        address: u64,
        expected: Signature,
        width: usize,
    ) -> Result<Self, AcpiError> {
        let table = Table::read(memory, address)?;
        if table.signature() != expected {
            return Err(AcpiError::Missing(expected));
        }
        Ok(Self { table, width })
    }

    /// The addresses of all tables.
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        let width = self.width;
        let entries = self.table.bytes[HEADER..].chunks_exact(width);
        entries
            .map(move |entry| if width == 8 { u64_at(entry, 0) } else { u32_at(entry, 0).into() })
    }

    /// The first table with that signature.
    pub fn table(&self, memory: &dyn Memory, wanted: Signature) -> Result<Table, AcpiError> {
        let mut all = self.addresses();
        let address = all.find(|address| signature(memory, *address) == Some(wanted));
        Table::read(memory, address.ok_or(AcpiError::Missing(wanted))?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec::Vec;

    /// Memory from address 0 on.
    pub struct Ram(pub &'static [u8]);

    impl Memory for Ram {
        fn bytes(&self, address: u64, length: usize) -> Option<&'static [u8]> {
            let start = usize::try_from(address).ok()?;
            self.0.get(start..start.checked_add(length)?)
        }
    }

    /// A table with header and checksum around a body.
    pub fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = signature.to_vec();
        bytes.extend(((HEADER + body.len()) as u32).to_le_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        sum(&mut bytes, 9);
        bytes
    }

    fn sum(bytes: &mut [u8], at: usize) {
        bytes[at] = 0;
        bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    }

    fn root_pointer(revision: u8, rsdt: u32, xsdt: u64) -> Vec<u8> {
        let mut bytes = b"RSD PTR \0ESCALU".to_vec();
        bytes.push(revision);
        bytes.extend(rsdt.to_le_bytes());
        sum(&mut bytes, 8);
        bytes.extend(36u32.to_le_bytes());
        bytes.extend(xsdt.to_le_bytes());
        bytes.extend([0; 4]);
        sum(&mut bytes, 32);
        bytes
    }

    const MIB: usize = 1 << 20;

    fn machine(parts: &[(usize, Vec<u8>)]) -> Ram {
        let mut bytes = std::vec![0; MIB];
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        Ram(Box::leak(bytes.into_boxed_slice()))
    }

    fn lists(revision: u8) -> [(usize, Vec<u8>); 3] {
        let rsdt = [0x3000u32.to_le_bytes(), 0x4000u32.to_le_bytes()].concat();
        let xsdt = [0x4000u64.to_le_bytes(), 0x3000u64.to_le_bytes()].concat();
        [
            (0xf_5a10, root_pointer(revision, 0x1000, 0x2000)),
            (0x1000, table(b"RSDT", &rsdt)),
            (0x2000, table(b"XSDT", &xsdt)),
        ]
    }

    #[test]
    fn the_newer_list_is_preferred() {
        for (revision, first) in [(0, 0x3000), (2, 0x4000)] {
            let root = Root::find(&machine(&lists(revision)), None).unwrap();
            assert_eq!(root.addresses().next(), Some(first));
            assert_eq!(root.addresses().count(), 2);
        }
    }

    #[test]
    fn a_broken_list_is_left_for_the_other() {
        let mut parts = lists(2);
        parts[2].1[40] ^= 1;
        let root = Root::find(&machine(&parts), None).unwrap();
        assert_eq!(root.addresses().next(), Some(0x3000));
        parts[1].1[40] ^= 1;
        let broken = AcpiError::Checksum { signature: Signature::RSDT, address: 0x1000 };
        assert_eq!(Root::find(&machine(&parts), None), Err(broken));
    }

    #[test]
    fn the_pointer_is_found_in_its_three_places() {
        let [(_, pointer), rsdt, xsdt] = lists(2);
        let with = |at, extra: (usize, Vec<u8>)| {
            machine(&[(at, pointer.clone()), rsdt.clone(), xsdt.clone(), extra])
        };
        let segment = (0x40e, 0x9fc0u16.to_le_bytes().to_vec());
        assert!(Root::find(&with(0x9_fc20, segment.clone()), None).is_ok());
        assert!(Root::find(&with(0xf_fff0 - 32, (0, Vec::new())), None).is_ok());
        assert!(Root::find(&with(0x5008, (0, Vec::new())), Some(0x5008)).is_ok());
        // Behind the first KiB of the EBDA, and not on a boundary of 16 bytes.
        assert_eq!(Root::find(&with(0x9_fc20 + 1024, segment), None), Err(AcpiError::NoRoot));
        assert_eq!(Root::find(&with(0xf_0008, (0, Vec::new())), None), Err(AcpiError::NoRoot));
    }

    #[test]
    fn tables_are_found_by_signature() {
        let mut parts = lists(2).to_vec();
        parts.push((0x3000, table(b"HPET", &[7; 20])));
        let memory = machine(&parts);
        let root = Root::find(&memory, None).unwrap();
        assert_eq!(root.table(&memory, Signature::HPET).unwrap().body(), [7; 20]);
        let missing = Err(AcpiError::Missing(Signature::MCFG));
        assert_eq!(root.table(&memory, Signature::MCFG), missing);
    }

    #[test]
    fn lengths_are_not_believed() {
        for length in [0u32, 35, 2 << 20, u32::MAX] {
            let mut bytes = table(b"HPET", &[]);
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            let found = Table::read(&machine(&[(0x1000, bytes)]), 0x1000);
            let signature = Signature::HPET;
            assert_eq!(found, Err(AcpiError::Length { signature, address: 0x1000, length }));
        }
        assert!(Table::read(&machine(&[]), u64::MAX - 3).is_err());
    }

    proptest! {
        /// One wrong bit anywhere in a table is noticed.
        #[test]
        fn every_bit_counts(body in proptest::collection::vec(any::<u8>(), 0..64), at: usize) {
            let mut bytes = table(b"FACP", &body);
            let at = at % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert!(Table::read(&machine(&[(0x1000, bytes)]), 0x1000).is_err());
        }
    }
}
