//! The local APIC's registers and messages (Intel SDM, volume 3, chapter 11, "Advanced
//! Programmable Interrupt Controller"; AMD APM, volume 2, chapter 16).

/// A register, by its offset in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum Register {
    Id = 0x20,
    Version = 0x30,
    TaskPriority = 0x80,
    EndOfInterrupt = 0xb0,
    LogicalDestination = 0xd0,
    DestinationFormat = 0xe0,
    Spurious = 0xf0,
    InService = 0x100,
    ErrorStatus = 0x280,
    CommandLow = 0x300,
    CommandHigh = 0x310,
    Timer = 0x320,
    Thermal = 0x330,
    Performance = 0x340,
    Pin0 = 0x350,
    Pin1 = 0x360,
    Error = 0x370,
    TimerStart = 0x380,
    TimerNow = 0x390,
    TimerDivider = 0x3e0,
}

impl Register {
    /// The model-specific register in x2APIC mode (table 11-6).
    pub fn msr(self) -> u32 {
        0x800 + (self as u32 >> 4)
    }
}

/// In an entry of the local vector table: it causes no interrupt.
pub const MASKED: u32 = 1 << 16;
/// In the timer's entry: it fires when the time stamp counter reaches a deadline.
pub const TSC_DEADLINE: u32 = 2 << 17;
/// In a pin's entry: it causes an NMI.
pub const NMI: u32 = 4 << 8;
/// In a pin's entry: active low.
pub const LOW: u32 = 1 << 13;
/// In the spurious vector's register: the APIC works.
pub const ENABLED: u32 = 1 << 8;
/// In the command register: the last command is still on its way.
pub const PENDING: u32 = 1 << 12;
/// The timer counts every tick.
pub const DIVIDE_BY_1: u32 = 0b1011;

/// What one processor tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// An interrupt.
    Interrupt(u8),
    /// A non-maskable interrupt.
    Nmi,
    /// Wait for a start.
    Init,
    /// Start in real mode at the 4 KiB page with that number.
    Start(u8),
}

impl Message {
    /// The lower half of the command register: physical destination, edge, assert.
    pub fn command(self) -> u32 {
        const ASSERT: u32 = 1 << 14;
        let (mode, vector) = match self {
            Self::Interrupt(vector) => (0, vector),
            Self::Nmi => (4, 0),
            Self::Init => (5, 0),
            Self::Start(page) => (6, page),
        };
        ASSERT | mode << 8 | u32::from(vector)
    }
}

/// The entries of the local vector table that not every APIC has, as its version register says
/// (section 11.4.8): the number of entries less one is in bits 16 to 23.
pub fn optional_sources(version: u32) -> impl Iterator<Item = Register> {
    let last = version >> 16 & 0xff;
    let sources = [(4, Register::Performance), (5, Register::Thermal)];
    sources.into_iter().filter(move |(place, _)| *place <= last).map(|(_, register)| register)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_counted() {
        let count = |version| optional_sources(version).count();
        // As QEMU's, as a Nehalem's, and one with the least there can be.
        assert_eq!((count(0x0005_0014), count(0x0106_0015), count(0x0003_0010)), (2, 2, 0));
        assert!(optional_sources(0x0004_0011).eq([Register::Performance]));
    }

    #[test]
    fn registers_have_two_addresses() {
        assert_eq!(Register::Id.msr(), 0x802);
        assert_eq!(Register::CommandLow.msr(), 0x830);
        assert_eq!(Register::TimerDivider.msr(), 0x83e);
    }

    #[test]
    fn commands_are_as_the_manual_has_them() {
        // The sequence that starts processors (section 9.4.4.1).
        assert_eq!(Message::Init.command(), 0x4500);
        assert_eq!(Message::Start(0x8f).command(), 0x468f);
        assert_eq!(Message::Nmi.command(), 0x4400);
        assert_eq!(Message::Interrupt(0xfb).command(), 0x40fb);
    }
}
