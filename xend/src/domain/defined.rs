//! Guests that are defined: what is done with definitions, and making a guest of one.

use std::sync::Arc;
use std::time::Duration;

use super::manager::{Manager, Target};
use super::{Domain, Event, OpError, What};
use crate::config::{GuestConfig, check_name};
use crate::definitions::Definition;
use crate::rpc::Value;

type Op<T> = Result<T, OpError>;

impl Manager {
    /// Defines a guest, in place of what is defined under its name.
    pub fn define(&self, config: GuestConfig) -> Op<()> {
        check_name(&config.name).map_err(OpError::Refused)?;
        let (definition, known) = self.host.definitions.save(config).map_err(OpError::Refused)?;
        let what = if known { What::Redefined } else { What::Defined };
        self.events.push(self.event_of(&definition, what));
        Ok(())
    }

    /// Takes a definition back. A guest that runs goes on.
    pub fn undefine(&self, wanted: &str) -> Op<()> {
        let definition = self.definition(wanted)?;
        self.host.definitions.remove(&definition).map_err(OpError::Refused)?;
        self.events.push(self.event_of(&definition, What::Undefined));
        Ok(())
    }

    /// Makes a guest of its definition, and lets it run unless it is to stay paused.
    pub fn start(self: &Arc<Self>, wanted: &str, paused: bool) -> Op<()> {
        let definition = self.definition(wanted)?;
        let domain = self.create(GuestConfig::clone(&definition.config))?;
        if paused {
            return Ok(());
        }
        let domid = domain.record().domid.unwrap_or_default();
        let started = self.host.hypervisor.unpause(domid);
        if started.is_err() {
            self.destroy(&domain.uuid.to_string())?;
        }
        Ok(started?)
    }

    /// Has a guest started when the host comes up, or not.
    pub fn set_autostart(&self, wanted: &str, start: bool) -> Op<()> {
        let definition = self.definition(wanted)?;
        self.host.definitions.set_autostart(&definition, start).map_err(OpError::Refused)
    }

    /// A guest's settings: as it runs, or as it is defined.
    pub fn config(&self, wanted: &str, defined: bool) -> Op<GuestConfig> {
        if defined {
            return Ok(GuestConfig::clone(&self.definition(wanted)?.config));
        }
        match self.find(wanted)? {
            Target::Known(domain) => {
                let record = domain.record();
                Ok(GuestConfig { uuid: Some(record.uuid), ..record.config })
            }
            Target::Defined(definition) => Ok(GuestConfig::clone(&definition.config)),
            Target::Foreign { name, .. } => {
                let reason = format!("Domain '{name}' is not managed by xend");
                Err(OpError::Refused(reason))
            }
        }
    }

    /// The events after one that a client knows; see [`Events::after`](super::Events::after).
    pub fn events_after(&self, life: &str, after: u64, patience: Duration) -> Value {
        self.events.after(life, after, patience)
    }

    /// The definition that a name, a number or a UUID means; a guest that runs is known by each.
    fn definition(&self, wanted: &str) -> Op<Definition> {
        let name = self.find(wanted)?.name();
        let missing = || OpError::Refused(format!("Domain '{name}' has no definition"));
        self.host.definitions.find(&name).ok_or_else(missing)
    }

    fn event_of(&self, definition: &Definition, what: What) -> Event {
        let name = definition.config.name.clone();
        let known = self.known().into_iter().find(|it| it.record().config.name == name);
        let uuid = known.as_ref().map(|it| it.uuid).or(definition.config.uuid).unwrap_or_default();
        let domid = known.and_then(|it| it.record().domid);
        Event { what, uuid, name, domid, detail: None }
    }

    /// The event of something that happens to a guest.
    pub(super) fn event(&self, domain: &Domain, what: What, detail: Option<String>) -> Event {
        let record = domain.record();
        Event { what, uuid: record.uuid, name: record.config.name, domid: record.domid, detail }
    }

    /// Something happened to a guest.
    pub(super) fn happened(&self, domain: &Domain, what: What, detail: Option<String>) {
        self.events.push(self.event(domain, what, detail));
    }

    /// Something happened to whatever `wanted` means.
    pub(super) fn happened_to(&self, wanted: &str, what: What) {
        match self.find(wanted) {
            Ok(Target::Known(domain)) => self.happened(&domain, what, None),
            Ok(Target::Foreign { domid, uuid, name }) => {
                let domid = Some(domid);
                self.events.push(Event { what, uuid, name, domid, detail: None });
            }
            _ => {}
        }
    }
}
