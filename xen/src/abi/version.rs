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
/// Bytes in a page.
pub const PAGESIZE: u64 = 7;
/// Its command line.
pub const COMMANDLINE: u64 = 9;

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
