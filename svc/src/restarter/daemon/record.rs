//! What the restarter puts on record: the states that the commands show.

use std::process::ExitStatus;
use std::time::SystemTime;

use super::Daemon;
use crate::fmri::Fmri;
use crate::repo::{Change, RepoError, snapshots};
use crate::restarter::context::MISCONFIGURED;
use crate::restarter::engine::Look;
use crate::restarter::{log, publish};
use crate::state::State;
use crate::value::PropType;

impl Daemon {
    /// Notes the states that changed.
    pub(super) fn show(&mut self) {
        for fmri in std::mem::take(&mut self.changed) {
            let Some(look) = self.engine.look(&fmri) else {
                self.instances.remove(&fmri);
                continue;
            };
            self.check_if_running(&fmri, &look);
            let Some(instance) = self.instances.get_mut(&fmri) else { continue };
            let before = instance.shown.replace(look.clone()).map(|look| look.state);
            let mut changes = Vec::new();
            if before != Some(look.state) {
                instance.since = SystemTime::now();
                announce(&fmri, &look, instance.processes.start_status);
                if look.state.is_running() && !before.is_some_and(State::is_running) {
                    changes.push(Change::CopySnapshot {
                        fmri: fmri.clone(),
                        from: snapshots::RUNNING.to_owned(),
                        to: snapshots::START.to_owned(),
                    });
                }
            }
            changes.extend(publish::changes(&fmri, &look, instance.since, &instance.processes));
            self.unsaved.push((fmri, changes));
        }
    }

    /// Writes what changed to the repository, all at once. Returns whether all is on record now;
    /// if not, it is tried again later.
    pub(super) fn save(&mut self) -> bool {
        if self.unsaved.is_empty() {
            return true;
        }
        let all = self.unsaved.iter().flat_map(|(_, changes)| changes.clone()).collect();
        match self.repo.commit(all) {
            Ok(_) => {}
            Err(error) if error.is_backend() => return self.save_states(&error),
            Err(RepoError::Refused(_)) => {
                // One that was deleted meanwhile must not keep the others back.
                for (fmri, changes) in &self.unsaved {
                    match self.repo.commit(changes.clone()) {
                        Ok(_) => {}
                        Err(error) if error.is_not_found() => {}
                        Err(error) => log::global(&format!("{fmri}: {error}")),
                    }
                }
            }
            Err(error) => {
                log::global(&format!("states wait to be written: {error}"));
                return false;
            }
        }
        self.unsaved.clear();
        true
    }

    /// Writes the states alone, which need no room on the disk, when it is full, say; snapshots do
    /// without. If even that fails they wait, and keep no service from running.
    fn save_states(&mut self, error: &RepoError) -> bool {
        log::global(&format!("{error}"));
        for (_, changes) in &mut self.unsaved {
            changes.retain(|change| !matches!(change, Change::CopySnapshot { .. }));
        }
        let states = self.unsaved.iter().flat_map(|(_, changes)| changes.clone()).collect();
        if self.repo.commit(states).is_ok() {
            self.unsaved.clear();
        }
        true
    }
}

/// Says on the console what an administrator has to know.
fn announce(fmri: &Fmri, look: &Look, start: Option<ExitStatus>) {
    if look.state != State::Maintenance {
        return;
    }
    let name = fmri.to_string();
    let name = name.trim_start_matches("svc:/");
    let how = match look.auxiliary.as_str() {
        "administrative_request" => {
            return log::global(&format!(
                "{name} transitioned to maintenance by request (see 'svcs -xv' for details)"
            ));
        }
        "method_failed" if start.and_then(|status| status.code()) == Some(MISCONFIGURED) => {
            "misconfigured"
        }
        "method_failed" => "failed fatally",
        "fault_threshold_reached" | "restarting_too_quickly" => "failed repeatedly",
        "invalid_dependency" | "dependency_cycle" => "misconfigured",
        _ => "failed",
    };
    log::failure(&format!(
        "{name} {how}: transitioned to maintenance (see 'svcs -xv' for details)"
    ));
}

/// Disables an instance until the next boot, for this reason.
pub(super) fn temporarily_disabled(fmri: &Fmri, reason: Option<String>) -> Vec<Change> {
    let pg = || "general_ovr".to_owned();
    let set = |prop: &str, ty, value| {
        let (fmri, pg, prop) = (fmri.clone(), pg(), prop.to_owned());
        Change::SetProp { fmri, pg, prop, ty, values: vec![value] }
    };
    let group = Change::AddPg {
        fmri: fmri.clone(),
        pg: pg(),
        ty: "framework".to_owned(),
        persistent: false,
    };
    let enabled = set("enabled", PropType::Boolean, "false".to_owned());
    let comment = reason.map(|reason| set("comment", PropType::Astring, reason));
    [group, enabled].into_iter().chain(comment).collect()
}
