//! Page table operations (xen.h).

use super::plain;

/// Validate a tree of page tables and keep it validated.
pub const PIN_L4_TABLE: u32 = 3;
/// Let a tree of page tables go.
pub const UNPIN_TABLE: u32 = 4;
/// In the low bits of an `MmuUpdate::ptr`: write a page table entry.
pub const MMU_NORMAL_PT_UPDATE: u64 = 0;
/// In the low bits of an `MmuUpdate::ptr`: say which pfn a machine frame is.
pub const MMU_MACHPHYS_UPDATE: u64 = 1;

/// One operation (`mmuext_op`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MmuextOp {
    /// Which.
    pub cmd: u32,
    /// Padding.
    pub pad: u32,
    /// A machine frame or a linear address.
    pub arg1: u64,
    /// The operation's second argument.
    pub arg2: u64,
}

/// One update (`mmu_update`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MmuUpdate {
    /// Machine address, with the kind of update in its low bits.
    pub ptr: u64,
    /// The new value.
    pub val: u64,
}

plain!(MmuextOp, MmuUpdate);
