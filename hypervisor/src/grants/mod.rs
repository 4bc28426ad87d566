//! Grant tables: what a domain lets others use of its memory, and who uses it.
//!
//! The granter writes entries, of one of two layouts, whenever it likes (grant_table.h). The
//! hypervisor reads an entry when somebody wants to use it, says in it that it is in use, and counts
//! how often; whoever uses a frame holds it by its own count, so that a granter that changes an
//! entry under use harms nobody.

mod entry;
pub mod maptrack;
mod table;

#[cfg(test)]
mod tests;

pub use entry::{Access, Held, Refused, What};
pub use table::{Memory, Table, TableError};
