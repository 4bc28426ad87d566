//! Control of one domain (domctl.h), at the interface version of Xen 4.17.

use super::{DomId, plain};

/// What `interface_version` must be (`XEN_DOMCTL_INTERFACE_VERSION`).
pub const INTERFACE_VERSION: u32 = 0x15;

/// Make a domain.
pub const CREATE_DOMAIN: u32 = 1;
/// Destroy a domain.
pub const DESTROY_DOMAIN: u32 = 2;
/// Pause a domain.
pub const PAUSE_DOMAIN: u32 = 3;
/// Unpause a domain.
pub const UNPAUSE_DOMAIN: u32 = 4;
/// What a domain is doing.
pub const GET_DOMAIN_INFO: u32 = 5;
/// Where a vcpu may run.
pub const SET_VCPU_AFFINITY: u32 = 9;
/// The most memory a domain may have.
pub const MAX_MEM: u32 = 11;
/// A vcpu's registers, in.
pub const SET_VCPU_CONTEXT: u32 = 12;
/// A vcpu's registers, out.
pub const GET_VCPU_CONTEXT: u32 = 13;
/// What a vcpu is doing.
pub const GET_VCPU_INFO: u32 = 14;
/// How many vcpus a domain has.
pub const MAX_VCPUS: u32 = 15;
/// Scheduling parameters.
pub const SCHEDULER_OP: u32 = 16;
/// A domain's handle.
pub const SET_DOMAIN_HANDLE: u32 = 17;
/// Fill in a hypercall page.
pub const HYPERCALL_INIT: u32 = 22;
/// What to add to the host's time of day.
pub const SET_TIME_OFFSET: u32 = 24;
/// Where a vcpu may run, out.
pub const GET_VCPU_AFFINITY: u32 = 25;
/// Have a domain go on that had shut down.
pub const RESUME_DOMAIN: u32 = 27;
/// Whether a domain may use an interrupt.
pub const IRQ_PERMISSION: u32 = 19;
/// Whether a domain may map memory of devices.
pub const IOMEM_PERMISSION: u32 = 20;
/// Whether a domain may use ports.
pub const IOPORT_PERMISSION: u32 = 21;
/// How many bits the addresses of a domain have.
pub const SET_ADDRESS_SIZE: u32 = 35;
/// How many bits the addresses of a domain have, out.
pub const GET_ADDRESS_SIZE: u32 = 36;
/// How a domain sees the time stamp counter, out.
pub const GET_TSC_INFO: u32 = 59;
/// How a domain sees the time stamp counter.
pub const SET_TSC_INFO: u32 = 60;
/// What frames are used as (`XEN_DOMCTL_getpageframeinfo3`).
pub const GET_PAGE_FRAME_INFO: u32 = 61;
/// Which nodes' memory a domain prefers.
pub const SET_NODE_AFFINITY: u32 = 68;
/// Which nodes' memory a domain prefers, out.
pub const GET_NODE_AFFINITY: u32 = 69;
/// What a domain sees of CPUID.
pub const GET_CPU_POLICY: u32 = 82;
/// What a domain shall see of CPUID.
pub const SET_CPU_POLICY: u32 = 83;

/// The domain's devices may be behind an IOMMU (`XEN_DOMCTL_CDF_iommu`).
pub const CREATE_IOMMU: u32 = 1 << 5;

/// The domain is being destroyed (`XEN_DOMINF_dying`).
pub const DOMINF_DYING: u32 = 1 << 0;
/// The domain is HVM.
pub const DOMINF_HVM_GUEST: u32 = 1 << 1;
/// The domain has shut down; the reason is in bits 16 to 23.
pub const DOMINF_SHUTDOWN: u32 = 1 << 2;
/// The domain is paused by the toolstack.
pub const DOMINF_PAUSED: u32 = 1 << 3;
/// Every vcpu waits for an event.
pub const DOMINF_BLOCKED: u32 = 1 << 4;
/// A vcpu is running right now.
pub const DOMINF_RUNNING: u32 = 1 << 5;
/// Where the shutdown reason is in the flags.
pub const DOMINF_SHUTDOWN_SHIFT: u32 = 16;
/// How wide the shutdown reason is.
pub const DOMINF_SHUTDOWN_MASK: u32 = 255;
/// No vcpu at all (`XEN_INVALID_MAX_VCPU_ID`).
pub const INVALID_MAX_VCPU_ID: u32 = u32::MAX;

/// Use `cpumap_hard`.
pub const VCPU_AFFINITY_HARD: u32 = 1 << 0;
/// Use `cpumap_soft`.
pub const VCPU_AFFINITY_SOFT: u32 = 1 << 1;

/// `XEN_SCHEDULER_CREDIT`
pub const SCHEDULER_CREDIT: u32 = 5;
/// `XEN_SCHEDULER_CREDIT2`
pub const SCHEDULER_CREDIT2: u32 = 6;
/// `XEN_SCHEDULER_ARINC653`
pub const SCHEDULER_ARINC653: u32 = 7;
/// `XEN_SCHEDULER_RTDS`
pub const SCHEDULER_RTDS: u32 = 8;
/// `XEN_SCHEDULER_NULL`
pub const SCHEDULER_NULL: u32 = 9;
/// In a [`SchedulerOp`]: set (`XEN_DOMCTL_SCHEDOP_putinfo`).
pub const SCHEDOP_PUT: u32 = 0;
/// In a [`SchedulerOp`]: get (`XEN_DOMCTL_SCHEDOP_getinfo`).
pub const SCHEDOP_GET: u32 = 1;
/// The highest layout of grant tables, in `grant_opts` (`XEN_DOMCTL_GRANT_version_mask`).
pub const GRANT_VERSION_MASK: u32 = 0xf;
/// Where a page table's level begins (`XEN_DOMCTL_PFINFO_LTAB_SHIFT`).
pub const PFINFO_LTAB_SHIFT: u64 = 28;
/// It is pinned (`XEN_DOMCTL_PFINFO_LPINTAB`).
pub const PFINFO_LPINTAB: u64 = 1 << 31;
/// No frame of the domain (`XEN_DOMCTL_PFINFO_XTAB`).
pub const PFINFO_XTAB: u64 = 0xf << 28;

/// Architecture's part of a new domain's parameters (`xen_arch_domainconfig`); zero for PV.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ArchDomainConfig {
    /// `XEN_X86_EMU_*`.
    pub emulation_flags: u32,
    /// `XEN_X86_MSR_RELAXED`.
    pub misc_flags: u32,
}

/// Parameters of a new domain (`xen_domctl_createdomain`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CreateDomain {
    /// XSM label.
    pub ssidref: u32,
    /// The domain's UUID.
    pub handle: [u8; 16],
    /// `XEN_DOMCTL_CDF_*`; none for PV.
    pub flags: u32,
    /// `XEN_DOMCTL_IOMMU_*`.
    pub iommu_opts: u32,
    /// How many vcpus it may have.
    pub max_vcpus: u32,
    /// The highest event channel port.
    pub max_evtchn_port: u32,
    /// Grant frames at most; negative: the hypervisor's default.
    pub max_grant_frames: i32,
    /// Maptrack frames at most; negative: the hypervisor's default.
    pub max_maptrack_frames: i32,
    /// The highest grant table version, in the low 4 bits.
    pub grant_opts: u32,
    /// Trace buffer bytes per vcpu.
    pub vmtrace_size: u32,
    /// CPU pool.
    pub cpupool_id: u32,
    /// Architecture's part.
    pub arch: ArchDomainConfig,
}

/// What a domain is doing (`xen_domctl_getdomaininfo`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct GetDomainInfo {
    /// Which domain was found.
    pub domain: DomId,
    /// Padding.
    pub pad1: u16,
    /// `DOMINF_*`.
    pub flags: u32,
    /// Pages it has.
    pub tot_pages: u64,
    /// Pages it may have.
    pub max_pages: u64,
    /// Pages claimed and not yet allocated.
    pub outstanding_pages: u64,
    /// Pages shared with other domains.
    pub shr_pages: u64,
    /// Pages paged out.
    pub paged_pages: u64,
    /// Frame of its shared info page.
    pub shared_info_frame: u64,
    /// Processor time used, in ns.
    pub cpu_time: u64,
    /// Vcpus that are online.
    pub nr_online_vcpus: u32,
    /// The highest vcpu number.
    pub max_vcpu_id: u32,
    /// XSM label.
    pub ssidref: u32,
    /// UUID.
    pub handle: [u8; 16],
    /// CPU pool.
    pub cpupool: u32,
    /// Bits in a guest physical address.
    pub gpaddr_bits: u8,
    /// Padding.
    pub pad2: [u8; 7],
    /// Architecture's part.
    pub arch_config: ArchDomainConfig,
}

/// What a vcpu is doing (`xen_domctl_getvcpuinfo`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct GetVcpuInfo {
    /// Which vcpu (in).
    pub vcpu: u32,
    /// It is not hot-unplugged.
    pub online: u8,
    /// It waits for an event.
    pub blocked: u8,
    /// It runs right now.
    pub running: u8,
    /// Padding.
    pub pad: u8,
    /// Processor time used, in ns.
    pub cpu_time: u64,
    /// The processor it is on.
    pub cpu: u32,
    /// Padding.
    pub pad2: u32,
}

/// A vcpu's registers (`xen_domctl_vcpucontext`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct VcpuContext {
    /// Which vcpu.
    pub vcpu: u32,
    /// Padding.
    pub pad: u32,
    /// Address of a `vcpu_guest_context`.
    pub ctxt: u64,
}

/// A bitmap in the caller's memory (`xenctl_bitmap`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bitmap {
    /// Address of its bytes.
    pub bitmap: u64,
    /// How many bits count.
    pub nr_bits: u32,
    /// Padding.
    pub pad: u32,
}

/// Where a vcpu may run (`xen_domctl_vcpuaffinity`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct VcpuAffinity {
    /// Which vcpu.
    pub vcpu: u32,
    /// `VCPU_AFFINITY_*`.
    pub flags: u32,
    /// Where it may run.
    pub cpumap_hard: Bitmap,
    /// Where it would rather run.
    pub cpumap_soft: Bitmap,
}

/// A domain's share of the processors (`xen_domctl_sched_credit`, `xen_domctl_sched_credit2`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SchedCredit {
    /// Its part of the processors, compared with that of others.
    pub weight: u16,
    /// The most it gets, in percent of one processor; 0: no limit.
    pub cap: u16,
}

/// Scheduling parameters (`xen_domctl_scheduler_op`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SchedulerOp {
    /// `SCHEDULER_*`.
    pub sched_id: u32,
    /// `SCHEDOP_*`.
    pub cmd: u32,
    /// What credit and credit2 have in their union.
    pub credit: SchedCredit,
    /// What other schedulers have there.
    pub pad: [u32; 3],
}

/// How a domain sees the time stamp counter (`xen_domctl_tsc_info`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TscInfo {
    /// 0: emulated where the host's is not good enough; 1: always; 2: never (xen-tscmode(7)).
    pub tsc_mode: u32,
    /// Frequency in kHz; 0: the host's.
    pub gtsc_khz: u32,
    /// How often the domain was migrated.
    pub incarnation: u32,
    /// Padding.
    pub pad: u32,
    /// ns since the domain began.
    pub elapsed_nsec: u64,
}

/// The operation's own part of a [`Domctl`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union DomctlBody {
    /// [`CREATE_DOMAIN`]
    pub createdomain: CreateDomain,
    /// [`GET_DOMAIN_INFO`]
    pub getdomaininfo: GetDomainInfo,
    /// [`SET_DOMAIN_HANDLE`]: UUID
    pub handle: [u8; 16],
    /// [`MAX_MEM`]: KiB
    pub max_mem_kib: u64,
    /// [`MAX_VCPUS`]
    pub max_vcpus: u32,
    /// [`SET_VCPU_CONTEXT`], [`GET_VCPU_CONTEXT`]
    pub vcpucontext: VcpuContext,
    /// [`GET_VCPU_INFO`]
    pub getvcpuinfo: GetVcpuInfo,
    /// [`SET_VCPU_AFFINITY`], [`GET_VCPU_AFFINITY`]
    pub vcpuaffinity: VcpuAffinity,
    /// [`SCHEDULER_OP`]
    pub scheduler_op: SchedulerOp,
    /// [`SET_TIME_OFFSET`]: seconds
    pub time_offset: i64,
    /// [`SET_TSC_INFO`]
    pub tsc_info: TscInfo,
    /// [`HYPERCALL_INIT`]: the frame of the page
    pub hypercall_gmfn: u64,
    /// [`SET_ADDRESS_SIZE`]: bits
    pub address_size: u32,
    /// The union's size.
    pub pad: [u8; 128],
}

/// The argument of the domctl hypercall (`xen_domctl`).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Domctl {
    /// Which operation.
    pub cmd: u32,
    /// [`INTERFACE_VERSION`].
    pub interface_version: u32,
    /// Which domain.
    pub domain: DomId,
    /// Padding.
    pub pad: [u16; 3],
    /// The operation's own part.
    pub u: DomctlBody,
}

plain!(
    Bitmap,
    CreateDomain,
    Domctl,
    GetDomainInfo,
    GetVcpuInfo,
    SchedulerOp,
    TscInfo,
    VcpuAffinity,
    VcpuContext,
);
