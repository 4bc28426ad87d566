//! What the restarter puts on record: the states that the commands show.

use std::process::ExitStatus;
use std::time::SystemTime;

use super::Daemon;
use crate::fmri::Fmri;
use crate::repo::{Change, RepoError, Sent, snapshots};
use crate::restarter::context::MISCONFIGURED;
use crate::restarter::engine::Look;
use crate::restarter::{log, publish};
use crate::state::State;
use crate::value::PropType;

/// How many states are written at once.
const AT_ONCE: usize = 256;

impl Daemon {
    /// Notes states that changed, but not too many at once; the others stay in `changed`. Those
    /// whose methods wait for that come first: many of the others will have changed again by the
    /// time it is their turn, and are written once only.
    pub(super) fn show(&mut self) {
        let waiting = self.to_run.iter().map(|(fmri, _)| fmri);
        let waiting = waiting.filter(|fmri| self.changed.contains(*fmri)).take(AT_ONCE);
        let waiting: Vec<_> = waiting.cloned().collect();
        let others = if waiting.is_empty() { AT_ONCE } else { AT_ONCE / 4 };
        for fmri in waiting {
            self.changed.remove(&fmri);
            self.note(fmri);
        }
        for _ in 0..others {
            let Some(fmri) = self.changed.pop_first() else { break };
            self.note(fmri);
        }
        self.is_bloated |= self.unsaved.len() >= AT_ONCE;
    }

    fn note(&mut self, fmri: Fmri) {
        let Some(look) = self.engine.look(&fmri) else {
            self.instances.remove(&fmri);
            return;
        };
        self.check_if_running(&fmri, &look);
        let Some(instance) = self.instances.get_mut(&fmri) else { return };
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

    /// Sends what changed to the repository, all at once. How that went is for
    /// [`Self::is_recorded`] to say; there is time for something else meanwhile.
    pub(super) fn record(&self) -> Result<Sent, RepoError> {
        // Snapshots are for good, and written by themselves: they wait for the disk, and may find it
        // full, in which case it is done without. States need neither.
        let parts = [&self.unsaved_snapshots, &self.unsaved];
        let all = |part: &Vec<(_, Vec<Change>)>| {
            part.iter().flat_map(|(_, changes)| changes.clone()).collect()
        };
        self.repo.send(parts.into_iter().filter(|part| !part.is_empty()).map(all).collect())
    }

    /// Whether all that [`Self::record`] sent is on record now; if not, it is tried again later.
    pub(super) fn is_recorded(&mut self, sent: Result<Sent, RepoError>) -> bool {
        let outcomes = sent.and_then(|sent| self.repo.outcomes(sent));
        match outcomes.and_then(|outcomes| self.conclude(outcomes)) {
            Ok(()) => true,
            Err(error) => {
                log::global(&format!("states wait to be written: {error}"));
                false
            }
        }
    }

    fn conclude(&mut self, outcomes: Vec<Result<u64, RepoError>>) -> Result<(), RepoError> {
        let mut outcomes = outcomes.into_iter();
        let mut next = |part: &[_]| match part {
            [] => Ok(0),
            _ => outcomes.next().unwrap_or(Err(RepoError::Unexpected)),
        };
        let snapshots = next(&self.unsaved_snapshots);
        let states = next(&self.unsaved);
        match self.refused(&self.unsaved_snapshots, snapshots) {
            Err(error) if error.is_backend() => log::global(&error.to_string()),
            refused => drop(refused?),
        }
        self.unsaved_snapshots.clear();
        match self.refused(&self.unsaved, states) {
            // They wait, and keep no service from running.
            Err(error) if error.is_backend() => log::global(&error.to_string()),
            refused => {
                let refused = refused?;
                self.unsaved.clear();
                for fmri in refused {
                    if let Some(instance) = self.instances.get_mut(&fmri) {
                        instance.saved = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whose changes are refused, given how the commit of all at once went. If they were refused
    /// together, each is committed by itself: one that was deleted meanwhile, say, must not keep
    /// the others back.
    fn refused(
        &self,
        unsaved: &[(Fmri, Vec<Change>)],
        outcome: Result<u64, RepoError>,
    ) -> Result<Vec<Fmri>, RepoError> {
        match outcome {
            Err(error @ RepoError::Refused(_)) if !error.is_backend() => {}
            outcome => return outcome.map(|_| Vec::new()),
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
