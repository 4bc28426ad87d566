//! What a privileged domain does to the machine (platform.h).

/// What `interface_version` must be (`XENPF_INTERFACE_VERSION`).
pub const INTERFACE_VERSION: u32 = 0x0300_0001;

/// Set the wall clock, with seconds of 32 bits.
pub const SETTIME32: u32 = 17;
/// Have the machine sleep, or off.
pub const ENTER_ACPI_SLEEP: u32 = 51;
/// A processor, by its number.
pub const GET_CPUINFO: u32 = 55;
/// Set the wall clock.
pub const SETTIME64: u32 = 62;

/// The processor is in use.
pub const PCPU_ONLINE: u32 = 1 << 0;
/// There is no such processor.
pub const PCPU_INVALID: u32 = 1 << 1;
