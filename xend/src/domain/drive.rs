//! What is done with a domain by whoever has its turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::life::{self, Maker};
use super::manager::{Manager, random_uuid};
use super::policy::{self, Presence, SHORT_LIFE, TakeUp, Verdict};
use super::record::{Phase, Record};
use super::turn::Driver;
use super::{Domain, OpError, What, check, paths};
use crate::config::Action;
use crate::host::{Change, HostError, Image, Info, Stop};

type Op<T> = Result<T, OpError>;

fn refused(reason: impl ToString) -> OpError {
    OpError::Refused(reason.to_string())
}

/// Makes a domain that is reserved. After an error nothing is left of it.
pub(super) fn create(manager: &Manager, domain: &Domain, image: &Image, driver: &Driver) -> Op<()> {
    let name = domain.record().config.name;
    match make(manager, domain, image) {
        Ok(()) => {
            let domid = domain.record().domid.unwrap_or_default();
            tracing::info!("domain {domid} ({name}) is made");
            manager.happened(domain, What::Started, None);
            Ok(())
        }
        Err(error) => {
            tracing::error!("{name} can't be made: {error}");
            if let Err(worse) = end(manager, domain, driver) {
                tracing::error!("what there is of {name} can't be cleaned away yet: {worse}");
            }
            Err(error)
        }
    }
}

/// The steps from a phase that announces them to `Running`; the domain is left paused.
fn make(manager: &Manager, domain: &Domain, image: &Image) -> Op<()> {
    let host = &manager.host;
    let settings = host.settings();
    let mut record = domain.record();
    host.records.save(&record).map_err(refused)?;
    let mut store = manager.store()?;
    let mut maker = Maker {
        hypervisor: &*host.hypervisor,
        image,
        settings: &settings,
        cancelled: &|| domain.is_cancelled(),
        keep: &mut |record| {
            domain.lock().clone_from(record);
            host.records.save(record).map_err(|error| HostError::new("keep the record", error))
        },
    };
    maker.make(&mut *store, &mut record).map_err(refused)?;
    record.phase = Phase::Running;
    keep(manager, domain, record)
}

/// Makes `record` the domain's record, on disk first.
fn keep(manager: &Manager, domain: &Domain, record: Record) -> Op<()> {
    manager.host.records.save(&record).map_err(refused)?;
    *domain.lock() = record;
    Ok(())
}

fn enter(manager: &Manager, domain: &Domain, phase: Phase) -> Op<()> {
    keep(manager, domain, Record { phase, ..domain.record() })
}

/// Takes away all that is in the hypervisor and the store.
fn unmake(manager: &Manager, record: &Record) -> Op<()> {
    let (mut store, settings) = (manager.store()?, manager.host.settings());
    let hypervisor = &*manager.host.hypervisor;
    Ok(life::unmake(hypervisor, &mut *store, &settings, record.uuid, record.domid)?)
}

/// As [`end`], of one that clients have heard of; tells them how it ended.
pub(super) fn end_as(manager: &Manager, domain: &Domain, driver: &Driver, how: What) -> Op<()> {
    let event = manager.event(domain, how, None);
    end(manager, domain, driver)?;
    manager.events.push(event);
    Ok(())
}

/// Destroys a domain and forgets it. After an error it is left for another attempt.
pub(super) fn end(manager: &Manager, domain: &Domain, _driver: &Driver) -> Op<()> {
    // Even when the disk is full, what can be taken away is.
    if let Err(error) = enter(manager, domain, Phase::Destroying) {
        tracing::warn!("{error}");
        domain.lock().phase = Phase::Destroying;
    }
    let record = domain.record();
    unmake(manager, &record)?;
    manager.forget(domain).map_err(refused)?;
    tracing::info!("domain {} ({}) is gone", number(&record), record.config.name);
    Ok(())
}

fn number(record: &Record) -> String {
    record.domid.map_or_else(|| "-".to_owned(), |domid| domid.to_string())
}

/// Deals with a domain that may have stopped, vanished, or been left half-way.
pub(super) fn attend(manager: &Manager, domain: &Domain, driver: &Driver) -> Op<()> {
    let record = domain.record();
    let name = &record.config.name;
    let info = match record.domid {
        Some(domid) => manager.host.hypervisor.info(domid)?.filter(|it| it.uuid == domain.uuid),
        None => None,
    };
    match (record.phase, info) {
        (Phase::Running, Some(Info { stopped: Some(stop), dying: false, .. })) => {
            stopped(manager, domain, driver, stop)
        }
        (Phase::Running | Phase::Preserved, Some(Info { dying: false, .. })) => Ok(()),
        (Phase::Running | Phase::Preserved, _) => {
            tracing::warn!("domain {} ({name}) was destroyed by somebody else", number(&record));
            end_as(manager, domain, driver, What::Destroyed)
        }
        (Phase::Restarting, _) => restart(manager, domain, driver),
        (Phase::Creating | Phase::Destroying, _) => end(manager, domain, driver),
    }
}

fn stopped(manager: &Manager, domain: &Domain, driver: &Driver, stop: Stop) -> Op<()> {
    let mut record = domain.record();
    let lifetime = life::now() - record.started;
    let verdict = policy::on_stop(&record.config, stop, lifetime, record.short_lives);
    let name = record.config.name.clone();
    tracing::info!("domain {} ({name}) stopped: {stop}", number(&record));
    match verdict {
        Verdict::Leave => Ok(()),
        Verdict::GiveUp => {
            tracing::error!("{name} never lives for more than {SHORT_LIFE} s: it is given up");
            end_as(manager, domain, driver, ending(stop))
        }
        Verdict::Act(Action::Destroy) => end_as(manager, domain, driver, ending(stop)),
        Verdict::Act(Action::Preserve) => preserve(manager, domain),
        Verdict::Act(action) => {
            let short = lifetime < SHORT_LIFE;
            record.short_lives = if short { record.short_lives + 1 } else { 0 };
            keep(manager, domain, record)?;
            if stop == Stop::Reboot {
                manager.happened(domain, What::Rebooted, None);
            }
            if action == Action::RenameRestart {
                set_aside(manager, domain)?;
            }
            restart(manager, domain, driver)
        }
    }
}

/// How clients are told of the end of a domain that stopped.
fn ending(stop: Stop) -> What {
    match stop {
        Stop::Crash | Stop::Watchdog => What::Crashed,
        _ => What::ShutDown,
    }
}

/// Leaves a domain as it is. The node is what other tools know such a domain by.
fn preserve(manager: &Manager, domain: &Domain) -> Op<()> {
    enter(manager, domain, Phase::Preserved)?;
    let Some(domid) = domain.record().domid else { return Ok(()) };
    let path = format!("{}/xend/shutdown_completed", paths::domain(domid));
    Ok(manager.store()?.apply(&[Change::write(path, "True")])?)
}

/// Gives what a domain is now another identity and name, so that the guest can be made anew.
fn set_aside(manager: &Manager, domain: &Domain) -> Op<()> {
    let mut record = domain.record();
    let Some(domid) = record.domid else { return Ok(()) };
    let uuid = random_uuid().map_err(refused)?;
    let old = std::mem::replace(&mut record.config.name, unused_name(manager, domain));
    (record.uuid, record.config.uuid, record.phase) = (uuid, Some(uuid), Phase::Preserved);
    // From here on the guest counts as one that is made anew, and this one as a domain of its own.
    manager.host.records.save(&record).map_err(refused)?;
    keep(manager, domain, Record { phase: Phase::Restarting, domid: None, ..domain.record() })?;
    manager.host.hypervisor.set_uuid(domid, uuid)?;
    let (base, vm) = (paths::domain(domid), paths::vm(uuid));
    let aside = manager.take_in(record);
    let name = aside.record().config.name;
    tracing::info!("domain {domid} ({old}) is preserved as {name}");
    Ok(manager.store()?.apply(&[
        Change::write(format!("{base}/name"), name.clone()),
        Change::write(format!("{base}/vm"), vm.clone()),
        Change::write(format!("{base}/xend/shutdown_completed"), "True"),
        Change::write(format!("{vm}/uuid"), uuid.to_string()),
        Change::write(format!("{vm}/name"), name),
    ])?)
}

fn unused_name(manager: &Manager, domain: &Domain) -> String {
    let taken: Vec<String> =
        manager.known().iter().map(|known| known.record().config.name).collect();
    let name = domain.record().config.name;
    let name: String = name.chars().take(52).collect();
    let candidates = (1u64..).map(|count| format!("{name}-{count}"));
    candidates.into_iter().find(|name| !taken.contains(name)).unwrap_or(name)
}

/// Cleans a domain away and makes it anew. If that fails it is given up: it would go on so.
fn restart(manager: &Manager, domain: &Domain, driver: &Driver) -> Op<()> {
    enter(manager, domain, Phase::Restarting)?;
    match try_restart(manager, domain) {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::error!("{} can't be restarted: {error}", domain.record().config.name);
            end_as(manager, domain, driver, What::Destroyed)
        }
    }
}

fn try_restart(manager: &Manager, domain: &Domain) -> Op<()> {
    let mut record = domain.record();
    let image = manager.host.hypervisor.load(&record.config)?;
    let ended = manager.event(domain, What::ShutDown, None);
    unmake(manager, &record)?;
    manager.events.push(ended);
    (record.domid, record.restarts) = (None, record.restarts + 1);
    keep(manager, domain, record.clone())?;
    check::files(&mut record.config).map_err(refused)?;
    let settings = manager.host.settings();
    check::interfaces(&record.config, &settings, &manager.host.net).map_err(refused)?;
    make(manager, domain, &image)?;
    let record = domain.record();
    tracing::info!("{} is made anew as domain {}", record.config.name, number(&record));
    manager.happened(domain, What::Started, None);
    Ok(manager.host.hypervisor.unpause(record.domid.unwrap_or_default())?)
}

impl Manager {
    /// Takes up the domains that an earlier xend kept. What takes long is done by threads.
    pub fn take_up(self: &Arc<Self>) -> Op<()> {
        let (records, complaints) = self.host.records.load().map_err(refused)?;
        complaints.iter().for_each(|complaint| tracing::error!("{complaint}"));
        let present = self.host.hypervisor.list()?;
        for record in records {
            let same_boot = record.boot_id == self.host.boot_id;
            let presence = presence(&present, &record);
            let (name, uuid) = (record.config.name.clone(), record.uuid);
            let number = number(&record);
            match policy::reconcile(record.phase, presence, same_boot) {
                TakeUp::Forget => {
                    tracing::info!("{name} ended with an earlier boot of this host");
                    self.host.records.remove(uuid).map_err(refused)?;
                }
                TakeUp::Adopt => {
                    tracing::info!("domain {number} ({name}) is taken up");
                    self.take_in(record);
                }
                TakeUp::MakeAnew => {
                    tracing::info!("the restart of {name} is begun again");
                    self.take_in(record);
                }
                TakeUp::CleanUp => {
                    tracing::info!(
                        "domain {number} ({name}) was left half-way and is cleaned away"
                    );
                    self.take_in(Record { phase: Phase::Destroying, ..record });
                }
            }
        }
        self.look()
    }

    /// Looks whether any domain needs to be attended to, and has threads do so.
    pub fn look(self: &Arc<Self>) -> Op<()> {
        let present: BTreeMap<Uuid, Info> =
            self.host.hypervisor.list()?.into_iter().map(|info| (info.uuid, info)).collect();
        for domain in self.known() {
            if needs_attention(&domain, present.get(&domain.uuid))
                && let Some(driver) = domain.turn.try_take()
            {
                self.attend_by_thread(domain, driver);
            }
        }
        Ok(())
    }

    fn attend_by_thread(self: &Arc<Self>, domain: Arc<Domain>, driver: Driver) {
        let manager = Arc::clone(self);
        let attend = move || {
            // Between the look and the turn somebody may have ended it.
            if !manager.lock().contains_key(&domain.uuid) {
                return;
            }
            if let Err(error) = attend(&manager, &domain, &driver) {
                tracing::error!("{}: {error}", domain.record().config.name);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("driver".to_owned()).spawn(attend) {
            tracing::error!("cannot start a thread: {error}");
        }
    }
}

fn presence(present: &[Info], record: &Record) -> Presence {
    match present.iter().find(|info| info.uuid == record.uuid) {
        None => Presence::Absent,
        Some(info) if info.dying => Presence::Dying,
        Some(_) => Presence::Present,
    }
}

fn needs_attention(domain: &Domain, info: Option<&Info>) -> bool {
    let phase = domain.lock().phase;
    match (phase, info) {
        (Phase::Running, Some(info)) => {
            info.dying || info.stopped.is_some_and(|stop| stop != Stop::Suspend)
        }
        (Phase::Preserved, Some(info)) => info.dying,
        // Nobody may be at it; whoever is has its turn.
        _ => true,
    }
}
