//! Xen's public ABI for x86-64, and what a Linux control domain needs to speak it.
//!
//! [`abi`] is plain data, `no_std`, shared by the hypervisor and the tools; a test compares every
//! constant and layout with Debian's `libxen-dev`. Feature `sys` adds [`sys`]: hypercalls, event
//! channels, foreign and grant mappings through the devices of Linux.
#![cfg_attr(not(feature = "sys"), no_std)]

pub mod abi;
#[cfg(feature = "sys")]
pub mod sys;
