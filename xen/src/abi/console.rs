//! The hypervisor's console (xen.h) and the ring of a guest's (io/console.h).

/// Write to the hypervisor's console.
pub const WRITE: u64 = 0;
/// What was typed there.
pub const READ: u64 = 1;

/// Bytes from the daemon to the guest.
pub const IN_SIZE: usize = 1024;
/// Bytes from the guest to the daemon.
pub const OUT_SIZE: usize = 2048;

/// Offset of what goes to the guest.
pub const IN: usize = 0;
/// Offset of what comes from the guest.
pub const OUT: usize = 1024;
/// Offset of the guest's consumer index.
pub const IN_CONS: usize = 3072;
/// Offset of the daemon's producer index.
pub const IN_PROD: usize = 3076;
/// Offset of the daemon's consumer index.
pub const OUT_CONS: usize = 3080;
/// Offset of the guest's producer index.
pub const OUT_PROD: usize = 3084;
/// Where the ring ends: nobody uses the rest of its page.
pub const UNUSED: usize = 3088;
