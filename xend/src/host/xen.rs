//! The real hypervisor.
