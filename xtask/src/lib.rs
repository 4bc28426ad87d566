//! What `cargo xtask` is made of: packages, programs, images, the emulator.
//!
//! The tests that boot use the same parts, so what they boot is what `cargo xtask run` boots.

pub mod bench;
pub mod clients;
pub mod cpio;
pub mod disk;
pub mod docs;
pub mod dom0;
pub mod flat;
mod groups;
pub mod guest;
pub mod host;
pub mod hypervisor;
pub mod image;
pub mod images;
pub mod kernels;
pub mod libraries;
pub mod manifests;
pub mod modules;
pub mod newer;
pub mod packages;
pub mod programs;
pub mod project;
pub mod qemu;
pub mod run;
pub mod step;
pub mod stock;
pub mod test;
pub mod tree;
