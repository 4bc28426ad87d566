//! Fixed hardware: the power management timer, sleeping, resetting (ACPI Specification 6.5,
//! section 5.2.9). Older tables are shorter; what they lack is zero.

use super::table::Table;
use crate::bytes::{u8_at, u16_at, u32_at, u64_at};

/// FADT flag: the timer counts 32 bits, not 24.
const TMR_VAL_EXT: u32 = 1 << 8;
/// FADT flag: there is a reset register.
const RESET_REG_SUP: u32 = 1 << 10;

/// Where a register is (generic address structure, section 5.2.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// At a physical address.
    Memory(u64),
    /// At a port.
    Port(u16),
    /// In the configuration space of a device on PCI bus 0.
    Pci {
        /// The device.
        device: u8,
        /// Its function.
        function: u8,
        /// Where in its configuration space.
        offset: u16,
    },
}

impl Register {
    /// Reads the structure; address 0 and unknown address spaces are no register.
    pub fn read(bytes: &[u8], offset: usize) -> Option<Self> {
        let address = u64_at(bytes, offset + 4);
        match u8_at(bytes, offset) {
            _ if address == 0 => None,
            0 => Some(Self::Memory(address)),
            1 => u16::try_from(address).ok().map(Self::Port),
            2 => Some(Self::Pci {
                device: u8::try_from(address >> 32 & 0xffff).ok().filter(|device| *device < 32)?,
                function: u8::try_from(address >> 16 & 0xffff).ok().filter(|number| *number < 8)?,
                offset: u16::try_from(address & 0xffff).ok()?,
            }),
            _ => None,
        }
    }

    /// Of the two ways to name a register, the newer one, else a port in the older.
    fn either(bytes: &[u8], new: usize, old: usize) -> Option<Self> {
        let port = u16::try_from(u32_at(bytes, old)).ok().filter(|port| *port != 0);
        Self::read(bytes, new).or(port.map(Self::Port))
    }
}

/// The table's contents, as far as a hypervisor needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fadt {
    /// The interrupt that ACPI events come by.
    pub sci: u16,
    /// The port by which the firmware's system management mode is asked for something.
    pub smi_command: u32,
    /// What to write there to turn ACPI on; 0 where it always is.
    pub acpi_enable: u8,
    /// First control register: SCI_EN, SLP_TYP, SLP_EN.
    pub pm1a_control: Option<Register>,
    /// Second control register, where power management is split in two chips.
    pub pm1b_control: Option<Register>,
    /// The timer of 3.579545 MHz.
    pub pm_timer: Option<Register>,
    /// Whether the timer has 32 bits.
    pub pm_timer_is_32_bits: bool,
    /// Where the real-time clock has the century; 0 if nowhere.
    pub century: u8,
    /// What resets the machine, and the value to write.
    pub reset: Option<(Register, u8)>,
}

impl Fadt {
    /// Reads a table.
    pub fn read(table: &Table) -> Self {
        let bytes = table.bytes;
        let flags = u32_at(bytes, 112);
        let can_reset = flags & RESET_REG_SUP != 0;
        let reset = if can_reset { Register::read(bytes, 116) } else { None };
        Self {
            sci: u16_at(bytes, 46),
            smi_command: u32_at(bytes, 48),
            acpi_enable: u8_at(bytes, 52),
            pm1a_control: Register::either(bytes, 172, 64),
            pm1b_control: Register::either(bytes, 184, 68),
            pm_timer: Register::either(bytes, 208, 76),
            pm_timer_is_32_bits: flags & TMR_VAL_EXT != 0,
            century: u8_at(bytes, 108),
            reset: reset.map(|register| (register, u8_at(bytes, 128))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acpi::root::tests::{Ram, table};
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn read(bytes: Vec<u8>) -> Fadt {
        let ram = Ram(Box::leak(bytes.into_boxed_slice()));
        Fadt::read(&Table::read(&ram, 0).unwrap())
    }

    #[test]
    fn an_old_table_has_ports() {
        // As QEMU's machine `pc` has it: 116 bytes, revision 1.
        let mut body = [0; 80];
        body[10..12].copy_from_slice(&9u16.to_le_bytes());
        body[12..16].copy_from_slice(&0xb2u32.to_le_bytes());
        body[16] = 0xf1;
        body[28..32].copy_from_slice(&0x604u32.to_le_bytes());
        body[40..44].copy_from_slice(&0x608u32.to_le_bytes());
        body[72] = 0x32;
        body[76..80].copy_from_slice(&0x84a5u32.to_le_bytes());
        let fadt = read(table(b"FACP", &body));
        assert_eq!((fadt.sci, fadt.smi_command, fadt.acpi_enable), (9, 0xb2, 0xf1));
        assert_eq!(fadt.pm1a_control, Some(Register::Port(0x604)));
        assert_eq!(fadt.pm1b_control, None);
        assert_eq!(fadt.pm_timer, Some(Register::Port(0x608)));
        assert_eq!((fadt.century, fadt.pm_timer_is_32_bits), (0x32, false));
        // The flag promises a register that the table is too short for.
        assert_eq!(fadt.reset, None);
    }

    #[test]
    fn a_new_table_has_addresses() {
        let mut body = [0; 208];
        let mut put = |at: usize, space: u8, address: u64| {
            body[at - 36] = space;
            body[at - 32..at - 24].copy_from_slice(&address.to_le_bytes());
        };
        put(116, 1, 0xcf9);
        put(172, 1, 0x604);
        put(184, 2, 0x0003_0001_00a0);
        put(208, 0, 0xfed0_8000);
        body[92] = 0xf;
        body[76..80].copy_from_slice(&(TMR_VAL_EXT | RESET_REG_SUP).to_le_bytes());
        let fadt = read(table(b"FACP", &body));
        assert_eq!(fadt.reset, Some((Register::Port(0xcf9), 0xf)));
        assert_eq!(fadt.pm1a_control, Some(Register::Port(0x604)));
        let pci = Register::Pci { device: 3, function: 1, offset: 0xa0 };
        assert_eq!(fadt.pm1b_control, Some(pci));
        assert_eq!(fadt.pm_timer, Some(Register::Memory(0xfed0_8000)));
        assert!(fadt.pm_timer_is_32_bits);
    }

    proptest! {
        /// Whatever a register's description says, a port or device is one that can exist.
        #[test]
        fn descriptions_are_not_believed(bytes: [u8; 12]) {
            match Register::read(&bytes, 0) {
                Some(Register::Pci { device, function, .. }) => {
                    prop_assert!(device < 32 && function < 8);
                }
                Some(Register::Port(port)) => prop_assert_ne!(port, 0),
                Some(Register::Memory(address)) => prop_assert_ne!(address, 0),
                None => {}
            }
        }
    }
}
