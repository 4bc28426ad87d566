//! xend and its commands: guest files, domains and their devices, and the way to ask for them.

pub mod config;
pub mod domain;
pub mod host;
pub mod rpc;
pub mod settings;
pub mod sxp;
