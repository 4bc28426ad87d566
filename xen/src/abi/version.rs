//! Version and build of the hypervisor (version.h) and its features (features.h).

use super::plain;

/// Major and minor number, as the result.
pub const VERSION: u64 = 0;
/// What follows the minor number.
pub const EXTRAVERSION: u64 = 1;
/// Who built it, with what.
pub const COMPILE_INFO: u64 = 2;
/// Guest ABIs.
pub const CAPABILITIES: u64 = 3;
/// Source revision.
pub const CHANGESET: u64 = 4;
/// Where the hypervisor begins in a guest's address space.
pub const PLATFORM_PARAMETERS: u64 = 5;
/// A word of `FEATURE_*` bits.
pub const GET_FEATURES: u64 = 6;
/// Bytes in a page.
pub const PAGESIZE: u64 = 7;
/// The caller's UUID.
pub const GUEST_HANDLE: u64 = 8;
/// Its command line.
pub const COMMANDLINE: u64 = 9;
/// The build's own mark.
pub const BUILD_ID: u64 = 10;

/// Top tables may be anywhere in memory.
pub const FEATURE_PAE_PGDIR_ABOVE_4GB: u32 = 4;
/// Updates may leave the accessed and dirty bits alone.
pub const FEATURE_MMU_PT_UPDATE_PRESERVE_AD: u32 = 5;
/// Help with memory beyond 4 GiB on 32 bits.
pub const FEATURE_HIGHMEM_ASSIST: u32 = 6;
/// Mapped grants may have the guest's own bits in their entries.
pub const FEATURE_GNTTAB_MAP_AVAIL_BITS: u32 = 7;
/// The caller is dom0.
pub const FEATURE_DOM0: u32 = 11;
/// Memory may be asked for by virtual node.
pub const FEATURE_MEMORY_OP_VNODE_SUPPORTED: u32 = 13;
/// Frame numbers aren't the machine's.
pub const FEATURE_NOT_DIRECT_MAPPED: u32 = 16;

/// Who built it (`xen_compile_info`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CompileInfo {
    /// Compiler.
    pub compiler: [u8; 64],
    /// User.
    pub compile_by: [u8; 16],
    /// Host.
    pub compile_domain: [u8; 32],
    /// Date.
    pub compile_date: [u8; 32],
}

plain!(CompileInfo);
