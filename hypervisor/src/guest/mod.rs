//! What the hypervisor does for the vcpu that runs: its memory, its traps, its instructions.

pub mod bounce;
pub mod emulate;
pub mod memory;
mod narrow;
pub mod traps;
pub mod writes;
