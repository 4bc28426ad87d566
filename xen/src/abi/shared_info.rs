//! Offsets in the page that a domain shares with the hypervisor (xen.h, arch-x86/xen.h).

/// Vcpus whose state is in this page (`XEN_LEGACY_MAX_VCPUS`).
pub const VCPUS: usize = 32;
/// Bytes for each (`struct vcpu_info`).
pub const VCPU_INFO_SIZE: usize = 64;
/// In a vcpu's part: events are masked.
pub const UPCALL_MASK: usize = 1;
/// Entries of the pfn-to-mfn list, 8 bytes.
pub const MAX_PFN: usize = 3088;
