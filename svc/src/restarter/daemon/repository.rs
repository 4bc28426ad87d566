//! What the repository says: instances as they are described, and what administrators ask for.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::milestone::is_master;
use super::{Daemon, Instance};
use crate::fmri::Fmri;
use crate::repo::{Changed, RepoError, View, snapshots};
use crate::restarter::config::{self, Description};
use crate::restarter::engine::{Event, Manager, Model, Requester};
use crate::restarter::log;
use crate::restarter::publish::{self, Processes};
use crate::value::PropertyGroup;

/// How many instances are taken up at once.
const AT_ONCE: usize = 64;

/// What the repository says of an instance.
struct Found {
    description: Description,
    /// How an earlier restarter left it.
    earlier: Option<publish::Earlier>,
}

impl Daemon {
    /// Instances of the repository, as they are found at start, or new.
    pub(super) fn take_up(&mut self, mut all: Vec<Fmri>) -> Result<(), RepoError> {
        all.retain(|fmri| !is_master(fmri));
        for some in all.chunks(AT_ONCE) {
            for (fmri, found) in self.describe(some)? {
                self.take_up_as(fmri, found);
            }
        }
        Ok(())
    }

    fn take_up_as(&mut self, fmri: Fmri, Found { description, earlier }: Found) {
        let is_ours = description.config.manager == Manager::Master;
        let config = description.config.clone();
        let instance = Instance {
            description,
            processes: Processes::default(),
            reason: None,
            shown: None,
            saved: None,
            since: SystemTime::now(),
        };
        let instance = self.instances.entry(fmri.clone()).or_insert(Box::new(instance));
        let Some(earlier) = earlier else {
            return self.events.push_back(Event::Configure(fmri, config));
        };
        instance.since = earlier.since;
        instance.processes = earlier.processes.clone();
        instance.saved = Some(earlier.processes);
        let contract = instance.processes.contract;
        let is_child = instance.description.config.model == Model::Child;
        let leader = instance.processes.start_pid.filter(|_| is_child);
        // A stop or refresh method that was running begins anew, if it is still needed.
        let leftover = instance.processes.transient.take();
        if is_ours {
            self.runner.adopt(contract, leader, leftover);
        }
        instance.shown = Some(earlier.look.clone());
        if let Some(id) = contract {
            self.owners.note(id, &fmri, &self.instances);
        }
        self.events.push_back(Event::Adopt(fmri.clone(), config.clone(), earlier.look));
        self.events.push_back(Event::Configure(fmri, config));
    }

    /// Reads the descriptions of instances, and how they were. Those that don't exist are left out,
    /// and those that say nothing of being enabled, which keeps them from their restarter (smf(7)).
    fn describe(&self, fmris: &[Fmri]) -> Result<Vec<(Fmri, Found)>, RepoError> {
        let general = self.repo.pg_of(fmris, "general", &View::Composed)?;
        let general = fmris.iter().zip(general).filter_map(|(fmri, general)| {
            let lasting = is_enabled(general.as_ref())?;
            let named = general.as_ref()?.first("restarter");
            Some((fmri.clone(), (lasting, manager(named.unwrap_or_default()))))
        });
        let (fmris, general): (Vec<_>, Vec<_>) = general.unzip();
        self.take_snapshots(&fmris)?;
        let groups = self.repo.pgs_of(&fmris, &View::Running)?;
        let found = fmris.into_iter().zip(general).zip(groups);
        let found = found.filter_map(|((fmri, (lasting, manager)), groups)| {
            let groups = groups?;
            let earlier = groups.get("restarter").and_then(publish::read);
            let enabled = is_enabled(groups.get("general_ovr")).unwrap_or(lasting);
            let mut description = config::read(groups, enabled);
            description.config.manage(manager);
            Some((fmri, Found { description, earlier }))
        });
        Ok(found.collect())
    }

    /// Makes sure that instances have a running snapshot.
    fn take_snapshots(&self, fmris: &[Fmri]) -> Result<(), RepoError> {
        let names = self.repo.snapshots_of(fmris)?;
        let lacks = |names: &Vec<String>| !names.iter().any(|name| name == snapshots::RUNNING);
        for (fmri, _) in
            fmris.iter().zip(names).filter(|(_, names)| names.as_ref().is_some_and(lacks))
        {
            self.repo.snapshot(fmri, snapshots::RUNNING)?;
        }
        Ok(())
    }

    /// What counts at the moment, refreshed or not: whether it is enabled, by the temporary setting
    /// before the lasting one, and who is its restarter.
    fn general(&self, fmri: &Fmri) -> Result<Option<(bool, Manager)>, RepoError> {
        let read = |group: &str| self.repo.pg(fmri, group, &View::Composed);
        let general = read("general")?;
        let Some(lasting) = is_enabled(general.as_ref()) else { return Ok(None) };
        let temporary = is_enabled(read("general_ovr")?.as_ref());
        let named = general.as_ref().and_then(|group| group.first("restarter"));
        Ok(Some((temporary.unwrap_or(lasting), manager(named.unwrap_or_default()))))
    }

    pub(super) fn repository_changed(&mut self, generation: u64, changed: Vec<Changed>) {
        let mut changed: BTreeSet<_> = changed.into_iter().map(|c| (c.fmri, c.pg)).collect();
        let inherited = |fmri: &Fmri, pg: &Option<String>| {
            let from_here = self.instances.range(fmri.clone()..).map(|(heir, _)| heir);
            let heirs = from_here.take_while(|heir| heir.service == fmri.service);
            heirs.map(|heir| (heir.clone(), pg.clone())).collect::<Vec<_>>()
        };
        let of_services = changed.iter().filter(|(fmri, pg)| !fmri.is_instance() && pg.is_some());
        let of_heirs: Vec<_> = of_services.flat_map(|(fmri, pg)| inherited(fmri, pg)).collect();
        changed.retain(|(fmri, _)| fmri.is_instance());
        changed.extend(of_heirs);
        for (fmri, pg) in changed {
            let result = match pg.as_deref() {
                Some("options" | "options_ovr") if is_master(&fmri) => self.milestone_changed(),
                _ if is_master(&fmri) => Ok(()),
                None => self.came_or_went(&fmri),
                Some("general" | "general_ovr") => self.enabled_changed(&fmri),
                Some("restarter_actions") => self.requested(&fmri),
                Some(_) => Ok(()),
            };
            match result {
                Ok(()) => {}
                Err(error) if error.is_not_found() => self.events.push_back(Event::Delete(fmri)),
                Err(error) => log::global(&format!("{fmri}: {error}")),
            }
        }
        self.settle();
        self.progress.generation = generation;
        self.progress.save();
    }

    fn came_or_went(&mut self, fmri: &Fmri) -> Result<(), RepoError> {
        // One that is gone is to be told so.
        self.repo.snapshots(fmri)?;
        if self.instances.contains_key(fmri) { Ok(()) } else { self.take_up(vec![fmri.clone()]) }
    }

    fn enabled_changed(&mut self, fmri: &Fmri) -> Result<(), RepoError> {
        let Some((enabled, manager)) = self.general(fmri)? else { return Ok(()) };
        let Some(instance) = self.instances.get_mut(fmri) else {
            return self.take_up(vec![fmri.clone()]);
        };
        instance.description.config.enabled = enabled;
        instance.description.config.manage(manager);
        let config = instance.description.config.clone();
        self.events.push_back(Event::Configure(fmri.clone(), config));
        Ok(())
    }

    /// Obeys the requests that are newer than those obeyed before.
    fn requested(&mut self, fmri: &Fmri) -> Result<(), RepoError> {
        let group = self.repo.pg(fmri, "restarter_actions", &View::Direct)?;
        let mut requests = self.progress.news(fmri, group.as_ref());
        requests.sort_by_key(|(_, time)| *time);
        let flag = |name: &str| group.as_ref().and_then(|group| group.get(name)?.as_bool());
        let is_service = flag("auxiliary_tty") == Some(false);
        let by = if is_service { Requester::Service } else { Requester::Administrator };
        if is_service && !requests.is_empty() {
            let name = group.as_ref().and_then(|group| group.first("auxiliary_fmri"));
            self.unsaved.push((fmri.clone(), vec![publish::requester(fmri, name)]));
        }
        for (action, _) in requests {
            let fmri = fmri.clone();
            let event = match action.as_str() {
                "refresh" => {
                    self.refresh(fmri)?;
                    continue;
                }
                "restart" => {
                    if flag("do_dump") == Some(true) {
                        self.events.push_back(Event::Dump(fmri.clone()));
                    }
                    Event::Restart(fmri)
                }
                "maint_on" | "maint_on_temporary" => Event::Maintenance(fmri, by),
                "maint_on_immediate" | "maint_on_immtemp" => Event::Abandon(fmri, by),
                "degraded" | "degrade_immediate" => Event::Degrade(fmri, by),
                "maint_off" | "restore" => Event::Clear(fmri),
                other => {
                    log::global(&format!("{fmri}: unknown request \"{other}\""));
                    continue;
                }
            };
            self.events.push_back(event);
        }
        Ok(())
    }

    fn refresh(&mut self, fmri: Fmri) -> Result<(), RepoError> {
        let Some((_, Found { description, .. })) =
            self.describe(std::slice::from_ref(&fmri))?.pop()
        else {
            return Ok(());
        };
        let config = description.config.clone();
        match self.instances.get_mut(&fmri) {
            Some(instance) => instance.description = description,
            None => return self.take_up(vec![fmri]),
        }
        // It may be checked from now on, or not any more.
        self.changed.insert(fmri.clone());
        self.events.push_back(Event::Configure(fmri.clone(), config));
        self.events.push_back(Event::Refresh(fmri));
        Ok(())
    }
}

fn is_enabled(group: Option<&PropertyGroup>) -> Option<bool> {
    group?.get("enabled")?.as_bool()
}

/// The restarter of that name; none stands for us.
fn manager(name: &str) -> Manager {
    match Fmri::parse(name) {
        _ if name.is_empty() => Manager::Master,
        Ok(fmri) if is_master(&fmri) => Manager::Master,
        Ok(fmri) if fmri.is_instance() => Manager::Delegate(fmri),
        _ => Manager::Nobody,
    }
}
