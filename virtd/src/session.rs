//! What is known of a client between its calls, and what its calls are given.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::console::{Console, Consoles};
use crate::error::{Error, Result};
use crate::events::Hub;
use crate::outbox::Outbox;
use crate::packet::{self, Header, Packet, status};
use crate::server::Place;
use crate::settings::Settings;
use crate::xend::Xend;

/// Streams that one client may have open.
const STREAMS: usize = 64;
/// How long a client may take to open the hypervisor's connection.
const LOITERING: Duration = Duration::from_secs(20);

/// What all clients share.
#[derive(Debug)]
pub struct Host {
    /// xend.
    pub xend: Xend,
    /// Who wants to hear of what.
    pub events: Hub,
    /// Who is attached to which guest's console.
    pub consoles: Consoles,
}

impl Host {
    /// The host whose xend and whose definitions are where `settings` say.
    pub fn new(settings: &Settings) -> Self {
        let xend = Xend::new(settings.xend.clone(), settings.definitions.clone());
        Self { xend, events: Hub::default(), consoles: Consoles::default() }
    }
}

/// One client.
#[derive(Debug)]
pub struct Session {
    /// What all clients share.
    pub host: Arc<Host>,
    /// What is to be sent to it.
    pub outbox: Arc<Outbox>,
    /// Nobody can listen in.
    pub secure: bool,
    read_only: AtomicBool,
    open: AtomicBool,
    keepalive: AtomicBool,
    streams: Mutex<HashMap<u32, Arc<Console>>>,
    /// Its place among those that have not opened the connection.
    anonymous: Mutex<Option<Place>>,
    since: Instant,
}

impl Session {
    /// A client that has just come, and what is to be sent to it.
    pub fn new(
        host: Arc<Host>,
        outbox: Outbox,
        read_only: bool,
        secure: bool,
        anonymous: Place,
    ) -> Self {
        Self {
            host,
            outbox: Arc::new(outbox),
            secure,
            read_only: AtomicBool::new(read_only),
            open: AtomicBool::new(false),
            keepalive: AtomicBool::new(false),
            streams: Mutex::default(),
            anonymous: Mutex::new(Some(anonymous)),
            since: Instant::now(),
        }
    }

    /// It has opened the hypervisor's connection; `read_only` if it wants no more than that.
    pub fn open(&self, read_only: bool) {
        self.read_only.fetch_or(read_only, Ordering::SeqCst);
        self.open.store(true, Ordering::SeqCst);
        *self.anonymous.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it came long ago and has not opened the connection yet.
    pub fn loiters(&self) -> bool {
        let anonymous = self.anonymous.lock().unwrap_or_else(PoisonError::into_inner);
        anonymous.is_some() && self.since.elapsed() > LOITERING
    }

    /// It has closed it.
    pub fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// Whether it has.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Whether it may change nothing.
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::SeqCst)
    }

    /// It asked whether we know keepalive messages, so it knows them itself.
    pub fn knows_keepalive(&self) {
        self.keepalive.store(true, Ordering::Relaxed);
    }

    /// Whether it may be pinged.
    pub fn understands_keepalive(&self) -> bool {
        self.keepalive.load(Ordering::Relaxed)
    }

    /// Opens a stream for the call with that header.
    pub fn add_stream(&self, call: Header, console: Arc<Console>) -> Result<()> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|_, console| !console.is_over());
        if streams.len() >= STREAMS {
            return Err(Error::state(format!("a client can have {STREAMS} streams, not more")));
        }
        streams.insert(call.serial, console);
        Ok(())
    }

    /// A piece of a stream came in.
    pub fn stream(&self, packet: Packet) {
        let streams = || self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let header = packet.header;
        if header.status == status::CONTINUE {
            // It may have ended while this was on its way.
            let Some(console) = streams().get(&header.serial).cloned() else { return };
            if let Err(error) = console.write(&packet.payload) {
                console.end();
                self.outbox.push(packet::refusal(header, &Error::internal(error)));
            }
            return;
        }
        // The client ends it, and waits to hear that it has ended, whoever ended it first.
        let ended = streams().remove(&header.serial);
        ended.into_iter().for_each(|console| console.end());
        self.outbox.push(packet::message(header.stream(status::OK), |_| ()));
    }

    /// The client is gone.
    pub fn end(&self) {
        self.host.events.forget(&self.outbox);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.drain().for_each(|(_, console)| console.end());
    }
}

/// A call that is being carried out.
#[derive(Debug, Clone, Copy)]
pub struct Call<'s> {
    /// Whose it is.
    pub session: &'s Session,
    /// Its header.
    pub header: Header,
}

impl Deref for Call<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl Call<'_> {
    /// xend.
    pub fn xend(&self) -> &Xend {
        &self.session.host.xend
    }
}
