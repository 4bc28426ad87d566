//! Hears from xend what happens to guests, and has clients told.
//!
//! xend numbers its events within one life of its. When some were missed, because xend was started
//! anew or virtd was slow, the guests are compared with those that were there before.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use xend::rpc::Value;
use xend::sxp;

use crate::error::Result;
use crate::events::Event;
use crate::guest::Guest;
use crate::protocol::Domain;
use crate::session::Host;

/// How long xend may keep an answer back, in seconds.
const PATIENCE: i64 = 30;
/// How long to leave a xend alone that does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread that listens.
pub fn start(host: Arc<Host>) -> io::Result<()> {
    let listen = move || {
        let mut watch = Watch::default();
        loop {
            if let Err(error) = watch.hear(&host) {
                tracing::debug!("{error}");
                host.xend.outdated();
                std::thread::sleep(PAUSE);
            }
        }
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(listen).map(drop)
}

/// What is known of a guest, to notice what was missed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    domain: Domain,
    persistent: bool,
}

#[derive(Debug, Default)]
struct Watch {
    life: String,
    last: i64,
    /// `None` until xend has answered for the first time.
    known: Option<HashMap<Uuid, Known>>,
}

impl Watch {
    /// Waits for what happens next, and tells of it.
    fn hear(&mut self, host: &Host) -> Result<()> {
        let patience = if self.known.is_none() { 0 } else { PATIENCE };
        let params = vec![self.life.as_str().into(), self.last.into(), patience.into()];
        let answer = host.xend.wait("xend.events", params)?;
        let last = sxp::int(&answer, "last").unwrap_or(0);
        let lost = sxp::int(&answer, "lost") == Some(1);
        if last != self.last || lost {
            host.xend.outdated();
        }
        let happened: Vec<(Domain, Event)> = if lost {
            self.compare(host.xend.guests()?.all())
        } else {
            sxp::children(&answer, "event").filter_map(read).collect()
        };
        self.life = sxp::text(&answer, "life").unwrap_or_default();
        self.last = last;
        for (domain, event) in &happened {
            host.events.tell(domain, event);
        }
        if !happened.is_empty() && !lost {
            self.known = Some(know(host.xend.guests()?.all()));
        }
        Ok(())
    }

    /// What must have happened since guests were looked at last.
    fn compare(&mut self, guests: &[Guest]) -> Vec<(Domain, Event)> {
        let now = know(guests);
        let Some(before) = self.known.replace(now.clone()) else { return Vec::new() };
        let mut happened = Vec::new();
        for (uuid, old) in &before {
            let new = now.get(uuid);
            let gone = Domain { id: -1, ..old.domain.clone() };
            if old.domain.id >= 0 && new.is_none_or(|new| new.domain.id != old.domain.id) {
                happened.push((gone.clone(), lifecycle(STOPPED, 1)));
            }
            if old.persistent && new.is_none_or(|new| !new.persistent) {
                happened.push((gone, lifecycle(UNDEFINED, 0)));
            }
        }
        for (uuid, new) in &now {
            let old = before.get(uuid);
            if new.persistent && old.is_none_or(|old| !old.persistent) {
                happened.push((new.domain.clone(), lifecycle(DEFINED, 0)));
            }
            if new.domain.id >= 0 && old.is_none_or(|old| old.domain.id != new.domain.id) {
                happened.push((new.domain.clone(), lifecycle(STARTED, 0)));
            }
        }
        happened
    }
}

fn know(guests: &[Guest]) -> HashMap<Uuid, Known> {
    let known = |guest: &Guest| Known { domain: guest.domain(), persistent: guest.persistent };
    guests.iter().map(|guest| (guest.uuid, known(guest))).collect()
}

// `virDomainEventType`.
const DEFINED: i32 = 0;
const UNDEFINED: i32 = 1;
const STARTED: i32 = 2;
const SUSPENDED: i32 = 3;
const RESUMED: i32 = 4;
const STOPPED: i32 = 5;

fn lifecycle(kind: i32, detail: i32) -> Event {
    Event::Lifecycle { kind, detail }
}

/// One of xend's events in libvirt's terms; `None` for what libvirt has no word for.
fn read(event: &Value) -> Option<(Domain, Event)> {
    let detail = || sxp::text(event, "detail").unwrap_or_default();
    let told = match sxp::text(event, "what")?.as_str() {
        "defined" => lifecycle(DEFINED, 0),
        "redefined" => lifecycle(DEFINED, 1),
        "undefined" => lifecycle(UNDEFINED, 0),
        "started" => lifecycle(STARTED, 0),
        "paused" => lifecycle(SUSPENDED, 0),
        "unpaused" => lifecycle(RESUMED, 0),
        "shutdown" => lifecycle(STOPPED, 0),
        "destroyed" => lifecycle(STOPPED, 1),
        "crashed" => lifecycle(STOPPED, 2),
        "rebooted" => Event::Reboot,
        "memory" => Event::Balloon(detail().parse().ok()?),
        "device_added" => Event::DeviceAdded(detail()),
        "device_removed" => Event::DeviceRemoved(detail()),
        _ => return None,
    };
    let id = sxp::int(event, "domid").and_then(|domid| i32::try_from(domid).ok());
    let gone = matches!(told, Event::Lifecycle { kind: STOPPED, .. });
    let domain = Domain {
        name: sxp::text(event, "name")?,
        uuid: sxp::text(event, "uuid")?.parse().ok()?,
        id: id.filter(|_| !gone).unwrap_or(-1),
    };
    Some((domain, told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::State;
    use xend::sxp::{list, pair};

    fn guest(number: u128, domid: Option<u16>, persistent: bool) -> Guest {
        Guest {
            name: format!("g{number}"),
            uuid: Uuid::from_u128(number),
            domid,
            state: if domid.is_some() { State::Running } else { State::Shutoff },
            memory: 1,
            max_memory: 1,
            vcpus: 1,
            online_vcpus: 1,
            cpu_time: 0,
            persistent,
            autostart: false,
        }
    }

    #[test]
    fn what_was_missed_is_found_by_comparing() {
        let mut watch = Watch::default();
        let before = [guest(1, Some(1), true), guest(2, Some(2), false), guest(3, None, true)];
        assert_eq!(watch.compare(&before), []);
        assert_eq!(watch.compare(&before), []);
        let after = [guest(1, Some(7), true), guest(4, Some(3), true)];
        let mut kinds: Vec<(String, i32)> = watch
            .compare(&after)
            .into_iter()
            .map(|(domain, event)| match event {
                Event::Lifecycle { kind, .. } => (domain.name, kind),
                other => panic!("{other:?}"),
            })
            .collect();
        kinds.sort();
        let wanted = [
            ("g1", STARTED),
            ("g1", STOPPED),
            ("g2", STOPPED),
            ("g3", UNDEFINED),
            ("g4", DEFINED),
            ("g4", STARTED),
        ];
        assert_eq!(kinds, wanted.map(|(name, kind)| (name.to_owned(), kind)));
    }

    #[test]
    fn events_are_told_in_libvirts_terms() {
        let event = |what: &str, detail: &str| {
            let members = [
                pair("what", what),
                pair("name", "juliet"),
                pair("uuid", Uuid::from_u128(1).to_string()),
                pair("domid", 5),
                pair("detail", detail),
            ];
            read(&list("event", members))
        };
        let (domain, told) = event("crashed", "").unwrap();
        assert_eq!((domain.id, told), (-1, lifecycle(STOPPED, 2)));
        assert_eq!(event("memory", "65536").unwrap().1, Event::Balloon(65536));
        assert_eq!(event("paused", "").unwrap().0.id, 5);
        assert_eq!(event("exploded", ""), None);
    }
}
