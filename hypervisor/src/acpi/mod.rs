//! What firmware says of the machine in ACPI's static tables (ACPI Specification 6.5, chapter 5).
//!
//! The tables are found ([`root`]), checked ([`table`]) and read ([`fadt`], [`madt`],
//! [`devices`]); [`firmware`] is all of it.
//! There is no AML here: domain 0 has its own interpreter.

pub mod devices;
pub mod fadt;
pub mod firmware;
pub mod madt;
pub mod root;
pub mod table;

use table::Signature;
use thiserror::Error;

/// Why a table can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AcpiError {
    /// No root pointer is where the specification wants one.
    #[error("no ACPI root pointer found in the loader's information, the EBDA or the BIOS area")]
    NoRoot,
    /// The tables don't include this one.
    #[error("ACPI table {0} is missing")]
    Missing(Signature),
    /// A table is outside memory, or its length is impossible.
    #[error("ACPI table {signature} at {address:#x} has the impossible length {length}")]
    Length {
        /// Which table.
        signature: Signature,
        /// Where it is.
        address: u64,
        /// What its header says.
        length: u32,
    },
    /// A table's bytes don't add up to zero.
    #[error("ACPI table {signature} at {address:#x} has a wrong checksum")]
    Checksum {
        /// Which table.
        signature: Signature,
        /// Where it is.
        address: u64,
    },
    /// A table's entry is cut off or has no length.
    #[error("ACPI table {signature} has a broken entry at offset {offset}")]
    Entry {
        /// Which table.
        signature: Signature,
        /// Where in the table.
        offset: usize,
    },
    /// There is more of something than is kept.
    #[error("ACPI table {signature} describes more than {limit} {what}")]
    TooMany {
        /// Which table.
        signature: Signature,
        /// What there is too much of.
        what: &'static str,
        /// How many are kept.
        limit: usize,
    },
}
