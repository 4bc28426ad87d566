//! The I/O APIC: which pin an interrupt arrives at, and where the pin sends it (Intel 82093AA data
//! sheet, section 3).

use core::fmt;

use thiserror::Error;

use crate::acpi::madt::Line;

/// A pin's entry in the redirection table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    const MODE: u64 = 7 << 8;
    const LOWEST_PRIORITY: u64 = 1 << 8;
    const LOW: u64 = 1 << 13;
    const LEVEL: u64 = 1 << 15;
    const MASK: u64 = 1 << 16;

    /// A pin that is silent.
    pub const SILENT: Self = Self(Self::MASK);

    /// A pin that interrupts the processor with that local APIC; masked.
    pub fn new(vector: u8, apic_id: u8, line: Line) -> Self {
        Self(u64::from(vector) | u64::from(apic_id) << 56 | Self::MASK).with_line(line)
    }

    /// The interrupt's vector.
    pub fn vector(self) -> u8 {
        self.0 as u8
    }

    /// The local APIC that gets the interrupt.
    pub fn apic_id(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// How the pin is read.
    pub fn line(self) -> Line {
        Line { is_low: self.0 & Self::LOW != 0, is_level: self.0 & Self::LEVEL != 0 }
    }

    /// The same pin, read otherwise.
    pub fn with_line(self, line: Line) -> Self {
        let low = if line.is_low { Self::LOW } else { 0 };
        let level = if line.is_level { Self::LEVEL } else { 0 };
        Self(self.0 & !(Self::LOW | Self::LEVEL) | low | level)
    }

    /// Whether the pin is silent.
    pub fn is_masked(self) -> bool {
        self.0 & Self::MASK != 0
    }

    /// The same pin, silent or not.
    pub fn with_mask(self, is_masked: bool) -> Self {
        Self(if is_masked { self.0 | Self::MASK } else { self.0 & !Self::MASK })
    }

    /// What domain 0 may make of an entry by writing its lower half: it says how the pin is read
    /// and whether it is masked; vector and destination stay, which are not its to choose. A pin
    /// without a vector stays masked.
    fn written_by_domain(self, low: u32) -> Result<Self, Refused> {
        let new = Self(low.into());
        if new.0 & Self::MODE > Self::LOWEST_PRIORITY {
            return Err(Refused::DeliveryMode { mode: (low >> 8 & 7) as u8 });
        }
        let is_masked = new.is_masked() || self.vector() == 0;
        Ok(self.with_line(new.line()).with_mask(is_masked))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({:016x})", self.0)
    }
}

/// Why a domain's access to an I/O APIC's register is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// No I/O APIC is there.
    #[error("no I/O APIC has its registers at {0:#x}")]
    NoIoApic(u64),
    /// It has no such register, or none that may be written.
    #[error("the I/O APIC has no such register: {0:#x}")]
    NoRegister(u32),
    /// No pin has that global system interrupt.
    #[error("no I/O APIC has a pin for global system interrupt {0}")]
    NoPin(u32),
    /// SMI, NMI, INIT or ExtINT.
    #[error("delivery mode {mode} is not for domains")]
    DeliveryMode {
        /// The mode's number.
        mode: u8,
    },
}

/// An I/O APIC's registers, read and written through its window.
pub trait Registers {
    /// Reads a register.
    fn read(&mut self, index: u32) -> u32;
    /// Writes a register.
    fn write(&mut self, index: u32, value: u32);
}

/// Indices of registers: identification, version and size, first entry.
const ID: u32 = 0;
const VERSION: u32 = 1;
const ARBITRATION: u32 = 2;
const ENTRIES: u32 = 0x10;

/// An I/O APIC.
#[derive(Debug)]
pub struct IoApic<R> {
    registers: R,
    /// The physical address of its registers, by which domain 0 names it.
    pub address: u64,
    /// The global system interrupt of its first pin.
    pub first_gsi: u32,
    /// How many pins it has.
    pub pins: u32,
}

impl<R: Registers> IoApic<R> {
    /// Takes over an I/O APIC, all of whose pins are silent from then on.
    pub fn new(mut registers: R, address: u64, first_gsi: u32) -> Self {
        // The index of a register has 8 bits.
        let pins = ((registers.read(VERSION) >> 16 & 0xff) + 1).min((0x100 - ENTRIES) / 2);
        let mut io_apic = Self { registers, address, first_gsi, pins };
        (0..pins).for_each(|pin| io_apic.set(pin, Entry::SILENT));
        io_apic
    }

    /// The pin of a global system interrupt.
    pub fn pin(&self, gsi: u32) -> Option<u32> {
        gsi.checked_sub(self.first_gsi).filter(|pin| *pin < self.pins)
    }

    /// A pin's entry.
    pub fn entry(&mut self, pin: u32) -> Entry {
        let low = self.registers.read(ENTRIES + 2 * pin);
        let high = self.registers.read(ENTRIES + 2 * pin + 1);
        Entry(u64::from(low) | u64::from(high) << 32)
    }

    /// Sets a pin's entry. It is masked while it is half written, so that no interrupt goes to the
    /// wrong processor.
    pub fn set(&mut self, pin: u32, entry: Entry) {
        let register = ENTRIES + 2 * pin;
        self.registers.write(register, entry.with_mask(true).0 as u32);
        self.registers.write(register + 1, (entry.0 >> 32) as u32);
        if !entry.is_masked() {
            self.registers.write(register, entry.0 as u32);
        }
    }

    /// Makes a pin silent or not.
    pub fn set_mask(&mut self, pin: u32, is_masked: bool) {
        let register = ENTRIES + 2 * pin;
        let old = Entry(self.registers.read(register).into());
        self.registers.write(register, old.with_mask(is_masked).0 as u32);
    }

    /// The pin whose entry has that register, and whether it is the upper half.
    fn half(&self, register: u32) -> Option<(u32, bool)> {
        let index = register.checked_sub(ENTRIES)?;
        (index / 2 < self.pins).then_some((index / 2, index % 2 == 1))
    }

    /// Reads a register for domain 0 (`PHYSDEVOP_apic_read`).
    pub fn read_for_domain(&mut self, register: u32) -> Result<u32, Refused> {
        let exists = register <= ARBITRATION || self.half(register).is_some();
        if exists { Ok(self.registers.read(register)) } else { Err(Refused::NoRegister(register)) }
    }

    /// Writes a register for domain 0 (`PHYSDEVOP_apic_write`): of an entry, what is its to say.
    /// The upper half, the destination, is not, and writing it has no effect; nor has writing the
    /// identification what it is.
    pub fn write_for_domain(&mut self, register: u32, value: u32) -> Result<(), Refused> {
        if register == ID && value == self.registers.read(ID) {
            return Ok(());
        }
        let (pin, is_upper) = self.half(register).ok_or(Refused::NoRegister(register))?;
        if !is_upper {
            let entry = self.entry(pin).written_by_domain(value)?;
            self.set(pin, entry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Registers, and which entries were ever unmasked.
    struct Chip {
        registers: [u32; 64],
        unmasked: Vec<u64>,
    }

    impl Registers for Chip {
        fn read(&mut self, index: u32) -> u32 {
            self.registers[index as usize]
        }

        fn write(&mut self, index: u32, value: u32) {
            self.registers[index as usize] = value;
            let low = index as usize & !1;
            let entry = u64::from(self.registers[low]) | u64::from(self.registers[low + 1]) << 32;
            if index >= ENTRIES && !Entry(entry).is_masked() {
                self.unmasked.push(entry);
            }
        }
    }

    const LINES: [Line; 4] = [
        Line { is_low: false, is_level: false },
        Line { is_low: false, is_level: true },
        Line { is_low: true, is_level: false },
        Line { is_low: true, is_level: true },
    ];

    /// An I/O APIC with 24 pins from interrupt 24 on.
    fn chip() -> IoApic<Chip> {
        let mut registers = [0; 64];
        registers[VERSION as usize] = 0x0017_0020;
        IoApic::new(Chip { registers, unmasked: Vec::new() }, 0xfec0_0000, 24)
    }

    #[test]
    fn it_is_silent_at_first() {
        let mut chip = chip();
        assert_eq!(chip.pins, 24);
        assert!((0..24).all(|pin| chip.entry(pin) == Entry::SILENT));
        assert!(chip.registers.unmasked.is_empty());
        assert_eq!((chip.pin(23), chip.pin(24), chip.pin(47), chip.pin(48)), {
            (None, Some(0), Some(23), None)
        });
    }

    #[test]
    fn entries_are_as_the_data_sheet_has_them() {
        let entry = Entry::new(0x31, 3, LINES[3]);
        assert_eq!(entry, Entry(0x0300_0000_0001_a031));
        assert_eq!(entry.with_mask(false), Entry(0x0300_0000_0000_a031));
    }

    #[test]
    fn half_an_entry_is_never_live() {
        let mut chip = chip();
        let first = Entry::new(0x40, 1, LINES[0]).with_mask(false);
        let second = Entry::new(0x50, 2, LINES[1]).with_mask(false);
        chip.set(5, first);
        chip.set(5, second);
        assert_eq!(chip.registers.unmasked, [first.0, second.0]);
        chip.set_mask(5, true);
        assert_eq!(chip.entry(5), second.with_mask(true));
    }

    #[test]
    fn registers_that_are_not_there_are_refused() {
        let mut chip = chip();
        for register in [3, 0xf, ENTRIES + 48, u32::MAX] {
            assert_eq!(chip.read_for_domain(register), Err(Refused::NoRegister(register)));
            let written = chip.write_for_domain(register, 0);
            assert_eq!(written, Err(Refused::NoRegister(register)));
        }
        assert_eq!(chip.read_for_domain(VERSION), Ok(0x0017_0020));
        assert_eq!(chip.write_for_domain(VERSION, 1), Err(Refused::NoRegister(VERSION)));
    }

    #[test]
    fn only_fixed_interrupts_are_for_domains() {
        let mut chip = chip();
        for mode in 2..8u32 {
            let written = chip.write_for_domain(ENTRIES, mode << 8);
            assert_eq!(written, Err(Refused::DeliveryMode { mode: mode as u8 }));
        }
        assert_eq!(chip.entry(0), Entry::SILENT);
    }

    proptest! {
        /// Whatever domain 0 writes, vectors and destinations are ours, and pins that have none
        /// stay silent.
        #[test]
        fn domains_choose_no_vectors(
            writes in proptest::collection::vec((0_u32..0x48, any::<u32>()), 0..40),
        ) {
            let mut chip = chip();
            chip.set(7, Entry::new(0x61, 9, LINES[0]));
            for (register, value) in writes {
                let _ = chip.write_for_domain(register, value);
            }
            for pin in 0..24 {
                let entry = chip.entry(pin);
                let expected = if pin == 7 { (0x61, 9) } else { (0, 0) };
                prop_assert_eq!((entry.vector(), entry.apic_id()), expected);
                prop_assert!(pin == 7 || entry.is_masked());
                prop_assert_eq!(entry.0 & Entry::MODE, 0);
            }
        }

        /// Lines and masks don't disturb each other.
        #[test]
        fn fields_are_apart(vector: u8, apic_id: u8, index in 0_usize..4, is_masked: bool) {
            let entry = Entry::new(vector, apic_id, LINES[3 - index]);
            let entry = entry.with_mask(is_masked).with_line(LINES[index]);
            prop_assert_eq!((entry.vector(), entry.apic_id()), (vector, apic_id));
            prop_assert_eq!((entry.line(), entry.is_masked()), (LINES[index], is_masked));
        }
    }
}
