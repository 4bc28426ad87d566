//! Scheduler operations and shutdown reasons (sched.h).

use super::{DomId, plain};

/// Let others run.
pub const YIELD: u64 = 0;
/// Wait for an event, with events let through.
pub const BLOCK: u64 = 1;
/// End the domain, for a reason.
pub const SHUTDOWN: u64 = 2;
/// Wait for events of some ports, or for a time.
pub const POLL: u64 = 3;
/// Make another domain look as if it had shut itself down.
pub const REMOTE_SHUTDOWN: u64 = 4;
/// Set, prolong or stop a watchdog.
pub const WATCHDOG: u64 = 6;

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
