//! What a newer Debian than dom0's has: a virsh for dom0, and a kernel for guests.

mod apt;
pub mod kernel;
pub mod virsh;
