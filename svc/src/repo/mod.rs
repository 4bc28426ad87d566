//! The repository as its clients see it: typed requests to `svc.configd` over a unix socket.
//!
//! Reading is free, but for the values in protected groups; to commit takes root, the user that
//! runs `svc.configd`, or the authorizations of smf_security(7). A request on a connection that
//! broke is said again on a new one, so clients outlive `svc.configd`.

pub mod actions;
mod client;
mod edit;
pub mod frame;
mod wire;

pub(crate) use client::Sent;
pub use client::{Repo, RepoError};
pub use edit::{Guard, guarded};
pub use wire::{Change, Changed, Code, Failure, Request, Response, Snapshot, View};

use std::path::PathBuf;

/// Where `svc.configd` listens.
pub fn socket_path() -> PathBuf {
    crate::root("/run/svc/repository.sock")
}

/// Names of an instance's snapshots (smf(7)).
pub mod snapshots {
    /// What was delivered first.
    pub const INITIAL: &str = "initial";
    /// What the latest import delivered; local changes show against it.
    pub const LAST_IMPORT: &str = "last-import";
    /// What was there before the latest import or revert.
    pub const PREVIOUS: &str = "previous";
    /// What methods, dependencies and readers see.
    pub const RUNNING: &str = "running";
    /// What the running processes were started with.
    pub const START: &str = "start";
}
