//! Processes that end, are killed, or are gone without a word.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::wait::{Id as WaitId, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::Daemon;
use crate::fmri::Fmri;
use crate::restarter::engine::{Event, Method, Model, StopReason};

/// A child that exits with this is not to be started again (SMF_EXIT_ERR_CONFIG).
const MISCONFIGURED: i32 = 96;

impl Daemon {
    pub(super) fn kill(&mut self, fmri: Fmri) {
        match self.instances.get(&fmri).and_then(|instance| instance.processes.contract) {
            Some(contract) => {
                self.runner.contracts.kill(contract);
                self.dying.insert(fmri, contract);
            }
            None => self.events.push_back(Event::Gone(fmri)),
        }
    }

    /// Looks whether what was killed is gone.
    pub(super) fn watch_dying(&mut self) {
        let contracts = &self.runner.contracts;
        let left = contracts.populated(self.dying.values().copied());
        left.iter().for_each(|id| contracts.kill(*id));
        for (fmri, contract) in std::mem::take(&mut self.dying) {
            if left.contains(&contract) {
                self.dying.insert(fmri, contract);
                continue;
            }
            self.runner.contracts.remove(contract);
            if let Some(instance) = self.instances.get_mut(&fmri) {
                instance.processes.contract = None;
            }
            self.events.push_back(Event::Gone(fmri));
        }
    }

    /// Collects ended children: methods, and daemons that have nobody else.
    pub(super) fn reap(&mut self) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(WaitId::All, look) {
            let Some(pid) = status.pid() else { return };
            // As long as it isn't collected, its contract can be found out.
            let contract = self.runner.contracts.of(pid.as_raw());
            let _ = waitpid(pid, None);
            self.ended(pid, status, contract);
        }
    }

    fn ended(&mut self, pid: Pid, status: WaitStatus, contract: Option<u64>) {
        let (raw, core) = match status {
            WaitStatus::Exited(_, code) => (code << 8, None),
            WaitStatus::Signaled(_, signal, core) => (signal as i32, Some(core)),
            _ => return,
        };
        let exit = ExitStatus::from_raw(raw);
        if let Some(reaped) = self.runner.reaped(pid.as_raw(), exit) {
            if reaped.method == Method::Start
                && let Some(instance) = self.instances.get_mut(&reaped.fmri)
            {
                instance.processes.start_status = Some(exit);
                instance.reason = reaped.reason;
            }
            if let Some(outcome) = reaped.outcome {
                self.method_over(reaped.fmri, reaped.method, outcome);
            }
            return;
        }
        let owner = self.instances.iter_mut().find(|(_, instance)| {
            instance.processes.start_pid == Some(pid.as_raw())
                || (contract.is_some() && instance.processes.contract == contract)
        });
        let Some((fmri, instance)) = owner else { return };
        let is_child = instance.description.config.model == Model::Child;
        let reason = match core {
            _ if is_child && instance.processes.start_pid == Some(pid.as_raw()) => {
                instance.processes.start_status = Some(exit);
                let misconfigured = exit.code() == Some(MISCONFIGURED);
                if misconfigured { StopReason::Failed } else { StopReason::Exited }
            }
            Some(true) if !is_child && !instance.description.ignore_core => StopReason::Core,
            Some(false) if !is_child && !instance.description.ignore_signal => StopReason::Signal,
            _ => return,
        };
        self.events.push_back(Event::Stopped(fmri.clone(), reason));
    }

    /// Notices services whose last process has gone; of a child, the one that is the service.
    pub(super) fn watch_contracts(&mut self) {
        let watched = self.instances.iter().filter_map(|(fmri, instance)| {
            let contract = instance.processes.contract.filter(|_| self.engine.is_watched(fmri))?;
            Some((fmri, instance, contract))
        });
        let watched: Vec<_> = watched.collect();
        let contracts = &self.runner.contracts;
        let populated = contracts.populated(watched.iter().map(|(.., contract)| *contract));
        for (fmri, instance, contract) in watched {
            let is_there = |pid| contracts.of(pid) == Some(contract);
            let child = match instance.description.config.model {
                Model::Child => instance.processes.start_pid,
                _ => None,
            };
            if !populated.contains(&contract) || child.is_some_and(|pid| !is_there(pid)) {
                self.events.push_back(Event::Stopped(fmri.clone(), StopReason::Exited));
            }
        }
    }
}
