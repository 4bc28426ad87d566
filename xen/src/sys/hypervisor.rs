//! The hypervisor as the toolstack sees it; operations are grouped in `domain`, `memory`, `host`.

use std::io;

use super::{DomId, Mapping, Privcmd, Result};
use crate::abi::domctl::{self, Domctl, DomctlBody};
use crate::abi::hypercall;
use crate::abi::sysctl::{self, Sysctl, SysctlBody};

/// Control operations, for the control domain.
#[derive(Debug)]
pub struct Hypervisor {
    pub(crate) privcmd: Privcmd,
}

impl Hypervisor {
    /// Opens the way to the hypervisor. Fails where there is none.
    pub fn open() -> io::Result<Self> {
        Ok(Self { privcmd: Privcmd::open()? })
    }

    /// Maps frames of a domain, in the given order; fails if any of them can't be mapped.
    pub fn map_foreign(&self, domid: DomId, frames: &[u64], writable: bool) -> Result<Mapping> {
        self.privcmd.map_foreign(domid, frames, writable)
    }

    /// Issues a domctl and gives back what the hypervisor made of it.
    pub(crate) fn domctl(
        &self,
        doing: &str,
        cmd: u32,
        domain: DomId,
        u: DomctlBody,
    ) -> Result<Domctl> {
        let interface_version = domctl::INTERFACE_VERSION;
        let call = Domctl { cmd, interface_version, domain, pad: [0; 3], u };
        let buffer = self.privcmd.buffer_of(&[call])?;
        self.privcmd.hypercall(doing, hypercall::DOMCTL, [buffer.address(), 0, 0, 0, 0])?;
        Ok(buffer.read::<Domctl>(1)[0])
    }

    /// Issues a sysctl and gives back what the hypervisor made of it.
    pub(crate) fn sysctl(&self, doing: &str, cmd: u32, u: SysctlBody) -> Result<Sysctl> {
        let call = Sysctl { cmd, interface_version: sysctl::INTERFACE_VERSION, u };
        let buffer = self.privcmd.buffer_of(&[call])?;
        self.privcmd.hypercall(doing, hypercall::SYSCTL, [buffer.address(), 0, 0, 0, 0])?;
        Ok(buffer.read::<Sysctl>(1)[0])
    }
}
