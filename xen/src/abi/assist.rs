//! Help that a kernel may want (xen.h).

/// Turn it on.
pub const ENABLE: u64 = 0;
/// Turn it off.
pub const DISABLE: u64 = 1;

/// Segments of 4 GiB, on 32 bits.
pub const SEGMENTS_4GB: u32 = 0;
/// To hear of their use.
pub const SEGMENTS_4GB_NOTIFY: u32 = 1;
/// Page tables may be written to.
pub const WRITABLE_PAGETABLES: u32 = 2;
/// Top tables anywhere in memory, on 32 bits.
pub const PAE_EXTENDED_CR3: u32 = 3;
/// The I/O privilege level is in the flags that the kernel sees.
pub const ARCHITECTURAL_IOPL: u32 = 4;
/// A mark on run times while they are written.
pub const RUNSTATE_UPDATE_FLAG: u32 = 5;
/// Programs' tables do without the machine-to-physical table.
pub const M2P_STRICT: u32 = 32;
