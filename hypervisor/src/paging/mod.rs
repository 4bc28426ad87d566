//! Page tables of PV guests: they are written by the guest and used by the processor, so that every
//! entry is checked and everything that entries refer to is counted.

pub mod counts;
pub mod entry;
pub mod epoch;
mod linear;
pub mod page;
mod rules;
pub mod shape;
mod update;
mod walk;
pub mod word;

#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod threads;

pub use rules::{Error, Machine, Rules};
pub use update::Outcome;
pub use walk::{Progress, Walk};
