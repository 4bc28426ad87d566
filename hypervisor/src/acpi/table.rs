//! One table: its header, its length, its checksum (ACPI Specification 6.5, section 5.2.6).

use core::fmt;

use super::AcpiError;
use crate::bytes::u32_at;
use crate::multiboot::Memory;

/// Bytes of the header that all tables share.
pub const HEADER: usize = 36;
/// No table we read comes near this; a length beyond is a broken header.
const LONGEST: u32 = 1 << 20;

/// The four characters that a table begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 4]);

impl Signature {
    /// The root table with 32-bit addresses.
    pub const RSDT: Self = Self(*b"RSDT");
    /// The root table with 64-bit addresses.
    pub const XSDT: Self = Self(*b"XSDT");
    /// Interrupt controllers and processors.
    pub const MADT: Self = Self(*b"APIC");
    /// Fixed hardware: power management, reset.
    pub const FADT: Self = Self(*b"FACP");
    /// The high precision event timer.
    pub const HPET: Self = Self(*b"HPET");
    /// PCI's memory-mapped configuration space.
    pub const MCFG: Self = Self(*b"MCFG");
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A table whose length and checksum are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// All of it, the header too.
    pub bytes: &'static [u8],
}

/// The signature of whatever is at an address.
pub fn signature(memory: &dyn Memory, address: u64) -> Option<Signature> {
    memory.bytes(address, 4)?.try_into().ok().map(Signature)
}

impl Table {
    /// The table at an address, if it is whole.
    pub fn read(memory: &dyn Memory, address: u64) -> Result<Self, AcpiError> {
        let signature = signature(memory, address).unwrap_or(Signature(*b"????"));
        let header = memory.bytes(address, HEADER).unwrap_or_default();
        let length = u32_at(header, 4);
        let possible = (HEADER as u32..=LONGEST).contains(&length);
        let bytes = if possible { memory.bytes(address, length as usize) } else { None };
        let bytes = bytes.ok_or(AcpiError::Length { signature, address, length })?;
        if !adds_up(bytes) {
            return Err(AcpiError::Checksum { signature, address });
        }
        Ok(Self { bytes })
    }

    /// What is behind the header.
    pub fn body(&self) -> &'static [u8] {
        &self.bytes[HEADER..]
    }

    /// Which table it is.
    pub fn signature(&self) -> Signature {
        Signature([self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3]])
    }
}

/// Whether bytes add up to zero, as all of ACPI's structures do.
pub fn adds_up(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}
