//! Processors and interrupt controllers (ACPI Specification 6.5, section 5.2.12).

use super::AcpiError;
use super::table::{Signature, Table};
use crate::bytes::{u8_at, u16_at, u32_at, u64_at};

/// The most processors, I/O APICs, overrides and NMI sources that are kept.
pub const MAX_PROCESSORS: usize = 256;
/// See above.
pub const MAX_IO_APICS: usize = 16;
/// ISA has 16 interrupts, and each is overridden at most once.
pub const ISA_IRQS: usize = 16;

/// A processor that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Processor {
    /// The number of its local APIC.
    pub apic_id: u32,
    /// The number by which AML names it.
    pub acpi_id: u32,
}

/// An I/O APIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IoApic {
    /// Its number.
    pub id: u8,
    /// The physical address of its registers.
    pub address: u32,
    /// The global system interrupt of its first pin.
    pub first_gsi: u32,
}

/// How an interrupt line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// Whether it is active when low.
    pub is_low: bool,
    /// Whether it is a level, not an edge.
    pub is_level: bool,
}

impl Line {
    /// From MPS INTI flags (table 5.26); what conforms to the bus is as `default`.
    fn from_flags(flags: u16, default: Self) -> Self {
        let or = |bits: u16, otherwise| match bits & 3 {
            1 => false,
            3 => true,
            _ => otherwise,
        };
        Self { is_low: or(flags, default.is_low), is_level: or(flags >> 2, default.is_level) }
    }
}

/// Where an ISA interrupt arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsaIrq {
    /// The global system interrupt.
    pub gsi: u32,
    /// How the line is read.
    pub line: Line,
}

/// All that the table says.
#[derive(Debug, Clone)]
pub struct Madt {
    /// The physical address of the local APICs' registers.
    pub local_apic: u64,
    /// Whether there are 8259s, too, which have to be silenced.
    pub has_8259: bool,
    /// Where the 16 ISA interrupts arrive.
    pub isa: [IsaIrq; ISA_IRQS],
    /// The pin of local APICs that gets NMIs, and how it is read.
    pub nmi_pin: Option<(u8, Line)>,
    processors: [Processor; MAX_PROCESSORS],
    processor_count: usize,
    io_apics: [IoApic; MAX_IO_APICS],
    io_apic_count: usize,
}

/// Types of entries.
const LOCAL_APIC: u8 = 0;
const IO_APIC: u8 = 1;
const OVERRIDE: u8 = 2;
const LOCAL_NMI: u8 = 4;
const LOCAL_APIC_ADDRESS: u8 = 5;
const LOCAL_X2APIC: u8 = 9;
const LOCAL_X2APIC_NMI: u8 = 10;

/// Flag of a processor: it is there.
const ENABLED: u32 = 1;
/// Where entries begin.
const ENTRIES: usize = 44;

impl Madt {
    /// Reads a table.
    pub fn read(table: &Table) -> Result<Self, AcpiError> {
        let mut madt = Self {
            local_apic: u32_at(table.bytes, 36).into(),
            has_8259: u32_at(table.bytes, 40) & 1 != 0,
            isa: core::array::from_fn(|irq| IsaIrq { gsi: irq as u32, line: Line::default() }),
            nmi_pin: None,
            processors: [Processor::default(); MAX_PROCESSORS],
            processor_count: 0,
            io_apics: [IoApic::default(); MAX_IO_APICS],
            io_apic_count: 0,
        };
        let mut offset = ENTRIES;
        while offset < table.bytes.len() {
            let length = usize::from(u8_at(table.bytes, offset + 1));
            let entry = table.bytes.get(offset..offset + length).filter(|_| length >= 2);
            let broken = AcpiError::Entry { signature: Signature::MADT, offset };
            madt.add(entry.ok_or(broken)?)?;
            offset += length;
        }
        Ok(madt)
    }

    /// The processors in the table's order.
    pub fn processors(&self) -> &[Processor] {
        &self.processors[..self.processor_count]
    }

    /// The I/O APICs in the table's order.
    pub fn io_apics(&self) -> &[IoApic] {
        &self.io_apics[..self.io_apic_count]
    }

    /// Whether a global system interrupt is an ISA interrupt, and how it is read then.
    pub fn isa_line(&self, gsi: u32) -> Option<Line> {
        self.isa.iter().find(|irq| irq.gsi == gsi).map(|irq| irq.line)
    }

    fn add(&mut self, entry: &[u8]) -> Result<(), AcpiError> {
        match u8_at(entry, 0) {
            LOCAL_APIC if u32_at(entry, 4) & ENABLED != 0 => self.add_processor(Processor {
                apic_id: u8_at(entry, 3).into(),
                acpi_id: u8_at(entry, 2).into(),
            })?,
            LOCAL_X2APIC if u32_at(entry, 8) & ENABLED != 0 => self.add_processor(Processor {
                apic_id: u32_at(entry, 4),
                acpi_id: u32_at(entry, 12),
            })?,
            IO_APIC => self.add_io_apic(IoApic {
                id: u8_at(entry, 2),
                address: u32_at(entry, 4),
                first_gsi: u32_at(entry, 8),
            })?,
            OVERRIDE => self.override_isa(entry),
            LOCAL_NMI => self.add_nmi(u8_at(entry, 5), u16_at(entry, 3)),
            LOCAL_X2APIC_NMI => self.add_nmi(u8_at(entry, 8), u16_at(entry, 2)),
            LOCAL_APIC_ADDRESS => self.local_apic = u64_at(entry, 4),
            _ => {}
        }
        Ok(())
    }

    /// A processor may be listed as local APIC and as local x2APIC.
    fn add_processor(&mut self, processor: Processor) -> Result<(), AcpiError> {
        if self.processors().iter().any(|known| known.apic_id == processor.apic_id) {
            return Ok(());
        }
        let place = self.processors.get_mut(self.processor_count);
        *place.ok_or(too_many("processors", MAX_PROCESSORS))? = processor;
        self.processor_count += 1;
        Ok(())
    }

    fn add_io_apic(&mut self, io_apic: IoApic) -> Result<(), AcpiError> {
        let place = self.io_apics.get_mut(self.io_apic_count);
        *place.ok_or(too_many("I/O APICs", MAX_IO_APICS))? = io_apic;
        self.io_apic_count += 1;
        Ok(())
    }

    /// Bus 0 is ISA, the only one that is overridden. ISA lines are high edges by default.
    fn override_isa(&mut self, entry: &[u8]) {
        let (bus, irq) = (u8_at(entry, 2), usize::from(u8_at(entry, 3)));
        if bus == 0 && irq < ISA_IRQS {
            let line = Line::from_flags(u16_at(entry, 8), Line::default());
            self.isa[irq] = IsaIrq { gsi: u32_at(entry, 4), line };
        }
    }

    /// The pin is the same on all processors, in practice.
    fn add_nmi(&mut self, pin: u8, flags: u16) {
        if pin < 2 {
            self.nmi_pin = Some((pin, Line::from_flags(flags, Line::default())));
        }
    }
}

fn too_many(what: &'static str, limit: usize) -> AcpiError {
    AcpiError::TooMany { signature: Signature::MADT, what, limit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::root::tests::{Ram, table};
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn read(body: &[u8]) -> Result<Madt, AcpiError> {
        let bytes = table(b"APIC", body);
        Madt::read(&Table::read(&Ram(Box::leak(bytes.into_boxed_slice())), 0).unwrap())
    }

    /// What QEMU's `-machine pc -smp 2` has, byte by byte.
    fn qemu() -> Vec<u8> {
        let mut body = std::vec![0, 0, 0xe0, 0xfe, 1, 0, 0, 0];
        body.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        body.extend([0, 8, 1, 1, 1, 0, 0, 0]);
        body.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
        body.extend([2, 10, 0, 5, 5, 0, 0, 0, 13, 0]);
        body.extend([2, 10, 0, 9, 9, 0, 0, 0, 13, 0]);
        body.extend([4, 6, 0xff, 0, 0, 1]);
        body
    }

    #[test]
    fn qemu_is_understood() {
        let madt = read(&qemu()).unwrap();
        assert_eq!((madt.local_apic, madt.has_8259), (0xfee0_0000, true));
        let numbers: Vec<_> = madt.processors().iter().map(|one| one.apic_id).collect();
        assert_eq!(numbers, [0, 1]);
        let io_apic = IoApic { id: 0, address: 0xfec0_0000, first_gsi: 0 };
        assert_eq!(madt.io_apics(), [io_apic]);
        assert_eq!(madt.isa[0], IsaIrq { gsi: 2, line: Line::default() });
        assert_eq!(madt.isa[1], IsaIrq { gsi: 1, line: Line::default() });
        let level = Line { is_low: false, is_level: true };
        assert_eq!(madt.isa[9], IsaIrq { gsi: 9, line: level });
        assert_eq!(madt.isa_line(9), Some(level));
        assert_eq!(madt.isa_line(16), None);
        assert_eq!(madt.nmi_pin, Some((1, Line::default())));
    }

    #[test]
    fn newer_entries_are_understood() {
        let mut body = qemu();
        body.extend([5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0]);
        // A processor known already, one that isn't there, and a new one.
        body.extend([9, 16, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]);
        body.extend([9, 16, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0]);
        body.extend([9, 16, 0, 0, 3, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0]);
        let madt = read(&body).unwrap();
        assert_eq!(madt.local_apic, 0x1_fee0_0000);
        assert_eq!(madt.processors().len(), 3);
        assert_eq!(madt.processors()[2], Processor { apic_id: 0x103, acpi_id: 7 });
    }

    #[test]
    fn broken_entries_are_named() {
        for tail in [&[0u8, 0][..], &[0, 1], &[0, 9, 1], &[7]] {
            let mut body = qemu();
            let offset = 36 + body.len();
            body.extend(tail);
            let broken = AcpiError::Entry { signature: Signature::MADT, offset };
            assert_eq!(read(&body).unwrap_err(), broken);
        }
    }

    #[test]
    fn there_is_a_limit() {
        let mut body = qemu();
        for number in 2..=MAX_PROCESSORS as u16 {
            let [low, high] = number.to_le_bytes();
            body.extend([9, 16, 0, 0, low, high, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        }
        assert_eq!(read(&body).unwrap_err(), too_many("processors", MAX_PROCESSORS));
    }

    proptest! {
        /// Whatever entries say, reading them ends, and within the limits.
        #[test]
        fn garbage_is_survived(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut body = qemu();
            body.extend(tail);
            if let Ok(madt) = read(&body) {
                prop_assert!(madt.processors().len() >= 2);
                prop_assert!(madt.nmi_pin.is_none_or(|(pin, _)| pin < 2));
            }
        }
    }
}
