//! Domains: made, found, controlled, destroyed. Their vcpus and memory have modules of their own.

use nix::errno::Errno;

use super::{DomId, Hypervisor, Port, Result};
use crate::abi::domctl::{self, DomctlBody, GetDomainInfo};
use crate::abi::evtchn::AllocUnbound;
use crate::abi::sched::{self, RemoteShutdown};
use crate::abi::sysctl::{self, GetDomainInfoList, SysctlBody};
use crate::abi::{Plain, evtchn, hypercall};

/// Parameters of a new PV domain.
#[derive(Debug, Clone, Copy)]
pub struct CreateDomain {
    /// The number it shall have; `None`: the hypervisor chooses.
    pub domid: Option<DomId>,
    /// UUID.
    pub handle: [u8; 16],
    /// How many vcpus it may have.
    pub max_vcpus: u32,
}

/// Why a domain shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownReason {
    /// Powered off.
    Poweroff,
    /// Asked for a reboot.
    Reboot,
    /// Suspended.
    Suspend,
    /// Crashed.
    Crash,
    /// Its watchdog ran out.
    Watchdog,
    /// Asked to be reset in place.
    SoftReset,
    /// A number that no header knows.
    Unknown(u8),
}

impl ShutdownReason {
    /// The reason with this number (`SHUTDOWN_*`, sched.h).
    pub fn from_number(number: u8) -> Self {
        match number {
            sched::SHUTDOWN_POWEROFF => Self::Poweroff,
            sched::SHUTDOWN_REBOOT => Self::Reboot,
            sched::SHUTDOWN_SUSPEND => Self::Suspend,
            sched::SHUTDOWN_CRASH => Self::Crash,
            sched::SHUTDOWN_WATCHDOG => Self::Watchdog,
            sched::SHUTDOWN_SOFT_RESET => Self::SoftReset,
            other => Self::Unknown(other),
        }
    }

    /// The number of this reason.
    pub fn number(self) -> u8 {
        match self {
            Self::Poweroff => sched::SHUTDOWN_POWEROFF,
            Self::Reboot => sched::SHUTDOWN_REBOOT,
            Self::Suspend => sched::SHUTDOWN_SUSPEND,
            Self::Crash => sched::SHUTDOWN_CRASH,
            Self::Watchdog => sched::SHUTDOWN_WATCHDOG,
            Self::SoftReset => sched::SHUTDOWN_SOFT_RESET,
            Self::Unknown(other) => other,
        }
    }
}

/// What a domain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainInfo {
    /// Its number.
    pub domid: DomId,
    /// It is being destroyed.
    pub dying: bool,
    /// It has shut down because of a crash.
    pub crashed: bool,
    /// It has shut down.
    pub shutdown: bool,
    /// It is paused by the toolstack.
    pub paused: bool,
    /// Every vcpu waits for an event.
    pub blocked: bool,
    /// A vcpu is running right now.
    pub running: bool,
    /// Why it shut down.
    pub shutdown_reason: Option<ShutdownReason>,
    /// Pages it has.
    pub tot_pages: u64,
    /// Pages it may have.
    pub max_pages: u64,
    /// Machine frame of its shared info page.
    pub shared_info_frame: u64,
    /// Processor time used, in ns.
    pub cpu_time_ns: u64,
    /// Vcpus that are online.
    pub nr_online_vcpus: u32,
    /// The highest vcpu number, or none.
    pub max_vcpu_id: Option<u32>,
    /// UUID.
    pub handle: [u8; 16],
    /// XSM label.
    pub ssidref: u32,
    /// CPU pool.
    pub cpupool: u32,
}

impl From<GetDomainInfo> for DomainInfo {
    fn from(info: GetDomainInfo) -> Self {
        let flag = |bit| info.flags & bit != 0;
        let shutdown = flag(domctl::DOMINF_SHUTDOWN);
        let reason = info.flags >> domctl::DOMINF_SHUTDOWN_SHIFT & domctl::DOMINF_SHUTDOWN_MASK;
        let shutdown_reason = shutdown.then(|| ShutdownReason::from_number(reason as u8));
        Self {
            domid: info.domain,
            dying: flag(domctl::DOMINF_DYING),
            crashed: shutdown_reason == Some(ShutdownReason::Crash),
            shutdown,
            paused: flag(domctl::DOMINF_PAUSED),
            blocked: flag(domctl::DOMINF_BLOCKED),
            running: flag(domctl::DOMINF_RUNNING),
            shutdown_reason,
            tot_pages: info.tot_pages,
            max_pages: info.max_pages,
            shared_info_frame: info.shared_info_frame,
            cpu_time_ns: info.cpu_time,
            nr_online_vcpus: info.nr_online_vcpus,
            max_vcpu_id: Some(info.max_vcpu_id).filter(|id| *id != domctl::INVALID_MAX_VCPU_ID),
            handle: info.handle,
            ssidref: info.ssidref,
            cpupool: info.cpupool,
        }
    }
}

/// How many domains one call asks for.
const LIST_CHUNK: u32 = 128;
/// The two-level event channel ABI's number of ports, less one.
const MAX_EVTCHN_PORT: u32 = 1023;

impl Hypervisor {
    fn simple(&self, doing: &str, cmd: u32, domid: DomId) -> Result<()> {
        let doing = format!("{doing} domain {domid}");
        self.domctl(&doing, cmd, domid, DomctlBody { pad: [0; 128] }).map(drop)
    }

    /// Makes a domain without memory, paused once.
    pub fn domain_create(&self, new: &CreateDomain) -> Result<DomId> {
        let createdomain = domctl::CreateDomain {
            handle: new.handle,
            max_vcpus: new.max_vcpus,
            max_evtchn_port: MAX_EVTCHN_PORT,
            max_grant_frames: -1,
            max_maptrack_frames: -1,
            grant_opts: 2,
            ..domctl::CreateDomain::zeroed()
        };
        let mut u = DomctlBody { pad: [0; 128] };
        u.createdomain = createdomain;
        // 0 asks for any free number (domctl.h).
        let domid = new.domid.unwrap_or(0);
        Ok(self.domctl("create a domain", domctl::CREATE_DOMAIN, domid, u)?.domain)
    }

    /// Destroys a domain; returns when its memory is free.
    pub fn domain_destroy(&self, domid: DomId) -> Result<()> {
        loop {
            match self.simple("destroy", domctl::DESTROY_DOMAIN, domid) {
                // Long work is done in pieces (domctl.h).
                Err(error) if error.errno() == Errno::EAGAIN => {}
                done => return done,
            }
        }
    }

    /// Pauses a domain; pauses are counted.
    pub fn domain_pause(&self, domid: DomId) -> Result<()> {
        self.simple("pause", domctl::PAUSE_DOMAIN, domid)
    }

    /// Takes one pause back.
    pub fn domain_unpause(&self, domid: DomId) -> Result<()> {
        self.simple("unpause", domctl::UNPAUSE_DOMAIN, domid)
    }

    /// Gives a domain another UUID.
    pub fn set_domain_handle(&self, domid: DomId, handle: [u8; 16]) -> Result<()> {
        let mut u = DomctlBody { pad: [0; 128] };
        u.handle = handle;
        let doing = format!("give domain {domid} another UUID");
        self.domctl(&doing, domctl::SET_DOMAIN_HANDLE, domid, u).map(drop)
    }

    /// Sets by how many seconds a domain's time of day differs from the host's.
    pub fn set_time_offset(&self, domid: DomId, seconds: i64) -> Result<()> {
        let mut u = DomctlBody { pad: [0; 128] };
        u.time_offset = seconds;
        let doing = format!("set the time of day of domain {domid}");
        self.domctl(&doing, domctl::SET_TIME_OFFSET, domid, u).map(drop)
    }

    /// What one domain is doing, or `None` if there is no such domain.
    pub fn domain_info(&self, domid: DomId) -> Result<Option<DomainInfo>> {
        Ok(self.list_from(domid, 1)?.into_iter().find(|info| info.domid == domid))
    }

    /// All domains, in the order of their numbers.
    pub fn domain_list(&self) -> Result<Vec<DomainInfo>> {
        let mut all: Vec<DomainInfo> = Vec::new();
        loop {
            let first = all.last().map_or(0, |last| last.domid + 1);
            let some = self.list_from(first, LIST_CHUNK)?;
            let more = some.len() == LIST_CHUNK as usize;
            all.extend(some);
            if !more {
                return Ok(all);
            }
        }
    }

    fn list_from(&self, first_domain: DomId, max_domains: u32) -> Result<Vec<DomainInfo>> {
        let room = max_domains as usize;
        let buffer = self.privcmd.buffer(room * size_of::<GetDomainInfo>())?;
        let list = GetDomainInfoList {
            first_domain,
            max_domains,
            buffer: buffer.address(),
            ..GetDomainInfoList::zeroed()
        };
        let mut u = SysctlBody { pad: [0; 128] };
        u.getdomaininfolist = list;
        let answer = self.sysctl("list domains", sysctl::GET_DOMAIN_INFO_LIST, u)?;
        // SAFETY: the hypervisor answers a list request with a list; all are integers.
        let found = unsafe { answer.u.getdomaininfolist.num_domains } as usize;
        let infos = buffer.read::<GetDomainInfo>(found.min(room));
        Ok(infos.into_iter().map(DomainInfo::from).collect())
    }

    /// Makes a domain look as if it had shut itself down.
    pub fn domain_shutdown(&self, domid: DomId, reason: ShutdownReason) -> Result<()> {
        let reason = u32::from(reason.number());
        let argument = RemoteShutdown { domain_id: domid, pad: 0, reason };
        let buffer = self.privcmd.buffer_of(&[argument])?;
        let args = [sched::REMOTE_SHUTDOWN, buffer.address(), 0, 0, 0];
        self.privcmd
            .hypercall(&format!("shut down domain {domid}"), hypercall::SCHED_OP, args)
            .map(drop)
    }

    /// Says how many bits a domain's addresses have, 32 or 64; it has no memory yet.
    pub fn set_address_size(&self, domid: DomId, bits: u32) -> Result<()> {
        let mut u = DomctlBody { pad: [0; 128] };
        u.address_size = bits;
        let doing = format!("make domain {domid} one of {bits} bits");
        self.domctl(&doing, domctl::SET_ADDRESS_SIZE, domid, u).map(drop)
    }

    /// Sets how many vcpus a domain has.
    pub fn max_vcpus(&self, domid: DomId, vcpus: u32) -> Result<()> {
        let mut u = DomctlBody { pad: [0; 128] };
        u.max_vcpus = vcpus;
        let doing = format!("give domain {domid} {vcpus} vcpus");
        self.domctl(&doing, domctl::MAX_VCPUS, domid, u).map(drop)
    }

    /// Makes an event channel port in `domid` that `remote` may bind to.
    pub fn alloc_unbound_evtchn(&self, domid: DomId, remote: DomId) -> Result<Port> {
        let argument = AllocUnbound { dom: domid, remote_dom: remote, port: 0 };
        let buffer = self.privcmd.buffer_of(&[argument])?;
        let args = [evtchn::ALLOC_UNBOUND, buffer.address(), 0, 0, 0];
        let doing = format!("make an event channel in domain {domid}");
        self.privcmd.hypercall(&doing, hypercall::EVENT_CHANNEL_OP, args)?;
        Ok(buffer.read::<AllocUnbound>(1)[0].port)
    }
}
