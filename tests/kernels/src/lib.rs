//! Small PV kernels that exercise a hypervisor: they need nothing but the public ABI, so that they
//! run on ours and on stock Xen.
//!
//! As domain 0, `checks` makes each hypercall with good and with bad arguments and prints a line for
//! each answer, and `fuzz` throws random ones; `small` is a guest. What they are made of is here.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod random;

#[cfg(feature = "image")]
pub mod answer;
#[cfg(feature = "image")]
pub mod events;
#[cfg(feature = "image")]
pub mod hypercall;
#[cfg(feature = "image")]
pub mod memory;
#[cfg(feature = "image")]
pub mod program;
#[cfg(feature = "image")]
pub mod start;
#[cfg(feature = "image")]
pub mod traps;
