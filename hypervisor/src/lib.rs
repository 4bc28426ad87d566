//! What the hypervisor decides, apart from the machine: it runs under `cargo test` on any host.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod acpi;
pub mod apic;
pub mod bitmap;
mod bytes;
pub mod calibration;
pub mod channels;
pub mod clock;
pub mod credit;
pub mod debug;
pub mod fifo;
pub mod grants;
pub mod ioapic;
pub mod loglevel;
pub mod memory_map;
pub mod multiboot;
pub mod narrow;
pub mod options;
pub mod paging;
pub mod pci;
pub mod power;
pub mod rtc;
pub mod segments;
pub mod symbols;
pub mod trampoline;
pub mod vectors;
pub mod writes;
