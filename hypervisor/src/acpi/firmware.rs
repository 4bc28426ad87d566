//! All that ACPI's tables say, read once at boot: domain 0 may write to the tables later.

use super::AcpiError;
use super::devices::{Ecam, ecams, hpet_address};
use super::fadt::Fadt;
use super::madt::Madt;
use super::root::Root;
use super::table::Signature;
use crate::multiboot::Memory;

/// The most areas of PCI configuration space that are kept; machines have one a segment.
pub const MAX_ECAMS: usize = 8;

/// What firmware says of the machine.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// Processors and interrupt controllers.
    pub madt: Madt,
    /// Fixed hardware, if there is a table.
    pub fadt: Option<Fadt>,
    /// The event timer's address, if there is one.
    pub hpet: Option<u64>,
    ecams: [Option<Ecam>; MAX_ECAMS],
}

impl Firmware {
    /// Reads the tables. Without interrupt controllers there is no going on; of other tables that
    /// are missing or broken, those are complained of that every machine has.
    pub fn read(
        memory: &dyn Memory,
        hint: Option<u64>,
        mut complain: impl FnMut(AcpiError),
    ) -> Result<Self, AcpiError> {
        let root = Root::find(memory, hint)?;
        let madt = Madt::read(&root.table(memory, Signature::MADT)?)?;
        let mut table = |signature, is_optional| match root.table(memory, signature) {
            Err(AcpiError::Missing(_)) if is_optional => None,
            found => found.map_err(&mut complain).ok(),
        };
        let fadt = table(Signature::FADT, false).map(|table| Fadt::read(&table));
        let hpet = table(Signature::HPET, true).and_then(|table| hpet_address(&table));
        let mut areas = [None; MAX_ECAMS];
        if let Some(table) = table(Signature::MCFG, true) {
            let found = ecams(&table).map(Some);
            areas.iter_mut().zip(found).for_each(|(place, area)| *place = area);
        }
        Ok(Self { madt, fadt, hpet, ecams: areas })
    }

    /// PCI configuration space in memory.
    pub fn ecams(&self) -> impl Iterator<Item = &Ecam> {
        self.ecams.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::fadt::Register;
    use crate::bytes::u32_at;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Tables as QEMU 7.2 and SeaBIOS leave them in memory: a line for each, address and bytes.
    const PC_WITH_2_PROCESSORS: &str = include_str!("machines/pc.hex");
    const Q35_WITH_4_PROCESSORS: &str = include_str!("machines/q35.hex");

    type Parts = Vec<(u64, Vec<u8>)>;

    fn parts(text: &str) -> Parts {
        let byte =
            |digits: &[u8]| u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap();
        let part = |line: &str| {
            let (address, bytes) = line.split_once(' ').unwrap();
            let address = u64::from_str_radix(address, 16).unwrap();
            (address, bytes.as_bytes().chunks(2).map(byte).collect())
        };
        text.lines().map(part).collect()
    }

    /// Memory where there is nothing but some parts.
    struct Parted(Vec<(u64, &'static [u8])>);

    impl Memory for Parted {
        fn bytes(&self, address: u64, length: usize) -> Option<&'static [u8]> {
            self.0.iter().find_map(|(start, bytes)| {
                let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
                bytes.get(offset..offset.checked_add(length)?)
            })
        }
    }

    fn read(parts: Parts) -> (Result<Firmware, AcpiError>, usize) {
        let leak = |(address, bytes): (u64, Vec<u8>)| (address, &*bytes.leak());
        let memory = Parted(parts.into_iter().map(leak).collect());
        let mut complaints = 0;
        (Firmware::read(&memory, None, |_| complaints += 1), complaints)
    }

    #[test]
    fn a_pc_is_understood() {
        let (firmware, complaints) = read(parts(PC_WITH_2_PROCESSORS));
        let firmware = firmware.unwrap();
        assert_eq!((firmware.madt.processors().len(), complaints), (2, 0));
        assert_eq!((firmware.madt.local_apic, firmware.madt.isa[0].gsi), (0xfee0_0000, 2));
        assert_eq!(firmware.madt.io_apics()[0].address, 0xfec0_0000);
        assert_eq!((firmware.hpet, firmware.ecams().count()), (Some(0xfed0_0000), 0));
        let fadt = firmware.fadt.unwrap();
        assert_eq!(fadt.pm1a_control, Some(Register::Port(0x604)));
        assert_eq!(fadt.pm_timer, Some(Register::Port(0x608)));
        assert_eq!((fadt.reset, fadt.sci, fadt.century), (None, 9, 0x32));
    }

    #[test]
    fn a_q35_is_understood() {
        let firmware = read(parts(Q35_WITH_4_PROCESSORS)).0.unwrap();
        assert_eq!(firmware.madt.processors().len(), 4);
        let area = Ecam { base: 0xb000_0000, segment: 0, first_bus: 0, last_bus: 255 };
        assert!(firmware.ecams().eq([&area]));
        assert_eq!(firmware.fadt.unwrap().reset, Some((Register::Port(0xcf9), 0xf)));
    }

    #[test]
    fn only_interrupt_controllers_are_indispensable() {
        let without = |signature: &[u8]| {
            let mut parts = parts(Q35_WITH_4_PROCESSORS);
            let part = parts.iter_mut().find(|(_, bytes)| bytes.starts_with(signature));
            part.unwrap().1[9] ^= 1;
            read(parts)
        };
        assert!(matches!(without(b"APIC").0, Err(AcpiError::Checksum { .. })));
        for (signature, complaints) in [(b"FACP", 1), (b"HPET", 1), (b"MCFG", 1)] {
            let (firmware, complained) = without(signature);
            assert_eq!((firmware.is_ok(), complained), (true, complaints));
        }
    }

    /// Makes a part's checksums right: a table's, or the root pointer's.
    fn sum(bytes: &mut [u8]) {
        let (at, end) = if bytes.starts_with(b"RSD") { (8, 20) } else { (9, bytes.len()) };
        let length = u32_at(bytes, 4) as usize;
        let end = if at == 9 && length >= 36 { end.min(length) } else { end };
        bytes[at] = 0;
        bytes[at] = bytes[..end].iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    }

    proptest! {
        /// Whatever firmware gets wrong below right checksums, reading it ends, and what is kept
        /// is within its limits.
        #[test]
        fn mistakes_are_survived(
            is_pc: bool,
            mistakes in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<u8>()), 1..8),
        ) {
            let machine = if is_pc { PC_WITH_2_PROCESSORS } else { Q35_WITH_4_PROCESSORS };
            let mut parts = parts(machine);
            for (part, at, value) in mistakes {
                let count = parts.len();
                let bytes = &mut parts[usize::from(part) % count].1;
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
                sum(bytes);
            }
            if let (Ok(firmware), _) = read(parts) {
                prop_assert!(firmware.madt.processors().len() <= crate::acpi::madt::MAX_PROCESSORS);
                for area in firmware.ecams() {
                    prop_assert!(area.first_bus <= area.last_bus);
                }
            }
        }
    }
}
