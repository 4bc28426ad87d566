//! The real hypervisor, through `/dev/xen/privcmd`.

use std::path::Path;
use std::sync::Arc;

use builder::{Guest, MAX_KERNEL, Spec, Width};
use uuid::Uuid;
use xen::sys::{CreateDomain, DomainInfo, Error, ShutdownReason};

use super::kernels::Kernels;
use super::{DomId, HostError, Hypervisor, Image, Info, Ports, Result, Rings, Share, Stop, Vcpu};
use crate::config::{CpuSet, GuestConfig};

/// Pages are of this many KiB.
const PAGE_KIB: u64 = 4;
/// What a PV guest may have beyond its memory, in KiB, for pages that it gives back and takes
/// again (`LIBXL_MAXMEM_CONSTANT`).
const SLACK_KIB: u64 = 1024;
/// Where the backends of the store and of the console are.
const CONTROL_DOMAIN: DomId = 0;

/// The host's hypervisor.
#[derive(Debug)]
pub struct Xen {
    hypervisor: xen::sys::Hypervisor,
    kernels: Arc<Kernels>,
}

impl Xen {
    /// Opens the way to the hypervisor; guests' kernels are unpacked by `kernels`. Fails where there
    /// is no hypervisor, or where this is not its control domain.
    pub fn open(kernels: Arc<Kernels>) -> Result<Self> {
        let doing = "reach the hypervisor (is this the control domain of a Xen host?)";
        let hypervisor = xen::sys::Hypervisor::open();
        let hypervisor = hypervisor.map_err(|error| HostError::new(doing, error))?;
        Ok(Self { hypervisor, kernels })
    }

    fn processors(&self) -> Result<u32> {
        Ok(self.hypervisor.physinfo()?.max_cpu_id + 1)
    }

    /// Whether the hypervisor runs kernels of that kind.
    fn check_abi(&self, kernel: &Path, abi: &str) -> Result<()> {
        let capabilities = self.hypervisor.capabilities()?;
        if capabilities.split_whitespace().any(|word| word == abi) {
            return Ok(());
        }
        Err(HostError(format!(
            "{}: a 32-bit kernel ({abi}), which this hypervisor doesn't run; it runs {capabilities}",
            kernel.display()
        )))
    }

    fn pin_all(&self, domid: DomId, config: &GuestConfig) -> Result<()> {
        let sets = (0..config.maxvcpus).filter_map(|vcpu| Some((vcpu, config.cpus_of(vcpu)?)));
        sets.into_iter().try_for_each(|(vcpu, set)| self.pin(domid, vcpu, set))
    }
}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

fn pages(config: &GuestConfig) -> u64 {
    config.memory * 1024 / PAGE_KIB
}

impl From<builder::Error> for HostError {
    fn from(error: builder::Error) -> Self {
        Self(error.to_string())
    }
}

impl Hypervisor for Xen {
    fn load(&self, config: &GuestConfig) -> Result<Image> {
        let unpack = |packed| builder::unpack(packed, MAX_KERNEL);
        let unpack = |packed| self.kernels.unpacked(packed, unpack);
        let guest = Guest::load(&config.kernel, config.ramdisk.as_deref(), unpack)?;
        if guest.width() == Width::Bits32 {
            self.check_abi(&config.kernel, "xen-3.0-x86_32p")?;
        }
        guest.layout(pages(config), &config.cmdline())?;
        Ok(Image(Some(guest)))
    }

    fn create(&self, uuid: Uuid, config: &GuestConfig) -> Result<DomId> {
        let handle = uuid.into_bytes();
        Ok(self.hypervisor.domain_create(&CreateDomain {
            domid: None,
            handle,
            max_vcpus: config.maxvcpus,
        })?)
    }

    fn limit(&self, domid: DomId, config: &GuestConfig) -> Result<()> {
        self.hypervisor.max_vcpus(domid, config.maxvcpus)?;
        self.hypervisor.set_max_mem(domid, config.maxmem * 1024 + SLACK_KIB)?;
        self.pin_all(domid, config)
    }

    fn ports(&self, domid: DomId) -> Result<Ports> {
        let port = || self.hypervisor.alloc_unbound_evtchn(domid, CONTROL_DOMAIN);
        Ok(Ports { store: port()?, console: port()? })
    }

    fn build(
        &self,
        domid: DomId,
        config: &GuestConfig,
        image: &Image,
        ports: Ports,
    ) -> Result<Rings> {
        let guest = image.0.as_ref().ok_or_else(|| HostError("no kernel is loaded".to_owned()))?;
        let built = guest.build(
            &self.hypervisor,
            &Spec {
                domid,
                cmdline: config.cmdline(),
                memory_pages: pages(config),
                store_evtchn: ports.store,
                console_evtchn: ports.console,
            },
        )?;
        Ok(Rings { store: built.store_mfn, console: built.console_mfn })
    }

    fn set_max_memory(&self, domid: DomId, mib: u64) -> Result<()> {
        Ok(self.hypervisor.set_max_mem(domid, mib * 1024 + SLACK_KIB)?)
    }

    fn pin(&self, domid: DomId, vcpu: u32, cpus: &CpuSet) -> Result<()> {
        let processors = self.processors()?;
        let may = |cpu| cpus.0.is_empty() || cpus.0.contains(&cpu);
        let map: Vec<bool> = (0..processors).map(may).collect();
        if !map.contains(&true) {
            let reason = format!("cpus = '{}': this host has {processors}", cpus.text());
            return Err(HostError(reason));
        }
        Ok(self.hypervisor.set_vcpu_affinity(domid, vcpu, &map)?)
    }

    fn share(&self, domid: DomId) -> Result<Share> {
        let share = self.hypervisor.share(domid)?;
        Ok(Share { weight: share.weight, cap: share.cap })
    }

    fn set_share(&self, domid: DomId, share: Share) -> Result<()> {
        let Share { weight, cap } = share;
        Ok(self.hypervisor.set_share(domid, xen::sys::Share { weight, cap })?)
    }

    fn pause(&self, domid: DomId) -> Result<()> {
        Ok(self.hypervisor.domain_pause(domid)?)
    }

    fn unpause(&self, domid: DomId) -> Result<()> {
        Ok(self.hypervisor.domain_unpause(domid)?)
    }

    fn set_uuid(&self, domid: DomId, uuid: Uuid) -> Result<()> {
        Ok(self.hypervisor.set_domain_handle(domid, uuid.into_bytes())?)
    }

    fn destroy(&self, domid: DomId) -> Result<()> {
        Ok(self.hypervisor.domain_destroy(domid)?)
    }

    fn info(&self, domid: DomId) -> Result<Option<Info>> {
        Ok(self.hypervisor.domain_info(domid)?.map(Info::from))
    }

    fn list(&self) -> Result<Vec<Info>> {
        Ok(self.hypervisor.domain_list()?.into_iter().map(Info::from).collect())
    }

    fn vcpus(&self, domid: DomId) -> Result<Vec<Vcpu>> {
        let Some(last) = self.hypervisor.domain_info(domid)?.and_then(|info| info.max_vcpu_id)
        else {
            return Ok(Vec::new());
        };
        let processors = self.processors()?;
        let vcpu = |number| {
            let info = self.hypervisor.vcpu_info(domid, number)?;
            let may = self.hypervisor.vcpu_affinity(domid, number, processors)?;
            let affinity = (0..).zip(may).filter_map(|(cpu, may)| may.then_some(cpu)).collect();
            let xen::sys::VcpuInfo { online, blocked, running, cpu_time_ns, cpu } = info;
            Ok(Vcpu { number, online, blocked, running, cpu_time_ns, cpu, affinity })
        };
        (0..=last).map(vcpu).collect()
    }

    fn free_kib(&self) -> Result<u64> {
        let info = self.hypervisor.physinfo()?;
        let free = (info.free_pages + info.scrub_pages).saturating_sub(info.outstanding_pages);
        Ok(free * PAGE_KIB)
    }
}

impl From<DomainInfo> for Info {
    fn from(info: DomainInfo) -> Self {
        Self {
            domid: info.domid,
            uuid: Uuid::from_bytes(info.handle),
            running: info.running,
            blocked: info.blocked,
            paused: info.paused,
            dying: info.dying,
            stopped: info.shutdown_reason.map(Stop::from),
            memory_kib: info.tot_pages * PAGE_KIB,
            // Without what a guest has beyond its memory.
            max_memory_kib: info.max_pages.saturating_mul(PAGE_KIB).saturating_sub(SLACK_KIB),
            online_vcpus: info.nr_online_vcpus,
            max_vcpus: info.max_vcpu_id.map_or(0, |last| last + 1),
            cpu_time_ns: info.cpu_time_ns,
        }
    }
}

impl From<ShutdownReason> for Stop {
    fn from(reason: ShutdownReason) -> Self {
        match reason {
            ShutdownReason::Poweroff => Self::Poweroff,
            ShutdownReason::Reboot => Self::Reboot,
            ShutdownReason::Suspend => Self::Suspend,
            ShutdownReason::Crash => Self::Crash,
            ShutdownReason::Watchdog => Self::Watchdog,
            other => Self::Other(u32::from(other.number())),
        }
    }
}
