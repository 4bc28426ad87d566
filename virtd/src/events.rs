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

    /// The notice of it: that with the number of a subscription before it, and that without.
    fn procedures(&self) -> (i32, Option<i32>) {
        match self {
            Self::Lifecycle { .. } => (notice::CALLBACK_LIFECYCLE, Some(notice::LIFECYCLE)),
            Self::Reboot => (notice::CALLBACK_REBOOT, Some(notice::REBOOT)),
            Self::Balloon(_) => (notice::CALLBACK_BALLOON_CHANGE, Some(notice::BALLOON_CHANGE)),
            Self::DeviceRemoved(_) => {
                (notice::CALLBACK_DEVICE_REMOVED, Some(notice::DEVICE_REMOVED))
            }
            Self::DeviceAdded(_) => (notice::CALLBACK_DEVICE_ADDED, None),
        }
    }

    /// The notice of it for the subscription with that number, or for one without.
    fn notice(&self, subscription: Option<i32>, domain: &Domain) -> Option<Vec<u8>> {
        let (numbered, plain) = self.procedures();
        let procedure = if subscription.is_some() { numbered } else { plain? };
        let header = Header::notice(program::REMOTE, program::REMOTE_VERSION, procedure);
        Some(packet::message(header, |out| {
            subscription.inspect(|number| number.encode(out));
            domain.encode(out);
            match self {
                Self::Lifecycle { kind, detail } => (*kind, *detail).encode(out),
                Self::Reboot => {}
                Self::Balloon(kib) => kib.encode(out),
                Self::DeviceRemoved(alias) | Self::DeviceAdded(alias) => alias.encode(out),
            }
        }))
    }
}

#[derive(Debug)]
struct Subscription {
    /// None if the client asked as clients did before subscriptions had numbers.
    number: Option<i32>,
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
        let number = self.unheard();
        self.add(Subscription { number: Some(number), event, domain, client: Arc::clone(client) })?;
        Ok(number)
    }

    /// A client wants to hear of an event, without a number.
    pub fn subscribe_plainly(&self, client: &Arc<Outbox>, event: i32) -> Result<()> {
        self.add(Subscription { number: None, event, domain: None, client: Arc::clone(client) })
    }

    fn add(&self, subscription: Subscription) -> Result<()> {
        if !(0..=KINDS).contains(&subscription.event) {
            return Err(Error::invalid(format!("unsupported event ID {}", subscription.event)));
        }
        let mut subscriptions = self.lock();
        let mine = subscriptions.iter().filter(|it| Arc::ptr_eq(&it.client, &subscription.client));
        if mine.count() >= MOST {
            return Err(Error::state(format!("a client can hear of {MOST} events, not more")));
        }
        subscriptions.push(subscription);
        Ok(())
    }

    /// A client does not want to hear of it any more.
    pub fn unsubscribe(&self, client: &Arc<Outbox>, number: i32) -> Result<()> {
        let missing = format!("domain event callback {number} not registered");
        self.remove(client, missing, |it| it.number == Some(number))
    }

    /// A client does not want to hear any more of what it asked for without a number.
    pub fn unsubscribe_plainly(&self, client: &Arc<Outbox>, event: i32) -> Result<()> {
        let missing = format!("domain event {event} not registered");
        self.remove(client, missing, |it| it.number.is_none() && it.event == event)
    }

    fn remove(
        &self,
        client: &Arc<Outbox>,
        missing: String,
        is: impl Fn(&Subscription) -> bool,
    ) -> Result<()> {
        let mut subscriptions = self.lock();
        let mine = |it: &Subscription| Arc::ptr_eq(&it.client, client) && is(it);
        let place = subscriptions.iter().position(mine);
        subscriptions.remove(place.ok_or_else(|| Error::new(Code::InvalidArg, missing))?);
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
            if wanted && let Some(notice) = event.notice(it.number, domain) {
                it.client.push(notice);
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

    #[test]
    fn who_asked_without_a_number_hears_without_one() {
        let hub = Hub::default();
        let client: Arc<Outbox> = Default::default();
        hub.subscribe_plainly(&client, 13).unwrap();
        hub.subscribe_plainly(&client, 19).unwrap();
        hub.tell(&domain(1), &Event::Balloon(64));
        let notice = received(&client).unwrap();
        assert_eq!(notice.header.procedure, notice::BALLOON_CHANGE);
        assert_eq!(from_bytes::<(Domain, u64)>(&notice.payload).unwrap(), (domain(1), 64));
        // For this there was no notice yet when clients asked so.
        hub.tell(&domain(1), &Event::DeviceAdded("xvdb".to_owned()));
        assert!(received(&client).is_none());
        hub.unsubscribe_plainly(&client, 13).unwrap();
        assert!(hub.unsubscribe_plainly(&client, 13).is_err());
        hub.tell(&domain(1), &Event::Balloon(64));
        assert!(received(&client).is_none());
    }
}
