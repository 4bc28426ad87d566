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

/// How many states are written at once.
const AT_ONCE: usize = 256;

impl Daemon {
    /// Notes states that changed, but not too many at once; the others stay in `changed`.
    pub(super) fn show(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(fmri) = self.changed.pop_first() else { return };
            let Some(look) = self.engine.look(&fmri) else {
                self.instances.remove(&fmri);
                continue;
            };
            self.check_if_running(&fmri, &look);
            let Some(instance) = self.instances.get_mut(&fmri) else { continue };
            let before = instance.shown.replace(look.clone()).map(|look| look.state);
            if before != Some(look.state) {
                instance.since = SystemTime::now();
                announce(&fmri, &look, instance.processes.start_status);
                if look.state.is_running() && !before.is_some_and(State::is_running) {
                    let (from, to) = (snapshots::RUNNING.to_owned(), snapshots::START.to_owned());
                    let copy = Change::CopySnapshot { fmri: fmri.clone(), from, to };
                    self.unsaved_snapshots.push((fmri.clone(), vec![copy]));
                }
            }
            let (since, processes) = (instance.since, &instance.processes);
            let changes = publish::changes(&fmri, &look, since, processes, instance.saved.as_ref());
            instance.saved = Some(processes.clone());
            self.unsaved.push((fmri, changes));
        }
        self.is_bloated = true;
    }

    /// Writes what changed to the repository, all at once. Returns whether all is on record now;
    /// if not, it is tried again later.
    pub(super) fn save(&mut self) -> bool {
        // Snapshots are for good, and written by themselves: they wait for the disk, and may find it
        // full, in which case it is done without. States need neither.
        match self.commit(&self.unsaved_snapshots) {
            Ok(_) => {}
            Err(error) if error.is_backend() => log::global(&error.to_string()),
            Err(error) => return wait(&error),
        }
        self.unsaved_snapshots.clear();
        match self.commit(&self.unsaved) {
            Ok(refused) => {
                self.unsaved.clear();
                for fmri in refused {
                    if let Some(instance) = self.instances.get_mut(&fmri) {
                        instance.saved = None;
                    }
                }
                true
            }
            // They wait, and keep no service from running.
            Err(error) if error.is_backend() => {
                log::global(&error.to_string());
                true
            }
            Err(error) => wait(&error),
        }
    }

    /// Commits the changes of all at once, or of each if one is refused: that was deleted
    /// meanwhile, say, and must not keep the others back. Returns whose were refused.
    fn commit(&self, unsaved: &[(Fmri, Vec<Change>)]) -> Result<Vec<Fmri>, RepoError> {
        if unsaved.is_empty() {
            return Ok(Vec::new());
        }
        let all = unsaved.iter().flat_map(|(_, changes)| changes.clone()).collect();
        match self.repo.commit(all) {
            Err(error @ RepoError::Refused(_)) if !error.is_backend() => {}
            result => return result.map(|_| Vec::new()),
        }
        let mut refused = Vec::new();
        for (fmri, changes) in unsaved {
            let Err(error) = self.repo.commit(changes.clone()) else { continue };
            refused.push(fmri.clone());
            if !error.is_not_found() {
                log::global(&format!("{fmri}: {error}"));
            }
        }
        Ok(refused)
    }
}

fn wait(error: &RepoError) -> bool {
    log::global(&format!("states wait to be written: {error}"));
    false
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
