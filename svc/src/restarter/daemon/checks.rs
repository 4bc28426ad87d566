//! Health checks: a service's `check` method, run from time to time while the service is online.
//! When it fails several times in a row, that is a fault of the service, as a core dump would be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Instant;

use super::Daemon;
use crate::contract::Id;
use crate::fmri::Fmri;
use crate::restarter::config::CHECK;
use crate::restarter::engine::{Event, Look, StopReason};
use crate::restarter::log;
use crate::restarter::method::{self, Command};
use crate::restarter::spawn::{reason_file, spawn};

/// The services that are checked.
#[derive(Debug, Default)]
pub(super) struct Checks {
    checked: BTreeMap<Fmri, Check>,
    /// Contracts of checks that have ended, and may have left someone behind.
    ended: BTreeSet<Id>,
}

#[derive(Debug)]
struct Check {
    /// When it is run next.
    due: Instant,
    running: Option<Running>,
    failures: u64,
}

#[derive(Debug)]
struct Running {
    pid: i32,
    contract: Id,
    deadline: Option<Instant>,
}

/// Where a check is noted that runs, for the next restarter to end it.
fn note(contract: Id) -> PathBuf {
    crate::root("/run/svc/checks").join(contract.to_string())
}

impl Daemon {
    /// Ends the checks that an earlier restarter began.
    pub(super) fn end_old_checks(&mut self) {
        let notes = fs::read_dir(crate::root("/run/svc/checks")).into_iter().flatten().flatten();
        let ids = notes.filter_map(|note| note.file_name().to_str()?.parse().ok());
        for contract in ids.collect::<Vec<Id>>() {
            self.runner.watch.add(contract, None);
            self.end_check(contract);
        }
    }

    /// Begins or ends to check a service that looks like this now.
    pub(super) fn check_if_running(&mut self, fmri: &Fmri, look: &Look) {
        let description = self.instances.get(fmri).map(|instance| &instance.description);
        let check = description.and_then(|description| description.check.as_ref());
        let is_stable = look.next.is_none_or(|next| next == look.state);
        let is_ours = self.engine.restarter_of(fmri).is_none();
        match check.filter(|_| is_ours && look.state.is_running() && is_stable) {
            Some(check) => {
                let due = Instant::now() + check.period;
                let new = Check { due, running: None, failures: 0 };
                self.checks.checked.entry(fmri.clone()).or_insert(new);
            }
            None => {
                let check = self.checks.checked.remove(fmri);
                if let Some(running) = check.and_then(|check| check.running) {
                    self.end_check(running.contract);
                }
            }
        }
    }

    /// Begins the checks that are due, and ends those that take too long.
    pub(super) fn run_checks(&mut self) {
        let now = Instant::now();
        let empty = |id: &Id| self.runner.watch.is_empty(*id);
        for contract in self.checks.ended.extract_if(.., empty).collect::<Vec<_>>() {
            self.runner.watch.remove(contract);
            let _ = fs::remove_file(note(contract));
        }
        let mut due = Vec::new();
        for (fmri, check) in &mut self.checks.checked {
            match &mut check.running {
                Some(running) if running.deadline.is_some_and(|deadline| now >= deadline) => {
                    // Its end is seen like any other, then.
                    running.deadline = None;
                    let contract = running.contract;
                    let line = "Method or service exit timed out.  Killing contract";
                    log::write(fmri, &format!("{line} {contract}."));
                    self.runner.kill(BTreeSet::from([contract]));
                }
                None if now >= check.due && self.engine.is_watched(fmri) => due.push(fmri.clone()),
                _ => {}
            }
        }
        for fmri in due {
            let begun = self.begin_check(&fmri);
            let Some(check) = self.checks.checked.get_mut(&fmri) else { continue };
            match begun {
                Ok(running) => check.running = Some(running),
                Err(line) => {
                    log::write(&fmri, &line);
                    self.checked(&fmri, false);
                }
            }
        }
    }

    fn begin_check(&mut self, fmri: &Fmri) -> Result<Running, String> {
        let description = &self.instances.get(fmri).ok_or("Unknown instance.")?.description;
        let spec = &description.check.as_ref().ok_or("There is no check method.")?.method;
        let command = match Command::parse(&spec.exec, fmri, CHECK, &description.groups)? {
            Command::Shell(command) => command,
            _ => return Err(format!("A check method is a command, not \"{}\".", spec.exec)),
        };
        let contract =
            self.runner.numbers.next().and_then(noted).map_err(|error| error.to_string())?;
        let pid = spawn(&mut self.runner.watch, fmri, CHECK, spec, contract, &command);
        let pid = pid.map_err(|error| {
            self.checks.ended.insert(contract);
            error.to_string()
        })?;
        let deadline = spec.timeout.map(|timeout| Instant::now() + timeout);
        Ok(Running { pid, contract, deadline })
    }

    /// If the process was a check, deals with its end.
    pub(super) fn was_check(&mut self, pid: i32, status: ExitStatus) -> bool {
        let is_it = |check: &Check| check.running.as_ref().is_some_and(|found| found.pid == pid);
        let found = self.checks.checked.iter_mut().find(|(_, check)| is_it(check));
        let Some((fmri, check)) = found else { return false };
        let fmri = fmri.clone();
        if let Some(running) = check.running.take() {
            self.end_check(running.contract);
        }
        // Success is no news, as long as it isn't the first after a failure.
        let failed_before = self.checks.checked.get(&fmri).is_some_and(|check| check.failures > 0);
        if !status.success() || failed_before {
            log::write(&fmri, &method::describe(CHECK, status));
        }
        self.checked(&fmri, status.success());
        true
    }

    /// Counts what a check found out.
    fn checked(&mut self, fmri: &Fmri, is_well: bool) {
        let Some(instance) = self.instances.get(fmri) else { return };
        let (Some(spec), Some(check)) =
            (&instance.description.check, self.checks.checked.get_mut(fmri))
        else {
            return;
        };
        check.due = Instant::now() + spec.period;
        check.failures = if is_well { 0 } else { check.failures + 1 };
        if check.failures >= spec.failures {
            check.failures = 0;
            self.events.push_back(Event::Stopped(fmri.clone(), StopReason::Unhealthy));
        }
    }

    /// Ends what is left of a check.
    fn end_check(&mut self, contract: Id) {
        let _ = fs::remove_file(reason_file(contract));
        self.runner.kill(BTreeSet::from([contract]));
        self.checks.ended.insert(contract);
    }
}

/// Puts a check's contract on record before it has processes.
fn noted(contract: Id) -> io::Result<Id> {
    fs::create_dir_all(crate::root("/run/svc/checks"))?;
    fs::write(note(contract), "")?;
    Ok(contract)
}
