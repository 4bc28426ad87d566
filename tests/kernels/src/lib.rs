//! Small PV kernels that exercise a hypervisor: they need nothing but the public ABI, so that they
//! run on ours and on stock Xen.
//!
//! As domain 0, `checks` makes each hypercall with good and with bad arguments and prints a line for
//! each answer, and `fuzz` throws random ones; `small` is a guest, of 64 bits or of 32, and `narrow`
//! checks what there is for guests of 32 bits. What they are made of is here; what is another thing
//! with 32 bits has the same name in `narrow/`.

#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(feature = "kernel")]
pub mod answer;
#[cfg(feature = "kernel")]
mod arguments;
#[cfg(feature = "kernel")]
pub mod flag;
pub mod random;
#[cfg(feature = "kernel")]
pub mod ring;
#[cfg(feature = "kernel")]
pub mod start;

#[cfg(all(feature = "kernel", target_pointer_width = "32"))]
#[path = "narrow"]
mod of_this_width {
    pub(crate) mod entry;
    pub mod events;
    pub mod hypercall;
    mod library;
    pub mod memory;
    pub mod traps;
}

#[cfg(all(feature = "kernel", target_pointer_width = "64"))]
#[path = ""]
mod of_this_width {
    pub(crate) mod entry;
    pub mod events;
    pub mod hypercall;
    pub mod memory;
    pub mod program;
    pub mod traps;
    pub mod vcpu;
}

#[cfg(feature = "kernel")]
pub use of_this_width::*;
