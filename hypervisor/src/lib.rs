//! What the hypervisor decides, apart from the machine: it runs under `cargo test` on any host.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod acpi;
mod bytes;
pub mod memory_map;
pub mod multiboot;
pub mod options;
