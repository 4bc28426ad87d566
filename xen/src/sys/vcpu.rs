//! Virtual processors: what they do, their registers, where they run, how they see time.

use super::{DomId, Hypervisor, Result};
use crate::abi::Plain;
use crate::abi::domctl::{self, DomctlBody, TscInfo};
use crate::abi::vcpu::GuestContext;

/// What a vcpu is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VcpuInfo {
    /// It is not hot-unplugged.
    pub online: bool,
    /// It waits for an event.
    pub blocked: bool,
    /// It runs right now.
    pub running: bool,
    /// Processor time used, in ns.
    pub cpu_time_ns: u64,
    /// The processor it is on.
    pub cpu: u32,
}

/// How a domain sees the time stamp counter (xen-tscmode(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TscMode {
    /// Emulated where the host's own isn't good enough.
    Default,
    /// Always emulated.
    Emulated,
    /// Never emulated: fast, and of another frequency after a migration.
    Native,
}

impl Hypervisor {
    /// What a vcpu is doing.
    pub fn vcpu_info(&self, domid: DomId, vcpu: u32) -> Result<VcpuInfo> {
        let mut u = DomctlBody { pad: [0; 128] };
        u.getvcpuinfo.vcpu = vcpu;
        let doing = format!("look at vcpu {vcpu} of domain {domid}");
        let answer = self.domctl(&doing, domctl::GET_VCPU_INFO, domid, u)?;
        // SAFETY: the hypervisor answers this request with this structure; all are integers.
        let info = unsafe { answer.u.getvcpuinfo };
        Ok(VcpuInfo {
            online: info.online != 0,
            blocked: info.blocked != 0,
            running: info.running != 0,
            cpu_time_ns: info.cpu_time,
            cpu: info.cpu,
        })
    }

    /// Sets a vcpu's registers: a `GuestContext` as wide as the domain's addresses are.
    pub fn set_vcpu_context<C: Plain>(&self, domid: DomId, vcpu: u32, context: &C) -> Result<()> {
        let buffer = self.privcmd.buffer_of(&[*context])?;
        let mut u = DomctlBody { pad: [0; 128] };
        u.vcpucontext = domctl::VcpuContext { vcpu, pad: 0, ctxt: buffer.address() };
        let doing = format!("set the registers of vcpu {vcpu} of domain {domid}");
        self.domctl(&doing, domctl::SET_VCPU_CONTEXT, domid, u).map(drop)
    }

    /// A vcpu's registers.
    pub fn get_vcpu_context(&self, domid: DomId, vcpu: u32) -> Result<GuestContext> {
        let buffer = self.privcmd.buffer(size_of::<GuestContext>())?;
        let mut u = DomctlBody { pad: [0; 128] };
        u.vcpucontext = domctl::VcpuContext { vcpu, pad: 0, ctxt: buffer.address() };
        let doing = format!("get the registers of vcpu {vcpu} of domain {domid}");
        self.domctl(&doing, domctl::GET_VCPU_CONTEXT, domid, u)?;
        Ok(buffer.read::<GuestContext>(1)[0])
    }

    /// The processors that a vcpu may run on, bit by bit, lowest first.
    pub fn vcpu_affinity(&self, domid: DomId, vcpu: u32, cpus: u32) -> Result<Vec<bool>> {
        let bytes = (cpus as usize).div_ceil(8);
        let buffer = self.privcmd.buffer(bytes)?;
        let mut u = DomctlBody { pad: [0; 128] };
        u.vcpuaffinity = domctl::VcpuAffinity {
            vcpu,
            flags: domctl::VCPU_AFFINITY_HARD,
            cpumap_hard: domctl::Bitmap { bitmap: buffer.address(), nr_bits: cpus, pad: 0 },
            cpumap_soft: domctl::Bitmap { bitmap: 0, nr_bits: 0, pad: 0 },
        };
        let doing = format!("ask where vcpu {vcpu} of domain {domid} may run");
        self.domctl(&doing, domctl::GET_VCPU_AFFINITY, domid, u)?;
        let map = buffer.read::<u8>(bytes);
        Ok((0..cpus as usize).map(|cpu| map[cpu / 8] >> (cpu % 8) & 1 == 1).collect())
    }

    /// Says where a vcpu may run; bit by bit, lowest first.
    pub fn set_vcpu_affinity(&self, domid: DomId, vcpu: u32, cpus: &[bool]) -> Result<()> {
        let mut map = vec![0_u8; cpus.len().div_ceil(8)];
        for (cpu, _) in cpus.iter().enumerate().filter(|(_, may)| **may) {
            map[cpu / 8] |= 1 << (cpu % 8);
        }
        let buffer = self.privcmd.buffer_of(&map)?;
        let nr_bits = cpus.len() as u32;
        let mut u = DomctlBody { pad: [0; 128] };
        u.vcpuaffinity = domctl::VcpuAffinity {
            vcpu,
            flags: domctl::VCPU_AFFINITY_HARD,
            cpumap_hard: domctl::Bitmap { bitmap: buffer.address(), nr_bits, pad: 0 },
            cpumap_soft: domctl::Bitmap { bitmap: 0, nr_bits: 0, pad: 0 },
        };
        let doing = format!("pin vcpu {vcpu} of domain {domid}");
        self.domctl(&doing, domctl::SET_VCPU_AFFINITY, domid, u).map(drop)
    }

    /// Says how a domain, all its vcpus, sees the time stamp counter.
    pub fn set_tsc_mode(&self, domid: DomId, mode: TscMode) -> Result<()> {
        let tsc_mode = match mode {
            TscMode::Default => 0,
            TscMode::Emulated => 1,
            TscMode::Native => 2,
        };
        let mut u = DomctlBody { pad: [0; 128] };
        u.tsc_info = TscInfo { tsc_mode, gtsc_khz: 0, incarnation: 0, pad: 0, elapsed_nsec: 0 };
        let doing = format!("set the time stamp counter of domain {domid}");
        self.domctl(&doing, domctl::SET_TSC_INFO, domid, u).map(drop)
    }
}
