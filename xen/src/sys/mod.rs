//! How a Linux control domain talks to the hypervisor: the devices under `/dev/xen`.

mod buffer;
mod domain;
mod error;
mod evtchn;
mod gntalloc;
mod gntdev;
mod host;
mod hypervisor;
mod ioctl;
mod mapping;
mod memory;
mod privcmd;
mod sched;
mod vcpu;
mod xenfs;

pub use domain::{CreateDomain, DomainInfo, ShutdownReason};
pub use error::Error;
pub use evtchn::{Evtchn, Port};
pub use gntalloc::Gntalloc;
pub use gntdev::Gntdev;
pub use host::{Physinfo, Version};
pub use hypervisor::Hypervisor;
pub use mapping::Mapping;
pub use privcmd::Privcmd;
pub use sched::Share;
pub use vcpu::{TscMode, VcpuInfo};
pub use xenfs::{is_control_domain, store_ring};

pub use crate::abi::DomId;

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;
