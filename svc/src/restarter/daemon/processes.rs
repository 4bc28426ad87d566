//! Processes that end, are killed, or are gone without a word.

use std::collections::BTreeSet;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use super::{Daemon, Instance};
use crate::fmri::Fmri;
use crate::reap;
use crate::restarter::context::MISCONFIGURED;
use crate::restarter::death::{self, Death};
use crate::restarter::engine::{Event, Method, Model, StopReason};

impl Daemon {
    pub(super) fn kill(&mut self, fmri: Fmri) {
        match self.instances.get(&fmri).and_then(|instance| instance.processes.contract) {
            Some(contract) => {
                self.runner.kill(BTreeSet::from([contract]));
                self.dying.insert(fmri, contract);
            }
            None => self.events.push_back(Event::Gone(fmri)),
        }
    }

    /// Ends a method that is not waited for any more.
    pub(super) fn break_off(&mut self, fmri: &Fmri) {
        self.runner.break_off(fmri);
        for waiting in [&mut self.to_run, &mut self.to_run_now] {
            waiting.retain(|(waiting, _)| waiting != fmri);
        }
        if let Some(instance) = self.instances.get_mut(fmri) {
            instance.processes.transient = None;
        }
    }

    /// Has what runs dump core.
    pub(super) fn dump(&self, fmri: &Fmri) {
        if let Some(contract) = self.instances.get(fmri).and_then(|i| i.processes.contract) {
            self.runner.watch.contracts().signal(contract, Signal::SIGABRT);
        }
    }

    /// Leaves what runs to itself.
    pub(super) fn abandon(&mut self, fmri: &Fmri) {
        let contract = self.instances.get_mut(fmri).and_then(|i| i.processes.contract.take());
        if let Some(contract) = contract {
            self.runner.watch.remove(contract);
        }
    }

    /// Looks whether what was killed is gone.
    pub(super) fn watch_dying(&mut self) {
        let gone = |_: &Fmri, contract: &mut u64| self.runner.watch.is_empty(*contract);
        let gone: Vec<_> = self.dying.extract_if(.., gone).collect();
        for (fmri, contract) in gone {
            self.runner.watch.remove(contract);
            if let Some(instance) = self.instances.get_mut(&fmri) {
                instance.processes.contract = None;
            }
            self.events.push_back(Event::Gone(fmri));
        }
    }

    /// Collects ended children: methods, and daemons that have nobody else.
    pub(super) fn reap(&mut self) {
        while let Some(pid) = reap::ended() {
            // As long as it isn't collected, its contract can be found out.
            let contract = self.runner.watch.contracts().of(pid);
            match reap::collect(pid) {
                Some(status) => self.ended(pid, status, contract),
                None => return,
            }
        }
    }

    fn ended(&mut self, pid: i32, status: ExitStatus, contract: Option<u64>) {
        if let Some(reaped) = self.runner.reaped(pid, status) {
            if reaped.method == Method::Start
                && let Some(instance) = self.instances.get_mut(&reaped.fmri)
            {
                instance.processes.start_status = Some(status);
                instance.reason = reaped.reason;
            }
            if let Some(outcome) = reaped.outcome {
                self.method_over(reaped.fmri, reaped.method, outcome);
            }
            return;
        }
        if self.was_check(pid, status) {
            return;
        }
        let of_contract = contract.and_then(|id| self.owners.of(id, &self.instances).cloned());
        let owner = of_contract.or_else(|| {
            // A process that is the service is known even if it has left its contract.
            let is_it = |instance: &Instance| instance.processes.start_pid == Some(pid);
            let found = self.instances.iter().find(|(_, instance)| is_it(instance));
            found.map(|(fmri, _)| fmri.clone())
        });
        let Some(fmri) = owner else { return };
        let Some(instance) = self.instances.get_mut(&fmri) else { return };
        let description = &instance.description;
        let reason = if description.config.model == Model::Child {
            // Only the end of the process that is the service counts.
            if instance.processes.start_pid != Some(pid) {
                return;
            }
            instance.processes.start_status = Some(status);
            match status.code() {
                Some(MISCONFIGURED) => StopReason::Failed,
                Some(0) => StopReason::Exited,
                _ => StopReason::ExitedBadly,
            }
        } else {
            match death::of(pid, status) {
                Death::Hardware => StopReason::Hardware,
                Death::Core if !description.ignore_core => StopReason::Core,
                Death::Signal if !description.ignore_signal => StopReason::Signal,
                _ => return,
            }
        };
        self.events.push_back(Event::Stopped(fmri, reason));
    }

    /// Notices services whose last process has gone; of a child, the one that is the service.
    pub(super) fn watch_contracts(&mut self) {
        let over: Vec<u64> = self.runner.watch.over().collect();
        let stopped = over.into_iter().filter_map(|id| self.owners.of(id, &self.instances));
        let stopped: BTreeSet<&Fmri> =
            stopped.filter(|fmri| self.engine.is_watched(fmri)).collect();
        let events = stopped.into_iter().cloned();
        let events = events.map(|fmri| Event::Stopped(fmri, StopReason::Exited));
        self.events.extend(events);
    }
}
