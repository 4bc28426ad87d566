//! Making a domain and unmaking it: the steps, in order.
//!
//! There is one way back, whatever step failed or was interrupted: [`unmake`] takes away whatever
//! is there. It may be run at any time and any number of times.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::devices;
use super::layout::{self, Described};
use super::paths;
use super::record::Record;
use crate::host::{Change, DomId, HostError, Hypervisor, Image, Store};
use crate::settings::Settings;

/// How long the last pages of a destroyed domain may stay mapped by a backend before that is
/// complained of.
const LAST_PAGES: Duration = Duration::from_secs(10);

/// Why a domain was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// The host would not do something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A device did not come up.
    #[error("{0}")]
    Device(String),
    /// Somebody destroyed it meanwhile.
    #[error("it is destroyed while it is made")]
    Cancelled,
}

/// What a domain is made with.
pub struct Maker<'m> {
    /// The hypervisor.
    pub hypervisor: &'m dyn Hypervisor,
    /// The guest's kernel.
    pub image: &'m Image,
    /// The settings.
    pub settings: &'m Settings,
    /// Says whether somebody wants it destroyed meanwhile.
    pub cancelled: &'m dyn Fn() -> bool,
    /// Keeps the record, as soon as the domain has a number.
    pub keep: &'m mut dyn FnMut(&Record) -> Result<(), HostError>,
}

impl Maker<'_> {
    /// Makes the domain of `record`, which is left paused with its devices up. After an error it
    /// has to be [unmade](unmake).
    pub fn make(&mut self, store: &mut dyn Store, record: &mut Record) -> Result<(), MakeError> {
        let config = record.config.clone();
        let domid = self.hypervisor.create(record.uuid, &config)?;
        record.domid = Some(domid);
        record.started = now();
        (self.keep)(record)?;
        self.hypervisor.limit(domid, &config)?;
        let ports = self.hypervisor.ports(domid)?;
        self.go_on()?;
        let rings = self.hypervisor.build(domid, &config, self.image, ports)?;
        self.go_on()?;
        store.apply(&layout::domain(&Described {
            domid,
            uuid: record.uuid,
            config: &config,
            ports,
            rings,
            started: record.started,
            restarts: record.restarts,
            console_limit: self.settings.console_limit,
        }))?;
        store.introduce(domid, rings.store, ports.store)?;
        self.devices(store, domid, record)
    }

    fn devices(
        &self,
        store: &mut dyn Store,
        domid: DomId,
        record: &Record,
    ) -> Result<(), MakeError> {
        let disks = record.config.disks.iter().map(|disk| devices::vbd(domid, disk));
        let vifs = (0..)
            .zip(&record.config.vifs)
            .map(|(index, vif)| devices::vif(domid, index, vif, self.settings));
        let mut announced = Vec::new();
        for (device, changes) in disks.chain(vifs) {
            store.apply(&changes)?;
            announced.push(device);
        }
        let timeout = self.settings.device_create_timeout;
        let up = devices::wait_up(store, &announced, timeout, self.cancelled)?;
        self.go_on()?;
        up.map_err(MakeError::Device)
    }

    fn go_on(&self) -> Result<(), MakeError> {
        if (self.cancelled)() { Err(MakeError::Cancelled) } else { Ok(()) }
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Takes away everything of the guest `uuid`, whose number is `domid` if it had got one: its
/// devices, its memory, its part of the store. All steps are tried; the error is the first one.
pub fn unmake(
    hypervisor: &dyn Hypervisor,
    store: &mut dyn Store,
    settings: &Settings,
    uuid: Uuid,
    domid: Option<DomId>,
) -> Result<(), HostError> {
    let Some(domid) = number_of(hypervisor, uuid, domid)? else {
        return store.apply(&[Change::Remove(paths::vm(uuid))]);
    };
    let there = hypervisor.info(domid)?.filter(|info| info.uuid == uuid);
    if there.is_none() && !ours(store, uuid, domid)? {
        return store.apply(&[Change::Remove(paths::vm(uuid))]);
    }
    let mut first = Ok(());
    let mut note = |result: Result<(), HostError>| {
        if let Err(error) = result {
            tracing::warn!("domain {domid}: {error}");
            if first.is_ok() {
                first = Err(error);
            }
        }
    };
    if there.is_some() {
        note(hypervisor.pause(domid));
    }
    match devices::take_down(store, domid, settings.device_destroy_timeout) {
        Ok(slow) => slow.iter().for_each(|reason| tracing::warn!("domain {domid}: {reason}")),
        Err(error) => note(Err(error)),
    }
    if there.is_some() {
        note(hypervisor.destroy(domid));
    }
    note(store.release(domid));
    note(store.apply(&layout::remove(domid, uuid)));
    if first.is_ok() && there.is_some() {
        wait_for_last_pages(hypervisor, uuid, domid)?;
    }
    first
}

/// The number of a guest. One that was made just before xend died is known by its handle only.
fn number_of(
    hypervisor: &dyn Hypervisor,
    uuid: Uuid,
    domid: Option<DomId>,
) -> Result<Option<DomId>, HostError> {
    if domid.is_some() {
        return Ok(domid);
    }
    let domains = hypervisor.list()?;
    Ok(domains.into_iter().find(|info| info.uuid == uuid).map(|info| info.domid))
}

/// Whether what the store has under `domid` is of the guest `uuid`: numbers are used again.
fn ours(store: &mut dyn Store, uuid: Uuid, domid: DomId) -> Result<bool, HostError> {
    let vm = store.read(&format!("{}/vm", paths::domain(domid)))?;
    Ok(vm.is_none_or(|vm| vm == paths::vm(uuid)))
}

fn wait_for_last_pages(
    hypervisor: &dyn Hypervisor,
    uuid: Uuid,
    domid: DomId,
) -> Result<(), HostError> {
    let deadline = Instant::now() + LAST_PAGES;
    while hypervisor.info(domid)?.is_some_and(|info| info.uuid == uuid) {
        if Instant::now() >= deadline {
            tracing::warn!("domain {domid}: somebody still has pages of it mapped");
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
