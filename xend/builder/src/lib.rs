//! The PV domain builder: puts a kernel into a new domain so that its first vcpu can run.
//!
//! In order: [`Kernel`] is unpacked and checked, without any domain; [`layout`] decides what goes to
//! which page; [`tables`] makes the page tables. All that needs no operating system: the hypervisor
//! builds domain 0 with it. With feature `domain`, `Guest` does the rest for the toolstack: it gives
//! a domain its memory, writes all of it, and sets the first vcpu's registers. The domain stays
//! paused.
//!
//! What a PV kernel expects of its start is written in Xen's public headers: `xen.h` (start of day
//! memory layout, above `struct start_info`) and `elfnote.h`.

#![cfg_attr(not(any(test, feature = "domain")), no_std)]

extern crate alloc;

mod error;
#[cfg(feature = "domain")]
mod guest;
mod image;
pub mod layout;
#[cfg(feature = "domain")]
mod memory;
#[cfg(feature = "domain")]
mod narrow;
#[cfg(feature = "domain")]
mod start;
pub mod tables;
mod width;

use xen::abi::PAGE_SIZE;

pub use error::Error;
#[cfg(feature = "domain")]
pub use guest::{Built, Guest, Spec};
#[cfg(feature = "domain")]
pub use image::is_packed;
pub use image::{Kernel, MAX_KERNEL, Segment, unpack};
pub use width::Width;

/// The physical address of a page.
#[cfg(feature = "domain")]
fn physical(pfn: u64) -> u64 {
    pfn << xen::abi::PAGE_SHIFT
}

/// Pages for that many bytes.
pub(crate) fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_SIZE as u64)
}
