//! Guests in libvirt's domain XML, in and out: `read` makes a guest's settings of it, `write` the
//! other way round.

mod build;
pub mod metadata;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use build::Builder;
pub use read::{Device, device, domain};
pub use write::{Live, LiveVif, interface_name, write, write_foreign};
