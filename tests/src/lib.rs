//! Whole-system tests: each group boots a dom0 in the emulator and works in it as a user does.
//!
//! A group is a test program without libtest's harness: a list of named cases that run one after
//! the other in one dom0, because a boot is what takes time. `cargo test -p tests --test GROUP --
//! WORD` runs the cases with `WORD` in their names.

pub mod compiler;
mod dom0;
mod guest;
mod runner;

pub use dom0::{Boot, Dom0, Output};
pub use guest::console_log;
pub use runner::{AloneCase, Case, Outcome, run_alone, run_boots, run_group};
