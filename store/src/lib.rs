//! The store: a tree of small values through which domains and toolstack talk, as xenstored
//! documents it, and the client that everything else in the control domain uses.
//!
//! From the outside in: [`daemon`] moves bytes between sockets, rings and the [`store::Store`];
//! [`process`] answers one request at a time; [`operation`] and [`transaction`] say what a request
//! does to the [`tree`]; every step comes out as a [`change::Change`] that the [`journal`] keeps
//! before anybody sees its consequences, so that a killed daemon goes on where it was.

pub mod change;
pub mod client;
mod codec;
pub mod connection;
mod control;
pub mod daemon;
mod event;
pub mod journal;
pub mod lifecycle;
pub mod link;
pub mod operation;
pub mod path;
pub mod perms;
pub mod process;
pub mod quota;
pub mod request;
pub mod ring;
pub mod store;
#[cfg(test)]
mod survival;
pub mod transaction;
pub mod tree;
pub mod watch;
pub mod wire;
