//! The domains that xend knows, by their UUID, and what can be asked of them.
//!
//! Locks: `domains` and a domain's `record` are held for moments only and never while the
//! hypervisor or the store is asked; a domain's turn may be held for minutes. Whoever wants both
//! takes the turn first. So a guest that takes long to make holds up nobody's `xm list`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::record::{Phase, Record};
use super::turn::Driver;
use super::{Domain, Events, Host, OpError, What, check, drive, life, paths};
use crate::config::{GuestConfig, Mac, check_name};
use crate::definitions::{Definition, identity};
use crate::host::{Change, DomId, Store};

type Op<T> = Result<T, OpError>;

/// What a name or a number means.
#[derive(Debug, Clone)]
pub enum Target {
    /// A guest of ours.
    Known(Arc<Domain>),
    /// A domain that somebody else made, the control domain among them.
    Foreign {
        /// Its number.
        domid: DomId,
        /// Its handle.
        uuid: Uuid,
        /// Its name in the store.
        name: String,
    },
    /// A guest that is defined, and nothing more.
    Defined(Box<Definition>),
}

impl Target {
    /// Its number now, if it has one.
    pub fn domid(&self) -> Option<DomId> {
        match self {
            Self::Known(domain) => domain.lock().domid,
            Self::Foreign { domid, .. } => Some(*domid),
            Self::Defined(_) => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Known(domain) => domain.lock().config.name.clone(),
            Self::Foreign { name, .. } => name.clone(),
            Self::Defined(definition) => definition.config.name.clone(),
        }
    }
}

/// All domains.
pub struct Manager {
    pub(super) host: Host,
    pub(super) events: Events,
    domains: Mutex<BTreeMap<Uuid, Arc<Domain>>>,
}

impl Manager {
    /// A manager that knows no domain yet.
    pub fn new(host: Host) -> Self {
        // Without randomness a client could take one life for another; it would look anew, once.
        let events = Events::new(random_uuid().unwrap_or_default());
        Self { host, events, domains: Mutex::default() }
    }

    /// What the domains live on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Domain>>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guests of ours.
    pub fn known(&self) -> Vec<Arc<Domain>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn store(&self) -> Op<Box<dyn Store>> {
        Ok(self.host.stores.open()?)
    }

    /// Finds the domain that a name, a number or a UUID means.
    pub fn find(&self, wanted: &str) -> Op<Target> {
        let matches = |domain: &&Arc<Domain>| {
            let record = domain.lock();
            let number = record.domid.map(|domid| domid.to_string());
            record.config.name == wanted
                || number.as_deref() == Some(wanted)
                || record.uuid.to_string().eq_ignore_ascii_case(wanted)
        };
        if let Some(domain) = self.lock().values().find(matches) {
            return Ok(Target::Known(Arc::clone(domain)));
        }
        let foreign = self.foreign()?.into_iter().find(|(domid, uuid, name)| {
            name == wanted || domid.to_string() == wanted || uuid.to_string() == wanted
        });
        if let Some((domid, uuid, name)) = foreign {
            return Ok(Target::Foreign { domid, uuid, name });
        }
        let defined = self.host.definitions.find(wanted);
        let defined = defined.ok_or_else(|| OpError::NotFound(wanted.to_owned()))?;
        Ok(Target::Defined(Box::new(defined)))
    }

    /// The domains that others made: number, handle, name.
    pub(super) fn foreign(&self) -> Op<Vec<(DomId, Uuid, String)>> {
        let mut domains = self.host.hypervisor.list()?;
        {
            let known = self.lock();
            domains.retain(|info| !known.contains_key(&info.uuid));
        }
        let mut store = self.store()?;
        let mut foreign = Vec::new();
        for info in domains {
            let name = store.read(&format!("{}/name", paths::domain(info.domid)))?;
            let name = name.unwrap_or_else(|| format!("Domain-{}", info.domid));
            foreign.push((info.domid, info.uuid, name));
        }
        Ok(foreign)
    }

    /// Makes a guest. When this returns it is there, paused, with all its devices; or an error
    /// says why not, and nothing is left of it.
    pub fn create(self: &Arc<Self>, mut config: GuestConfig) -> Op<Arc<Domain>> {
        let settings = self.host.settings();
        check_name(&config.name).map_err(OpError::Refused)?;
        self.vacant(&config)?;
        check::files(&mut config).map_err(OpError::Refused)?;
        check::interfaces(&config, &settings, &self.host.net).map_err(OpError::Refused)?;
        check::memory(&config, self.host.hypervisor.free_kib()?).map_err(OpError::Refused)?;
        let image = self.host.hypervisor.load(&config)?;
        identify(&mut config).map_err(|error| OpError::Refused(error.to_string()))?;
        let (domain, driver) = self.reserve(config)?;
        drive::create(self, &domain, &image, &driver)?;
        Ok(domain)
    }

    /// Checks that no other domain has the guest's name or identity, or its disks.
    fn vacant(&self, config: &GuestConfig) -> Op<()> {
        if self.foreign()?.iter().any(|(.., taken)| *taken == config.name) {
            return Err(OpError::Refused(format!("Domain '{}' already exists", config.name)));
        }
        apart(config, &self.lock())
    }

    /// Takes the guest's name, identity and disks, so that nobody else can.
    fn reserve(&self, config: GuestConfig) -> Op<(Arc<Domain>, Driver)> {
        let mut domains = self.lock();
        apart(&config, &domains)?;
        let domain = Arc::new(Domain::new(Record {
            uuid: config.uuid.unwrap_or_default(),
            config,
            phase: Phase::Creating,
            domid: None,
            started: life::now(),
            restarts: 0,
            short_lives: 0,
            boot_id: self.host.boot_id.clone(),
        }));
        let driver = domain.turn.take();
        domains.insert(domain.uuid, Arc::clone(&domain));
        Ok((domain, driver))
    }

    /// Destroys a domain at once, even while it is being made.
    pub fn destroy(self: &Arc<Self>, wanted: &str) -> Op<()> {
        match self.find(wanted)? {
            Target::Foreign { domid: 0, .. } => control_domain(),
            Target::Defined(definition) => not_running(&definition.config.name),
            Target::Foreign { domid, uuid, .. } => {
                let (mut store, settings) = (self.store()?, self.host.settings());
                let hypervisor = &*self.host.hypervisor;
                Ok(life::unmake(hypervisor, &mut *store, &settings, uuid, Some(domid))?)
            }
            Target::Known(domain) => {
                domain.cancelled.store(true, Ordering::SeqCst);
                let driver = domain.turn.take();
                // Whoever had the turn may have done it.
                if !self.lock().contains_key(&domain.uuid) {
                    return Ok(());
                }
                drive::end_as(self, &domain, &driver, What::Destroyed)
            }
        }
    }

    /// Asks a guest to stop: `poweroff`, `reboot`, `halt`.
    pub fn shutdown(&self, wanted: &str, reason: &str) -> Op<()> {
        if !matches!(reason, "poweroff" | "reboot" | "halt") {
            return Err(OpError::Refused(format!("Invalid reason: {reason}")));
        }
        let domid = self.running(wanted)?;
        let path = format!("{}/control/shutdown", paths::domain(domid));
        Ok(self.store()?.apply(&[Change::write(path, reason)])?)
    }

    /// Keeps a domain from running; one that is kept already stays so.
    pub fn pause(&self, wanted: &str) -> Op<()> {
        let domid = self.running(wanted)?;
        // The hypervisor counts pauses; for an administrator a domain is paused or it isn't.
        if self.is_paused(domid)? {
            return Ok(());
        }
        self.host.hypervisor.pause(domid)?;
        self.happened_to(wanted, What::Paused);
        Ok(())
    }

    /// Lets a domain run; one that runs goes on.
    pub fn unpause(&self, wanted: &str) -> Op<()> {
        let domid = self.running(wanted)?;
        if !self.is_paused(domid)? {
            return Ok(());
        }
        self.host.hypervisor.unpause(domid)?;
        self.happened_to(wanted, What::Unpaused);
        Ok(())
    }

    fn is_paused(&self, domid: DomId) -> Op<bool> {
        Ok(self.host.hypervisor.info(domid)?.is_some_and(|info| info.paused))
    }

    /// The number of a guest that is whole and has not stopped.
    pub(super) fn running(&self, wanted: &str) -> Op<DomId> {
        let target = self.find(wanted)?;
        let name = target.name();
        if let Target::Known(domain) = &target {
            let doing = match domain.lock().phase {
                Phase::Running => None,
                Phase::Preserved => Some("has stopped and is only preserved"),
                Phase::Creating => Some("is just being created"),
                Phase::Restarting => Some("is just being restarted"),
                Phase::Destroying => Some("is just being destroyed"),
            };
            if let Some(doing) = doing {
                return Err(OpError::Refused(format!("Domain '{name}' {doing}")));
            }
        }
        match target.domid() {
            Some(0) => control_domain(),
            Some(domid) => Ok(domid),
            None => not_running(&name),
        }
    }

    /// Gives up a reservation, or forgets what was destroyed.
    pub(super) fn forget(&self, domain: &Domain) -> io::Result<()> {
        self.host.records.remove(domain.uuid)?;
        self.lock().remove(&domain.uuid);
        Ok(())
    }

    /// Takes in a domain that was found.
    pub(super) fn take_in(&self, record: Record) -> Arc<Domain> {
        let domain = Arc::new(Domain::new(record));
        self.lock().insert(domain.uuid, Arc::clone(&domain));
        domain
    }
}

fn apart(config: &GuestConfig, domains: &BTreeMap<Uuid, Arc<Domain>>) -> Op<()> {
    for domain in domains.values() {
        let record = domain.lock();
        if record.config.name == config.name || Some(record.uuid) == config.uuid {
            let id = record.domid.map(|id| format!(" with ID '{id}'")).unwrap_or_default();
            let reason = format!("Domain '{}' already exists{id}", record.config.name);
            return Err(OpError::Refused(reason));
        }
        check::disks_apart(config, &record.config).map_err(OpError::Refused)?;
    }
    Ok(())
}

fn not_running<T>(name: &str) -> Op<T> {
    Err(OpError::Refused(format!("Domain '{name}' is not running")))
}

fn control_domain<T>() -> Op<T> {
    Err(OpError::Refused("that can't be done to the control domain, Domain-0".to_owned()))
}

/// Makes up what the file left open and what must stay the same over restarts.
fn identify(config: &mut GuestConfig) -> io::Result<()> {
    if config.uuid.is_none() {
        config.uuid = Some(identity(&config.name));
    }
    for vif in config.vifs.iter_mut().filter(|vif| vif.mac.is_none()) {
        vif.mac = Some(Mac::in_xen_range(random()?));
    }
    Ok(())
}

pub(super) fn random_uuid() -> io::Result<Uuid> {
    Ok(uuid::Builder::from_random_bytes(random()?).into_uuid())
}

/// From the source that never waits: soon after boot the waiting one may keep us for minutes.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
