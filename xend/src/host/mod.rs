//! What xend works on: the hypervisor and the store, each behind a seam.
//!
//! The seams exist so that every step of a domain's life can be made to fail in a test; `xen` and
//! `xenstore` are what runs.

#[cfg(test)]
pub mod fake;
mod hypervisor;
pub mod kernels;
mod priority;
mod store;
pub mod xen;
pub mod xenstore;

pub use hypervisor::{DomId, Hypervisor, Image, Info, Ports, Rings, Share, Stop, Vcpu};
pub use store::{Change, Perms, Store, Stores, wait};

/// Something the hypervisor or the store would not do; a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

impl HostError {
    /// What was tried, and why it failed.
    pub fn new(doing: &str, why: impl std::fmt::Display) -> Self {
        Self(format!("cannot {doing}: {why}"))
    }
}

/// What a call to the host gives.
pub type Result<T> = std::result::Result<T, HostError>;
