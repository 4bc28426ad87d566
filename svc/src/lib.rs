//! The service framework's library: names, typed values, the repository and its client,
//! manifests. The daemons and the commands of this package are made of it.

// Test builders that the commands share name this crate as they do.
#[cfg(test)]
extern crate self as svc;

pub mod cli;
pub mod clock;
pub mod compose;
pub mod contract;
pub mod delegate;
pub mod fmri;
pub mod getopt;
pub mod glob;
pub mod host;
pub mod manifest;
pub mod memory;
pub mod program;
pub mod rc;
pub mod reap;
pub mod repo;
pub mod restarter;
mod root;
pub mod state;
pub mod template;
pub mod value;

pub use root::root;
