//! Asks the restarter for what is wanted of one instance.

use std::io::IsTerminal;

use svc::fmri::Fmri;
use svc::host::Host;
use svc::repo::{Change, Repo, actions};
use svc::state::State;

use crate::options::{Mark, Options, Verb};
use crate::{Error, enable, own_instance};

/// What it takes to ask.
pub(crate) struct Asker<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) host: &'a Host,
    pub(crate) options: &'a Options,
}

impl Asker<'_> {
    /// Asks for what is wanted of `fmri`.
    pub(crate) fn ask(&self, fmri: &Fmri) -> Result<(), Error> {
        if self.options.wait.is_some() {
            self.refuse_deadlock(fmri)?;
        }
        match &self.options.verb {
            Verb::Enable { recursive: false, temporary } => self.switch(fmri, true, *temporary),
            Verb::Enable { recursive: true, temporary } => {
                let plan = enable::plan(self.host, fmri).map_err(Error::Failed)?;
                plan.iter().try_for_each(|fmri| self.switch(fmri, true, *temporary))
            }
            Verb::Disable { temporary, .. } => self.switch(fmri, false, *temporary),
            Verb::Restart { dump } => self.request(fmri, "restart", actions::restart(fmri, *dump)),
            Verb::Refresh => {
                self.repo.request_refresh(fmri)?;
                self.say(&format!("Action refresh set for {fmri}."));
                Ok(())
            }
            Verb::Mark(mark) => self.mark(fmri, *mark),
            Verb::Clear => match self.state(fmri) {
                Some(State::Maintenance) => self.plain_request(fmri, "maint_off"),
                Some(State::Degraded) => self.plain_request(fmri, "restore"),
                _ => {
                    fail(format!("Instance \"{fmri}\" is not in a maintenance or degraded state."))
                }
            },
            Verb::Milestone { .. } => Ok(()),
        }
    }

    /// What to tell the user of an error.
    pub(crate) fn explain(&self, fmri: &Fmri, error: Error) -> String {
        match error {
            Error::Repo(error) if error.is_denied() && self.options.verbose => {
                let group = self.options.verb.group();
                format!("{fmri}: Couldn't modify \"{group}\" property group (permission denied).")
            }
            Error::Repo(error) if error.is_denied() => format!("{fmri}: Permission denied."),
            Error::Repo(error) if error.is_not_found() => format!("No such instance \"{fmri}\"."),
            Error::Repo(error) => format!("{fmri}: {error}"),
            Error::Failed(line) => line,
        }
    }

    fn mark(&self, fmri: &Fmri, mark: Mark) -> Result<(), Error> {
        if mark.state() == State::Degraded && self.state(fmri) != Some(State::Online) {
            return fail(format!("Instance \"{fmri}\" is not online."));
        }
        let at_terminal = std::io::stdin().is_terminal();
        let changes = actions::mark(fmri, mark.action(), at_terminal, own_instance().as_ref());
        self.request(fmri, mark.action(), changes)
    }

    fn plain_request(&self, fmri: &Fmri, action: &str) -> Result<(), Error> {
        self.request(fmri, action, actions::request(fmri, action))
    }

    fn request(&self, fmri: &Fmri, action: &str, changes: Vec<Change>) -> Result<(), Error> {
        self.repo.commit(changes)?;
        self.say(&format!("Action {action} set for {fmri}."));
        Ok(())
    }

    fn switch(&self, fmri: &Fmri, enabled: bool, temporary: bool) -> Result<(), Error> {
        let mut changes = actions::switch(fmri, enabled, temporary);
        if let Verb::Disable { comment: Some(text), .. } = &self.options.verb {
            changes.extend(actions::comment(fmri, text));
        }
        self.repo.commit(changes)?;
        if !temporary {
            // rc.conf says the same, where it says anything.
            let noted = svc::rc::note_enabled(fmri, enabled);
            noted.map_err(|error| Error::Failed(error.to_string()))?;
        }
        let how = if temporary { "temporarily " } else { "" };
        let what = if enabled { "enabled" } else { "disabled" };
        self.say(&format!("{fmri} {how}{what}."));
        Ok(())
    }

    /// A method must not wait for its own instance, nor for one that can't run before it does:
    /// neither would end.
    fn refuse_deadlock(&self, fmri: &Fmri) -> Result<(), Error> {
        let Some(own) = own_instance() else { return Ok(()) };
        let starts = matches!(self.options.verb, Verb::Enable { .. } | Verb::Clear);
        let needs_own =
            || starts && enable::plan(self.host, fmri).is_ok_and(|plan| plan.contains(&own));
        if *fmri == own {
            return fail(format!(
                "{fmri}: its own method cannot wait for it (use {} without -s).",
                self.options.verb.name()
            ));
        }
        if needs_own() {
            return fail(format!(
                "{fmri}: a method of {own}, which it depends on, cannot wait for it \
                 (use {} without -s).",
                self.options.verb.name()
            ));
        }
        Ok(())
    }

    fn state(&self, fmri: &Fmri) -> Option<State> {
        self.host.instances.get(fmri)?.state()
    }

    fn say(&self, line: &str) {
        if self.options.verbose {
            println!("{line}");
        }
    }
}

fn fail(line: String) -> Result<(), Error> {
    Err(Error::Failed(line))
}
