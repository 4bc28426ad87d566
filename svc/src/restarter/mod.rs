//! The master restarter: what `svc.startd` is made of.
//!
//! [`engine`] is the dependency graph as a pure state machine: events in, actions out, no clock and
//! no processes. [`config`] reads an instance's description from the repository. [`run`] starts
//! methods and watches processes. [`daemon`] is the loop that joins them and writes the
//! `restarter` property groups that the commands show.

pub mod config;
pub mod context;
pub mod daemon;
mod death;
mod delegates;
pub mod engine;
mod follow;
mod log;
mod method;
mod numbers;
mod publish;
mod run;
mod spawn;
