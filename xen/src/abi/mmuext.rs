//! Page table operations (xen.h).

use super::plain;

/// Validate a page table and keep it validated.
pub const PIN_L1_TABLE: u32 = 0;
/// The same for a table of such tables.
pub const PIN_L2_TABLE: u32 = 1;
/// The same for a table of those.
pub const PIN_L3_TABLE: u32 = 2;
/// The same for a whole tree of page tables.
pub const PIN_L4_TABLE: u32 = 3;
/// Let a page table go that was pinned.
pub const UNPIN_TABLE: u32 = 4;
/// Another tree for the kernel.
pub const NEW_BASEPTR: u32 = 5;
/// Forget translations, here.
pub const TLB_FLUSH_LOCAL: u32 = 6;
/// Forget an address's translation, here.
pub const INVLPG_LOCAL: u32 = 7;
/// Forget translations where some vcpus run.
pub const TLB_FLUSH_MULTI: u32 = 8;
/// Forget an address's translation where some vcpus run.
pub const INVLPG_MULTI: u32 = 9;
/// Forget translations where any vcpu runs.
pub const TLB_FLUSH_ALL: u32 = 10;
/// Forget an address's translation where any vcpu runs.
pub const INVLPG_ALL: u32 = 11;
/// Flush this processor's caches.
pub const FLUSH_CACHE: u32 = 12;
/// A local descriptor table.
pub const SET_LDT: u32 = 13;
/// Another tree for processes.
pub const NEW_USER_BASEPTR: u32 = 15;
/// Clear a frame.
pub const CLEAR_PAGE: u32 = 16;
/// Copy a frame.
pub const COPY_PAGE: u32 = 17;
/// Flush all processors' caches.
pub const FLUSH_CACHE_GLOBAL: u32 = 18;
/// Of superpages that are no longer.
pub const MARK_SUPER: u32 = 19;
/// Of superpages that are no longer.
pub const UNMARK_SUPER: u32 = 20;
/// In the low bits of an `MmuUpdate::ptr`: write a page table entry.
pub const MMU_NORMAL_PT_UPDATE: u64 = 0;
/// In the low bits of an `MmuUpdate::ptr`: say which pfn a machine frame is.
pub const MMU_MACHPHYS_UPDATE: u64 = 1;
/// As `MMU_NORMAL_PT_UPDATE`, but the accessed and dirty bits stay.
pub const MMU_PT_UPDATE_PRESERVE_AD: u64 = 2;
/// As `MMU_NORMAL_PT_UPDATE`; frames have the machine's numbers in any case.
pub const MMU_PT_UPDATE_NO_TRANSLATE: u64 = 3;
/// With an entry's update: forget translations (`UVMF_TLB_FLUSH`).
pub const UVMF_TLB_FLUSH: u64 = 1;
/// With an entry's update: forget the address's translation (`UVMF_INVLPG`).
pub const UVMF_INVLPG: u64 = 2;
/// Which of these (`UVMF_FLUSHTYPE_MASK`).
pub const UVMF_FLUSHTYPE_MASK: u64 = 3;
/// Here only (`UVMF_LOCAL`).
pub const UVMF_LOCAL: u64 = 0;
/// Where any vcpu runs (`UVMF_ALL`).
pub const UVMF_ALL: u64 = 4;

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
