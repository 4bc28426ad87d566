//! Delegated restarters: programs that start and stop instances in `svc.startd`'s place, as inetd
//! does (smf_restarter(7)). docs/restarter-protocol.md says how they talk; [`Restarter`] is a
//! connection for those written in Rust.

mod client;
mod wire;

pub use client::{DelegateError, Restarter};
pub use wire::{Event, LINE_MAX, Order, Report, Request, VERSION, Violation, line, parse};

use std::path::PathBuf;

/// Where `svc.startd` listens for restarters.
pub fn socket_path() -> PathBuf {
    crate::root("/run/svc/restarter.sock")
}
