//! The store: a tree of small values through which domains and toolstack talk, as xenstored
//! documents it, and the client that everything else in the control domain uses.

pub mod client;
pub mod perms;
pub mod wire;
