//! Unpacks xz and LZMA files from memory to memory.
//!
//! Kernels are packed so, and the hypervisor unpacks one at each boot: no dictionary is kept beside
//! what comes out, and nothing is copied twice.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod bcj;
mod container;
mod lzma;
mod output;

pub use container::{MAGIC, unpack};
pub use lzma::unpack as unpack_lzma;
pub use output::Output;
