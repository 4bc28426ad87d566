//! What happened to domains, for clients that want to be told: each event has a number, and a
//! client asks for those after the last one it knows.
//!
//! Events are kept for a while only, and not over xend's death: a client that asks for what is
//! not known any more is told so, and looks at the domains instead.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::host::DomId;
use crate::rpc::Value;
use crate::sxp::{list, pair};

/// So many are kept.
const KEPT: usize = 1000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It has a definition, which it had not.
    Defined,
    /// It has another definition.
    Redefined,
    /// It has no definition any more.
    Undefined,
    /// It was made.
    Started,
    /// It is kept from running.
    Paused,
    /// It runs on.
    Unpaused,
    /// It powered off and is gone.
    ShutDown,
    /// It crashed and is gone.
    Crashed,
    /// It was destroyed.
    Destroyed,
    /// It asked to be made anew.
    Rebooted,
    /// It has another amount of memory to come to.
    Memory,
    /// A device has come.
    DeviceAdded,
    /// A device has gone.
    DeviceRemoved,
}

impl What {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Defined => "defined",
            Self::Redefined => "redefined",
            Self::Undefined => "undefined",
            Self::Started => "started",
            Self::Paused => "paused",
            Self::Unpaused => "unpaused",
            Self::ShutDown => "shutdown",
            Self::Crashed => "crashed",
            Self::Destroyed => "destroyed",
            Self::Rebooted => "rebooted",
            Self::Memory => "memory",
            Self::DeviceAdded => "device_added",
            Self::DeviceRemoved => "device_removed",
        }
    }
}

/// Something that happened to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub what: What,
    /// To whom.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its number, if it has one.
    pub domid: Option<DomId>,
    /// Which device, or how much.
    pub detail: Option<String>,
}

impl Event {
    fn sxp(&self, number: u64) -> Value {
        let mut members = vec![
            pair("number", number as i64),
            pair("what", self.what.word()),
            pair("uuid", self.uuid.to_string()),
            pair("name", self.name.as_str()),
        ];
        members.extend(self.domid.map(|domid| pair("domid", i64::from(domid))));
        members.extend(self.detail.as_deref().map(|detail| pair("detail", detail)));
        list("event", members)
    }
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    /// The number of the last event.
    last: u64,
}

/// The events of this life of xend.
#[derive(Debug)]
pub struct Events {
    /// Tells this life from others.
    life: Uuid,
    kept: Mutex<Kept>,
    changed: Condvar,
}

impl Events {
    /// No events yet.
    pub fn new(life: Uuid) -> Self {
        Self { life, kept: Mutex::default(), changed: Condvar::new() }
    }

    /// Something happened.
    pub fn push(&self, event: Event) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        kept.events.push_back(event);
        if kept.events.len() > KEPT {
            kept.events.pop_front();
        }
        self.changed.notify_all();
    }

    /// The events after number `after` of the life `life`; waits for one no longer than
    /// `patience`. `(events (life ..) (last ..) (lost ..) (event ..) ..)`: if some are lost, or
    /// the life is another one, none are told.
    pub fn after(&self, life: &str, after: u64, patience: Duration) -> Value {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = life == self.life.to_string();
        let none = |kept: &mut Kept| known && kept.last == after;
        let waited = self.changed.wait_timeout_while(kept, patience, none);
        let kept = waited.unwrap_or_else(PoisonError::into_inner).0;
        let first = kept.last - kept.events.len() as u64;
        let lost = !known || !(first..=kept.last).contains(&after);
        let mut members = vec![
            pair("life", self.life.to_string()),
            pair("last", kept.last as i64),
            pair("lost", i64::from(lost)),
        ];
        if !lost {
            let numbered = (first + 1..).zip(&kept.events);
            let new = numbered.filter(|(number, _)| *number > after);
            members.extend(new.map(|(number, event)| event.sxp(number)));
        }
        list("events", members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sxp;

    fn event(what: What) -> Event {
        Event { what, uuid: Uuid::nil(), name: "juliet".to_owned(), domid: Some(1), detail: None }
    }

    fn words(answer: &Value) -> Vec<String> {
        sxp::children(answer, "event").filter_map(|event| sxp::text(event, "what")).collect()
    }

    #[test]
    fn a_client_hears_of_what_it_does_not_know() {
        let events = Events::new(Uuid::from_u128(1));
        let life = Uuid::from_u128(1).to_string();
        let ask = |after| events.after(&life, after, Duration::ZERO);
        assert_eq!(words(&ask(0)), [""; 0]);
        events.push(event(What::Started));
        events.push(event(What::Paused));
        assert_eq!(words(&ask(0)), ["started", "paused"]);
        assert_eq!(words(&ask(1)), ["paused"]);
        assert_eq!(words(&ask(2)), [""; 0]);
        assert_eq!((sxp::int(&ask(2), "last"), sxp::int(&ask(2), "lost")), (Some(2), Some(0)));
    }

    #[test]
    fn what_is_lost_is_said_to_be() {
        let events = Events::new(Uuid::from_u128(1));
        let life = Uuid::from_u128(1).to_string();
        let lost = |life: &str, after| {
            sxp::int(&events.after(life, after, Duration::ZERO), "lost") == Some(1)
        };
        (0..=KEPT).for_each(|_| events.push(event(What::Started)));
        assert!(lost(&life, 0) && lost(&life, 9999) && lost("another", 1001));
        assert!(!lost(&life, 1) && !lost(&life, 1001));
    }
}
