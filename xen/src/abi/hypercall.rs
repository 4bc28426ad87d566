//! Hypercall numbers (xen.h).

/// Page table updates.
pub const MMU_UPDATE: u64 = 1;
/// Memory reservations.
pub const MEMORY_OP: u64 = 12;
/// Version and build of the hypervisor.
pub const XEN_VERSION: u64 = 17;
/// The hypervisor's console.
pub const CONSOLE_IO: u64 = 18;
/// Grant tables.
pub const GRANT_TABLE_OP: u64 = 20;
/// Extended page table operations.
pub const MMUEXT_OP: u64 = 26;
/// Scheduler operations.
pub const SCHED_OP: u64 = 29;
/// Event channels.
pub const EVENT_CHANNEL_OP: u64 = 32;
/// Host-wide control.
pub const SYSCTL: u64 = 35;
/// Control of one domain.
pub const DOMCTL: u64 = 36;
