//! Small PV kernels that exercise a hypervisor as domain 0: they need nothing but the public ABI,
//! so that they run on ours and on stock Xen.
//!
//! `checks` makes each hypercall with good and with bad arguments and prints a line for each
//! answer; `fuzz` throws random ones. What both are made of is here.

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
