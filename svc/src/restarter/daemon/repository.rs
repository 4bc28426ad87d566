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

impl Daemon {
    /// An instance of the repository, as it is found at start.
    pub(super) fn take_up(&mut self, fmri: Fmri) -> Result<(), RepoError> {
        if is_master(&fmri) {
            return Ok(());
        }
        let earlier = self.repo.pg(&fmri, "restarter", &View::Direct)?;
        let earlier = earlier.as_ref().and_then(publish::read);
        let Some(description) = self.describe(&fmri)? else { return Ok(()) };
        let is_ours = description.config.manager == Manager::Master;
        let config = description.config.clone();
        let instance = Instance {
            description,
            processes: Processes::default(),
            reason: None,
            shown: None,
            since: SystemTime::now(),
        };
        let instance = self.instances.entry(fmri.clone()).or_insert(instance);
        let Some(earlier) = earlier else {
            self.events.push_back(Event::Configure(fmri, config));
            return Ok(());
        };
        instance.since = earlier.since;
        instance.processes = earlier.processes;
        let is_child = instance.description.config.model == Model::Child;
        let leader = instance.processes.start_pid.filter(|_| is_child);
        // A stop or refresh method that was running begins anew, if it is still needed.
        let leftover = instance.processes.transient.take();
        if is_ours {
            self.runner.adopt(instance.processes.contract, leader, leftover);
        }
        instance.shown = Some(earlier.look.clone());
        self.events.push_back(Event::Adopt(fmri.clone(), config.clone(), earlier.look));
        self.events.push_back(Event::Configure(fmri, config));
        Ok(())
    }

    /// Reads an instance's description; `None` if it says nothing of being enabled, which keeps
    /// it from its restarter (smf(7)).
    fn describe(&self, fmri: &Fmri) -> Result<Option<Description>, RepoError> {
        let Some((enabled, manager)) = self.general(fmri)? else { return Ok(None) };
        if !self.repo.snapshots(fmri)?.iter().any(|name| name == snapshots::RUNNING) {
            self.repo.snapshot(fmri, snapshots::RUNNING)?;
        }
        let groups = self.repo.pgs(fmri, &View::Running)?;
        let mut description = config::read(groups, enabled);
        description.config.manage(manager);
        Ok(Some(description))
    }

    /// What counts at the moment, refreshed or not: whether it is enabled, by the temporary setting
    /// before the lasting one, and who is its restarter.
    fn general(&self, fmri: &Fmri) -> Result<Option<(bool, Manager)>, RepoError> {
        let read = |group: &str| self.repo.pg(fmri, group, &View::Composed);
        let enabled = |group: Option<&PropertyGroup>| group?.get("enabled")?.as_bool();
        let general = read("general")?;
        let Some(lasting) = enabled(general.as_ref()) else { return Ok(None) };
        let temporary = enabled(read("general_ovr")?.as_ref());
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
        match self.describe(fmri)? {
            Some(_) if !self.instances.contains_key(fmri) => self.take_up(fmri.clone()),
            _ => Ok(()),
        }
    }

    fn enabled_changed(&mut self, fmri: &Fmri) -> Result<(), RepoError> {
        let Some((enabled, manager)) = self.general(fmri)? else { return Ok(()) };
        let Some(instance) = self.instances.get_mut(fmri) else {
            return self.take_up(fmri.clone());
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
        let Some(description) = self.describe(&fmri)? else { return Ok(()) };
        let config = description.config.clone();
        match self.instances.get_mut(&fmri) {
            Some(instance) => instance.description = description,
            None => return self.take_up(fmri),
        }
        // It may be checked from now on, or not any more.
        self.changed.insert(fmri.clone());
        self.events.push_back(Event::Configure(fmri.clone(), config));
        self.events.push_back(Event::Refresh(fmri));
        Ok(())
    }
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
