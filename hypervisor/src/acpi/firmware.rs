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
