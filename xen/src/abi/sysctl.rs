//! Control of the host (sysctl.h), at the interface version of Xen 4.17.

use super::{DomId, plain};

/// What `interface_version` must be (`XEN_SYSCTL_INTERFACE_VERSION`).
pub const INTERFACE_VERSION: u32 = 0x15;

/// The hypervisor's console ring.
pub const READ_CONSOLE: u32 = 1;
/// Processors and memory.
pub const PHYSINFO: u32 = 3;
/// Which scheduler.
pub const SCHED_ID: u32 = 4;
/// Many domains at once.
pub const GET_DOMAIN_INFO_LIST: u32 = 6;
/// Press debug keys.
pub const DEBUG_KEYS: u32 = 7;
/// How long each processor was idle.
pub const GET_CPU_INFO: u32 = 8;
/// Cores and sockets.
pub const CPU_TOPO_INFO: u32 = 16;
/// Nodes of memory.
pub const NUMA_INFO: u32 = 17;
/// Pools of processors.
pub const CPUPOOL_OP: u32 = 18;
/// How the scheduler is set.
pub const SCHEDULER_OP: u32 = 19;
/// Words of CPU features.
pub const GET_CPU_FEATURESET: u32 = 26;
/// CPUID, leaf by leaf.
pub const GET_CPU_POLICY: u32 = 29;

/// What there is to say of a pool (`XEN_SYSCTL_CPUPOOL_OP_INFO`).
pub const CPUPOOL_INFO: u32 = 3;
/// Another pool for a domain (`XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN`).
pub const CPUPOOL_MOVEDOMAIN: u32 = 6;
/// Processors of no pool (`XEN_SYSCTL_CPUPOOL_OP_FREEINFO`).
pub const CPUPOOL_FREEINFO: u32 = 7;
/// Set (`XEN_SYSCTL_SCHEDOP_putinfo`).
pub const SCHEDOP_PUT: u32 = 0;
/// Get (`XEN_SYSCTL_SCHEDOP_getinfo`).
pub const SCHEDOP_GET: u32 = 1;

/// Features as the processor has them.
pub const CPU_FEATURESET_RAW: u32 = 0;
/// Those that the hypervisor uses.
pub const CPU_FEATURESET_HOST: u32 = 1;
/// Those that PV guests see.
pub const CPU_FEATURESET_PV: u32 = 2;
/// Those that HVM guests see.
pub const CPU_FEATURESET_HVM: u32 = 3;
/// Those that PV guests may see.
pub const CPU_FEATURESET_PV_MAX: u32 = 4;
/// Those that HVM guests may see.
pub const CPU_FEATURESET_HVM_MAX: u32 = 5;
/// CPUID as the processor has it.
pub const CPU_POLICY_RAW: u32 = 0;
/// What the hypervisor uses of it.
pub const CPU_POLICY_HOST: u32 = 1;
/// What PV guests may see.
pub const CPU_POLICY_PV_MAX: u32 = 2;
/// What HVM guests may see.
pub const CPU_POLICY_HVM_MAX: u32 = 3;
/// What PV guests see.
pub const CPU_POLICY_PV_DEFAULT: u32 = 4;
/// What HVM guests see.
pub const CPU_POLICY_HVM_DEFAULT: u32 = 5;
/// A leaf without subleaves (`XEN_CPUID_NO_SUBLEAF`).
pub const CPUID_NO_SUBLEAF: u32 = u32::MAX;

/// `XEN_SYSCTL_PHYSCAP_hvm`
pub const PHYSCAP_HVM: u32 = 1 << 0;
/// `XEN_SYSCTL_PHYSCAP_pv`
pub const PHYSCAP_PV: u32 = 1 << 1;
/// `XEN_SYSCTL_PHYSCAP_directio`
pub const PHYSCAP_DIRECTIO: u32 = 1 << 2;

/// `XEN_SYSCTL_PHYSCAP_gnttab_v1`
pub const PHYSCAP_GRANTS_V1: u32 = 1 << 8;
/// `XEN_SYSCTL_PHYSCAP_gnttab_v2`
pub const PHYSCAP_GRANTS_V2: u32 = 1 << 9;

/// Reading the console ring (`xen_sysctl_readconsole`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ReadConsole {
    /// Empty the ring after reading.
    pub clear: u8,
    /// Start at `index`.
    pub incremental: u8,
    /// Padding.
    pub pad: [u8; 2],
    /// Where to start; where it ended.
    pub index: u32,
    /// Address of a buffer.
    pub buffer: u64,
    /// The buffer's size; bytes written.
    pub count: u32,
    /// Padding.
    pub pad2: u32,
}

/// Processors and memory (`xen_sysctl_physinfo`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Physinfo {
    /// Threads in a core.
    pub threads_per_core: u32,
    /// Cores in a socket.
    pub cores_per_socket: u32,
    /// Processors online.
    pub nr_cpus: u32,
    /// The highest processor number.
    pub max_cpu_id: u32,
    /// NUMA nodes.
    pub nr_nodes: u32,
    /// The highest node number.
    pub max_node_id: u32,
    /// Clock in kHz.
    pub cpu_khz: u32,
    /// `PHYSCAP_*`.
    pub capabilities: u32,
    /// Architecture's capabilities.
    pub arch_capabilities: u32,
    /// Padding.
    pub pad: u32,
    /// Pages in the machine.
    pub total_pages: u64,
    /// Free pages.
    pub free_pages: u64,
    /// Free pages that still hold old data.
    pub scrub_pages: u64,
    /// Pages claimed and not yet allocated.
    pub outstanding_pages: u64,
    /// The highest machine frame number.
    pub max_mfn: u64,
    /// CPUID feature words.
    pub hw_cap: [u32; 8],
}

/// Many domains at once (`xen_sysctl_getdomaininfolist`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct GetDomainInfoList {
    /// Where to begin.
    pub first_domain: DomId,
    /// Padding.
    pub pad: u16,
    /// How many fit in the buffer.
    pub max_domains: u32,
    /// Address of an array of `GetDomainInfo`.
    pub buffer: u64,
    /// How many were found.
    pub num_domains: u32,
    /// Padding.
    pub pad2: u32,
}

/// Debug keys (`xen_sysctl_debug_keys`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DebugKeys {
    /// Address of the keys.
    pub keys: u64,
    /// How many.
    pub nr_keys: u32,
    /// Padding.
    pub pad: u32,
}

/// Idle times (`xen_sysctl_getcpuinfo`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct GetCpuInfo {
    /// How many fit in the buffer.
    pub max_cpus: u32,
    /// Padding.
    pub pad: u32,
    /// Address of an array of ns, 8 bytes each (`xen_sysctl_cpuinfo`).
    pub info: u64,
    /// How many were written.
    pub nr_cpus: u32,
    /// Padding.
    pub pad2: u32,
}

/// The operation's own part of a [`Sysctl`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union SysctlBody {
    /// [`READ_CONSOLE`]
    pub readconsole: ReadConsole,
    /// [`PHYSINFO`]
    pub physinfo: Physinfo,
    /// [`SCHED_ID`]
    pub sched_id: u32,
    /// [`GET_DOMAIN_INFO_LIST`]
    pub getdomaininfolist: GetDomainInfoList,
    /// [`DEBUG_KEYS`]
    pub debug_keys: DebugKeys,
    /// [`GET_CPU_INFO`]
    pub getcpuinfo: GetCpuInfo,
    /// The union's size.
    pub pad: [u8; 128],
}

/// The argument of the sysctl hypercall (`xen_sysctl`).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sysctl {
    /// Which operation.
    pub cmd: u32,
    /// [`INTERFACE_VERSION`].
    pub interface_version: u32,
    /// The operation's own part.
    pub u: SysctlBody,
}

plain!(ReadConsole, Physinfo, GetDomainInfoList, DebugKeys, GetCpuInfo, Sysctl);
