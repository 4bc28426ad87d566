//! Who wants to hear of what, and telling them.
//!
//! A subscription is a client's: an event, one domain or all of them, and the number by which the
//! client knows it. Telling never waits: a notice goes into the client's outbox.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::error::{Code, Error, Result};
use crate::outbox::Outbox;
use crate::packet::{self, Header, program};
use crate::protocol::{Domain, notice};
use crate::xdr::Xdr;

/// Events that clients know (`virDomainEventID`, as of libvirt 9); most never happen here.
const KINDS: i32 = 26;
/// Subscriptions that a client may have.
const MOST: usize = 1000;

/// Something that happened to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its life went on; kind and detail as in `virDomainEventType`.
    Lifecycle {
        /// What happened.
        kind: i32,
        /// How, or why.
        detail: i32,
    },
    /// It asked to be made anew.
    Reboot,
    /// It has so much memory now, in KiB.
    Balloon(u64),
    /// A device with that alias has come.
    DeviceAdded(String),
    /// A device with that alias has gone.
    DeviceRemoved(String),
}

impl Event {
    /// Its number (`virDomainEventID`).
    fn id(&self) -> i32 {
        match self {
            Self::Lifecycle { .. } => 0,
            Self::Reboot => 1,
            Self::Balloon(_) => 13,
            Self::DeviceRemoved(_) => 15,
            Self::DeviceAdded(_) => 19,
        }
    }

    /// The notice of it for the subscription with that number.
    fn notice(&self, subscription: i32, domain: &Domain) -> Vec<u8> {
        let domain = domain.clone();
        match self {
            Self::Lifecycle { kind, detail } => {
                message(notice::CALLBACK_LIFECYCLE, &(subscription, domain, *kind, *detail))
            }
            Self::Reboot => message(notice::CALLBACK_REBOOT, &(subscription, domain)),
            Self::Balloon(kib) => {
                message(notice::CALLBACK_BALLOON_CHANGE, &(subscription, domain, *kib))
            }
            Self::DeviceRemoved(alias) => {
                message(notice::CALLBACK_DEVICE_REMOVED, &(subscription, domain, alias.clone()))
            }
            Self::DeviceAdded(alias) => {
                message(notice::CALLBACK_DEVICE_ADDED, &(subscription, domain, alias.clone()))
            }
        }
    }
}

fn message(procedure: i32, payload: &impl Xdr) -> Vec<u8> {
    let header = Header::notice(program::REMOTE, program::REMOTE_VERSION, procedure);
    packet::message(header, |out| payload.encode(out))
}

#[derive(Debug)]
struct Subscription {
    number: i32,
    event: i32,
    /// One domain only.
    domain: Option<Uuid>,
    client: Arc<Outbox>,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub struct Hub {
    subscriptions: Mutex<Vec<Subscription>>,
    last: AtomicI32,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Vec<Subscription>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client wants to hear of an event, of one domain or of all. Returns the subscription's
    /// number.
    pub fn subscribe(&self, client: &Arc<Outbox>, event: i32, domain: Option<Uuid>) -> Result<i32> {
        if !(0..=KINDS).contains(&event) {
            return Err(Error::invalid(format!("unsupported event ID {event}")));
        }
        let mut subscriptions = self.lock();
        if subscriptions.iter().filter(|it| Arc::ptr_eq(&it.client, client)).count() >= MOST {
            return Err(Error::state(format!("a client can hear of {MOST} events, not more")));
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        subscriptions.push(Subscription { number, event, domain, client: Arc::clone(client) });
        Ok(number)
    }

    /// A client does not want to hear of it any more.
    pub fn unsubscribe(&self, client: &Arc<Outbox>, number: i32) -> Result<()> {
        let mut subscriptions = self.lock();
        let mine = |it: &Subscription| it.number == number && Arc::ptr_eq(&it.client, client);
        let place = subscriptions.iter().position(mine).ok_or_else(|| {
            Error::new(Code::InvalidArg, format!("domain event callback {number} not registered"))
        })?;
        subscriptions.remove(place);
        Ok(())
    }

    /// A number for a wish to hear of what nobody ever tells.
    pub fn unheard(&self) -> i32 {
        self.last.fetch_add(1, Ordering::Relaxed) & i32::MAX
    }

    /// A client is gone.
    pub fn forget(&self, client: &Arc<Outbox>) {
        self.lock().retain(|it| !Arc::ptr_eq(&it.client, client));
    }

    /// Tells all who want to hear of it.
    pub fn tell(&self, domain: &Domain, event: &Event) {
        for it in self.lock().iter() {
            let wanted = it.event == event.id() && it.domain.is_none_or(|uuid| uuid == domain.uuid);
            if wanted {
                it.client.push(event.notice(it.number, domain));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Next;
    use crate::xdr::from_bytes;
    use std::time::Duration;

    fn domain(number: u128) -> Domain {
        Domain { name: "juliet".to_owned(), uuid: Uuid::from_u128(number), id: 3 }
    }

    fn received(client: &Outbox) -> Option<packet::Packet> {
        match client.next(Duration::ZERO) {
            Next::Message(message) => packet::read(&mut message.as_slice()).unwrap(),
            _ => None,
        }
    }

    #[test]
    fn who_asked_hears_and_nobody_else() {
        let hub = Hub::default();
        let (one, other): (Arc<Outbox>, Arc<Outbox>) = Default::default();
        let number = hub.subscribe(&one, 0, Some(Uuid::from_u128(1))).unwrap();
        hub.subscribe(&other, 1, None).unwrap();
        assert!(hub.subscribe(&other, 9999, None).is_err());
        let started = Event::Lifecycle { kind: 2, detail: 0 };
        hub.tell(&domain(2), &started);
        hub.tell(&domain(1), &started);
        let notice = received(&one).unwrap();
        assert_eq!(notice.header.procedure, notice::CALLBACK_LIFECYCLE);
        let payload: (i32, Domain, i32, i32) = from_bytes(&notice.payload).unwrap();
        assert_eq!(payload, (number, domain(1), 2, 0));
        assert!(received(&one).is_none() && received(&other).is_none());
        assert!(hub.unsubscribe(&other, number).is_err());
        hub.unsubscribe(&one, number).unwrap();
        hub.forget(&other);
        hub.tell(&domain(1), &Event::Reboot);
        assert!(received(&one).is_none() && received(&other).is_none());
    }
}
