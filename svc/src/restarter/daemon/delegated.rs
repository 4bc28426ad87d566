//! Between the graph and other restarters: what they report, what they are told, and the contracts
//! of the processes that they name.

use std::io;

use nix::unistd::getpid;

use super::Daemon;
use crate::delegate::{Event as Told, Report};
use crate::fmri::Fmri;
use crate::restarter::delegates::{Heard, Link};
use crate::restarter::engine::{Action, Event, Look};
use crate::restarter::log;
use crate::state::State;

impl Daemon {
    /// Takes in what restarters say.
    pub(super) fn hear_restarters(&mut self) {
        for heard in self.delegates.hear() {
            match heard {
                Heard::Bind(link, restarter) => self.bind(link, restarter),
                Heard::Report { by, report, is_answer } => self.reported(&by, report, is_answer),
                Heard::Gone(restarter) => self.events.push_back(Event::Unbound(restarter)),
            }
        }
    }

    fn bind(&mut self, link: Link, restarter: Fmri) {
        if !self.instances.contains_key(&restarter) {
            let why = format!("there is no instance {restarter} that could be a restarter");
            return self.delegates.refuse(link, &why);
        }
        self.delegates.bind(link, restarter.clone());
        self.events.push_back(Event::Bound(restarter));
        // What it is told of instances was said on this connection, then.
        self.settle();
    }

    fn reported(&mut self, by: &Fmri, report: Report, is_answer: bool) {
        let fmri = report.instance;
        if self.engine.restarter_of(&fmri) != Some(by) {
            let message = format!("{fmri} is no instance of {by}");
            return self.delegates.say(by, &Told::Error { message, instance: Some(fmri) });
        }
        if let Some(message) = &report.message {
            log::write(&fmri, message);
        }
        if let Some(pids) = report.processes
            && let Err(error) = self.take_in(by, &fmri, &pids)
        {
            let message = format!("processes of {fmri}: {error}");
            self.delegates.say(by, &Told::Error { message, instance: Some(fmri.clone()) });
        }
        let auxiliary = report.auxiliary_state.unwrap_or_else(|| "none".to_owned());
        let look = Look { state: report.state, next: report.next_state, auxiliary };
        let is_error = report.error;
        self.events.push_back(Event::Reported { fmri, look, is_error, is_answer });
    }

    /// Makes processes that a restarter started members of the instance's own contract, so that
    /// they outlive the restarter, whose contract they came from.
    fn take_in(&mut self, by: &Fmri, fmri: &Fmri, pids: &[i32]) -> io::Result<()> {
        let contract_of = |fmri: &Fmri| self.instances.get(fmri)?.processes.contract;
        let (theirs, mut own) = (contract_of(by), contract_of(fmri));
        if pids.is_empty() {
            if let Some(own) = own.take() {
                self.runner.watch.contracts().remove(own);
            }
        } else if own.is_none() {
            own = Some(self.runner.numbers.next()?);
        }
        for pid in pids {
            let contracts = self.runner.watch.contracts();
            let now = contracts.of(*pid);
            let is_free = now.is_none() || now == own || now == theirs;
            if *pid <= 1 || *pid == getpid().as_raw() || !is_free {
                return Err(io::Error::other(format!("{pid} is somebody else's")));
            }
            if let Some(own) = own.filter(|_| now != own) {
                contracts.take_in(own, *pid)?;
            }
        }
        if let Some(instance) = self.instances.get_mut(fmri) {
            instance.processes.contract = own;
            if let Some(id) = own {
                self.owners.note(id, fmri, &self.instances);
            }
            self.changed.insert(fmri.clone());
        }
        Ok(())
    }

    /// Tells a restarter what the graph wants it to know.
    pub(super) fn tell_restarter(&mut self, action: Action) {
        match action {
            Action::Add { to, fmri, enabled } => {
                let look = self.engine.look(&fmri);
                let (state, auxiliary_state) = look
                    .map_or((State::Uninitialized, "none".to_owned()), |look| {
                        (look.state, look.auxiliary)
                    });
                let contract = self.instances.get(&fmri).and_then(|i| i.processes.contract);
                let contracts = self.runner.watch.contracts();
                let processes = contract.map(|id| contracts.pids(id)).unwrap_or_default();
                let instance = fmri.clone();
                self.delegates.tell(&to, &fmri, |id| Told::AddInstance {
                    id,
                    instance,
                    enabled,
                    state,
                    auxiliary_state,
                    processes,
                });
            }
            Action::Remove { to, fmri } => {
                let instance = fmri.clone();
                self.delegates.tell(&to, &fmri, |id| Told::RemoveInstance { id, instance });
            }
            Action::Order { to, fmri, order } => {
                let instance = fmri.clone();
                self.delegates.tell(&to, &fmri, |id| Told::Order { order, id, instance });
            }
            Action::Synced(to) => self.delegates.say(&to, &Told::Synced),
            _ => {}
        }
    }
}
