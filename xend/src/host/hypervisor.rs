//! The hypervisor as xend needs it.

use std::fmt;

use uuid::Uuid;

use super::Result;
use crate::config::{CpuSet, GuestConfig};

/// A domain's number.
pub type DomId = u16;

/// Why a domain stopped (`SHUTDOWN_*` of sched.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It powered off.
    Poweroff,
    /// It wants to be started anew.
    Reboot,
    /// It suspended itself.
    Suspend,
    /// It crashed.
    Crash,
    /// Its watchdog was not fed.
    Watchdog,
    /// Any other code.
    Other(u32),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poweroff => f.write_str("poweroff"),
            Self::Reboot => f.write_str("reboot"),
            Self::Suspend => f.write_str("suspend"),
            Self::Crash => f.write_str("crash"),
            Self::Watchdog => f.write_str("watchdog"),
            Self::Other(code) => write!(f, "shutdown code {code}"),
        }
    }
}

/// What the hypervisor says of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its number.
    pub domid: DomId,
    /// Its handle; all zeros for the control domain.
    pub uuid: Uuid,
    /// One of its vcpus runs at this moment.
    pub running: bool,
    /// None of its vcpus has anything to do.
    pub blocked: bool,
    /// It is kept from running.
    pub paused: bool,
    /// It is being destroyed.
    pub dying: bool,
    /// Why it stopped, if it did.
    pub stopped: Option<Stop>,
    /// The memory it has, in KiB.
    pub memory_kib: u64,
    /// The memory it may have, in KiB.
    pub max_memory_kib: u64,
    /// The vcpus it runs.
    pub online_vcpus: u32,
    /// The vcpus it has.
    pub max_vcpus: u32,
    /// The time its vcpus ran, in nanoseconds.
    pub cpu_time_ns: u64,
}

/// What the hypervisor says of a vcpu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vcpu {
    /// Its number.
    pub number: u32,
    /// The guest uses it.
    pub online: bool,
    /// It has nothing to do.
    pub blocked: bool,
    /// It runs at this moment.
    pub running: bool,
    /// The time it ran, in nanoseconds.
    pub cpu_time_ns: u64,
    /// The processor it is on.
    pub cpu: u32,
    /// The processors it may be on.
    pub affinity: Vec<u32>,
}

/// A domain's share of the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Its part, compared with that of others; 256 at first.
    pub weight: u16,
    /// The most it gets, in percent of one processor; 0: no limit.
    pub cap: u16,
}

/// The guest's ends of the event channels to the control domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// That of the store's ring.
    pub store: u32,
    /// That of the console's ring.
    pub console: u32,
}

/// Where the rings are that a guest shares with the control domain: machine frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rings {
    /// The store's.
    pub store: u64,
    /// The console's.
    pub console: u64,
}

/// A guest's kernel and ramdisk, read, checked and unpacked.
#[derive(Debug)]
pub struct Image(pub(super) Option<builder::Guest>);

/// The hypervisor.
pub trait Hypervisor: Send + Sync {
    /// Reads kernel and ramdisk of a guest, and checks that they can be used. No domain is needed
    /// for that, and it may take long.
    fn load(&self, config: &GuestConfig) -> Result<Image>;
    /// Makes an empty domain, paused, with the handle `uuid`.
    fn create(&self, uuid: Uuid, config: &GuestConfig) -> Result<DomId>;
    /// Sets what the domain may have: memory, processors.
    fn limit(&self, domid: DomId, config: &GuestConfig) -> Result<()>;
    /// Makes the event channels of its store and console rings.
    fn ports(&self, domid: DomId) -> Result<Ports>;
    /// Gives it memory and puts the kernel there.
    fn build(
        &self,
        domid: DomId,
        config: &GuestConfig,
        image: &Image,
        ports: Ports,
    ) -> Result<Rings>;
    /// Sets the most memory, in MiB, that it may have.
    fn set_max_memory(&self, domid: DomId, mib: u64) -> Result<()>;
    /// Says where a vcpu may run; nowhere in particular if the set is empty.
    fn pin(&self, domid: DomId, vcpu: u32, cpus: &CpuSet) -> Result<()>;
    /// What it gets of the processors.
    fn share(&self, domid: DomId) -> Result<Share>;
    /// Sets that.
    fn set_share(&self, domid: DomId, share: Share) -> Result<()>;
    /// Keeps it from running.
    fn pause(&self, domid: DomId) -> Result<()>;
    /// Lets it run.
    fn unpause(&self, domid: DomId) -> Result<()>;
    /// Gives the domain another handle.
    fn set_uuid(&self, domid: DomId, uuid: Uuid) -> Result<()>;
    /// Destroys it and gives back what it has. Pages that others have mapped stay until they let
    /// go of them; the domain is dying until then.
    fn destroy(&self, domid: DomId) -> Result<()>;
    /// One domain.
    fn info(&self, domid: DomId) -> Result<Option<Info>>;
    /// All domains, in order of their numbers.
    fn list(&self) -> Result<Vec<Info>>;
    /// The vcpus of a domain.
    fn vcpus(&self, domid: DomId) -> Result<Vec<Vcpu>>;
    /// Memory that nobody has, in KiB.
    fn free_kib(&self) -> Result<u64>;
}
