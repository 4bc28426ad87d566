//! Scheduler operations and shutdown reasons (sched.h).

use super::{DomId, plain};

/// Make another domain look as if it had shut itself down.
pub const REMOTE_SHUTDOWN: u64 = 4;

/// Powered off.
pub const SHUTDOWN_POWEROFF: u8 = 0;
/// Asked for a reboot.
pub const SHUTDOWN_REBOOT: u8 = 1;
/// Suspended.
pub const SHUTDOWN_SUSPEND: u8 = 2;
/// Crashed.
pub const SHUTDOWN_CRASH: u8 = 3;
/// Its watchdog ran out.
pub const SHUTDOWN_WATCHDOG: u8 = 4;
/// Asked to be reset in place.
pub const SHUTDOWN_SOFT_RESET: u8 = 5;

/// Argument of [`REMOTE_SHUTDOWN`] (`sched_remote_shutdown`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RemoteShutdown {
    /// Whom.
    pub domain_id: DomId,
    /// Padding.
    pub pad: u16,
    /// `SHUTDOWN_*`.
    pub reason: u32,
}

plain!(RemoteShutdown);
