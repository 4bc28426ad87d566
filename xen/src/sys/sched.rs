//! Sharing the processors between domains.

use nix::errno::Errno;

use super::{DomId, Error, Hypervisor, Result};
use crate::abi::domctl::{self, DomctlBody, SchedCredit, SchedulerOp};
use crate::abi::sysctl::{self, GetCpuInfo, SysctlBody};
use crate::abi::{Plain, hypercall, sched};

/// A domain's share of the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Its part, compared with that of others; 256 at first.
    pub weight: u16,
    /// The most it gets, in percent of one processor; 0: no limit.
    pub cap: u16,
}

impl Hypervisor {
    /// The scheduler's name, as `xl info` has it.
    pub fn scheduler(&self) -> Result<&'static str> {
        Ok(match self.scheduler_number()? {
            domctl::SCHEDULER_CREDIT => "credit",
            domctl::SCHEDULER_CREDIT2 => "credit2",
            domctl::SCHEDULER_ARINC653 => "arinc653",
            domctl::SCHEDULER_RTDS => "rtds",
            domctl::SCHEDULER_NULL => "null",
            _ => "unknown",
        })
    }

    /// Lets other vcpus run, if any is ready.
    pub fn yield_now(&self) -> Result<()> {
        let args = [sched::YIELD, 0, 0, 0, 0];
        self.privcmd.hypercall("let others run", hypercall::SCHED_OP, args).map(drop)
    }

    fn scheduler_number(&self) -> Result<u32> {
        let u = SysctlBody { pad: [0; 128] };
        let answer = self.sysctl("ask for the scheduler", sysctl::SCHED_ID, u)?;
        // SAFETY: the hypervisor answers this request with a number.
        Ok(unsafe { answer.u.sched_id })
    }

    /// A domain's share of the processors; fails if the scheduler knows no weights.
    pub fn share(&self, domid: DomId) -> Result<Share> {
        let doing = format!("ask for the scheduling parameters of domain {domid}");
        let SchedCredit { weight, cap } = self.scheduler_op(
            doing,
            domid,
            domctl::SCHEDOP_GET,
            SchedCredit { weight: 0, cap: 0 },
        )?;
        Ok(Share { weight, cap })
    }

    /// Sets a domain's share of the processors; fails if the scheduler knows no weights.
    pub fn set_share(&self, domid: DomId, share: Share) -> Result<()> {
        let doing = format!("set the scheduling parameters of domain {domid}");
        let credit = SchedCredit { weight: share.weight, cap: share.cap };
        self.scheduler_op(doing, domid, domctl::SCHEDOP_PUT, credit).map(drop)
    }

    fn scheduler_op(
        &self,
        doing: String,
        domid: DomId,
        cmd: u32,
        credit: SchedCredit,
    ) -> Result<SchedCredit> {
        let sched_id = self.scheduler_number()?;
        // Only these two have the same parameters in the same place.
        if !matches!(sched_id, domctl::SCHEDULER_CREDIT | domctl::SCHEDULER_CREDIT2) {
            return Err(Error::new(doing, Errno::EOPNOTSUPP));
        }
        let mut u = DomctlBody { pad: [0; 128] };
        u.scheduler_op = SchedulerOp { sched_id, cmd, credit, pad: [0; 3] };
        let answer = self.domctl(&doing, domctl::SCHEDULER_OP, domid, u)?;
        // SAFETY: the hypervisor answers this request with this structure; all are integers.
        Ok(unsafe { answer.u.scheduler_op.credit })
    }

    /// How long each processor was idle since the host's start, in ns.
    pub fn cpu_idle_times(&self, cpus: u32) -> Result<Vec<u64>> {
        let buffer = self.privcmd.buffer(cpus as usize * size_of::<u64>())?;
        let mut u = SysctlBody { pad: [0; 128] };
        u.getcpuinfo =
            GetCpuInfo { max_cpus: cpus, info: buffer.address(), ..GetCpuInfo::zeroed() };
        let answer = self.sysctl("ask for processor times", sysctl::GET_CPU_INFO, u)?;
        // SAFETY: the hypervisor answers this request with this structure; all are integers.
        let count = unsafe { answer.u.getcpuinfo.nr_cpus };
        Ok(buffer.read::<u64>(count.min(cpus) as usize))
    }
}
