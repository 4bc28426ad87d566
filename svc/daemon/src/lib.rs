//! How a daemon of ours starts under a contract service, and how it hears of signals.
//!
//! A start method must return once the service is usable, so a daemon forks: the parent waits
//! for the child's word on a pipe and exits with 0 when the child is ready, or prints the child's
//! reason and exits with its status (smf_method(7)). In the foreground nothing is forked.

mod detach;
mod log;
mod pidfile;
mod signals;

pub use detach::{Error, Options, PidGuard, Ready, detach};
pub use log::LogTo;
pub use signals::Signals;

/// Exit statuses of a start method that startd treats apart (smf_method(7)).
pub mod exit {
    /// Fatal: no retry, straight to maintenance (`SMF_EXIT_ERR_FATAL`).
    pub const FATAL: u8 = 95;
    /// The configuration is wrong: no retry (`SMF_EXIT_ERR_CONFIG`).
    pub const CONFIG: u8 = 96;
    /// Permission is missing: no retry (`SMF_EXIT_ERR_PERM`).
    pub const PERM: u8 = 100;
}
