//! xend as virtd asks it: a few connections that calls share, and what there is of guests.
//!
//! virtd keeps nothing of its own: what runs, xend says, and what is defined, the files say that
//! xend and xm go by. A list of all guests is good for a moment, so that a client that goes through
//! it one by one costs one question. It is dropped by whatever virtd has xend do, and by every
//! change that xend tells of.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;
use xend::config::GuestConfig;
use xend::definitions::{All, Definition, Definitions};
use xend::rpc::Value;
use xend::rpc::client::{CallError, Client};

use crate::error::{Error, Result};
use crate::guest::Guest;

/// Calls under way at xend at a time. xend serves 64 clients, of which some are others'.
const MOST_CALLS: usize = 24;
/// How long a list of guests is good for, if nothing says otherwise.
const GOOD_FOR: Duration = Duration::from_millis(1000);

/// Connections to xend.
#[derive(Debug)]
pub struct Xend {
    socket: PathBuf,
    definitions: Definitions,
    idle: Mutex<Vec<Client>>,
    places: Places,
    guests: Mutex<Option<(Instant, Arc<Guests>)>>,
}

impl Xend {
    /// xend at this socket, and the folder of its definitions. Nothing is connected yet: xend may
    /// come later, and come again.
    pub fn new(socket: PathBuf, definitions: PathBuf) -> Self {
        Self {
            socket,
            definitions: Definitions::new(definitions),
            idle: Mutex::default(),
            places: Places::new(MOST_CALLS),
            guests: Mutex::default(),
        }
    }

    /// Asks something that changes nothing.
    pub fn ask(&self, method: &str, params: Vec<Value>) -> Result<Value> {
        let _place = self.places.take();
        Ok(self.call(method, params)?)
    }

    /// Has something done.
    pub fn tell(&self, method: &str, params: Vec<Value>) -> Result<Value> {
        let answer = self.ask(method, params);
        self.outdated();
        answer
    }

    /// Waits for an answer that may take long, beside the places that calls share.
    pub fn wait(&self, method: &str, params: Vec<Value>) -> Result<Value> {
        Ok(self.call(method, params)?)
    }

    fn call(&self, method: &str, params: Vec<Value>) -> Result<Value, CallError> {
        let mut client = match self.take_idle() {
            Some(client) => client,
            None => Client::connect(&self.socket)?,
        };
        let answer = client.call(method, params);
        // After anything but an answer, nobody knows what comes next on the connection.
        if matches!(answer, Ok(_) | Err(CallError::Fault(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        }
        answer
    }

    fn take_idle(&self) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|client| !client.is_stale());
        idle.pop()
    }

    /// All guests, as they were a moment ago.
    pub fn guests(&self) -> Result<Arc<Guests>> {
        // Held while xend is asked: whoever else wants to know waits for the same answer.
        let mut kept = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, guests)) = &*kept
            && at.elapsed() < GOOD_FOR
        {
            return Ok(Arc::clone(guests));
        }
        let at = Instant::now();
        let params = vec![true.into(), "active".into(), false.into()];
        let active = self.ask("xend.domains_with_state", params)?;
        let active = active.as_array().unwrap_or_default();
        let guests = Arc::new(Guests::new(active, self.definitions.all()));
        *kept = Some((at, Arc::clone(&guests)));
        Ok(guests)
    }

    /// Whether [`guests`](Self::guests) would answer at once.
    pub fn knows_guests(&self) -> bool {
        let kept = self.guests.try_lock();
        kept.is_ok_and(|kept| kept.as_ref().is_some_and(|(at, _)| at.elapsed() < GOOD_FOR))
    }

    /// The definition of the guest of that name.
    pub fn definition(&self, name: &str) -> Option<Definition> {
        self.definitions.all().get(name).cloned()
    }

    /// Forgets what xend said of its guests: something has changed.
    pub fn outdated(&self) {
        *self.guests.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// One guest, as it is now.
    pub fn guest(&self, uuid: Uuid) -> Result<Guest> {
        let domain = self.ask("xend.domain", vec![uuid.to_string().into(), false.into()])?;
        Guest::from_sxp(&domain).ok_or_else(|| Error::internal("xend told of a guest without name"))
    }
}

/// Guests, found by what clients call them.
#[derive(Debug, Default)]
pub struct Guests {
    all: Vec<Guest>,
    defined: All,
    by_uuid: HashMap<Uuid, usize>,
}

impl Guests {
    /// Those of xend's list, and the others that are defined.
    pub fn new(active: &[Value], defined: All) -> Self {
        let mut all: Vec<Guest> = active.iter().filter_map(Guest::from_sxp).collect();
        let names: HashSet<String> = all.iter().map(|guest| guest.name.clone()).collect();
        let others = defined.iter().filter(|(name, _)| !names.contains(*name));
        all.extend(others.map(|(_, definition)| Guest::defined(definition)));
        let by_uuid = all.iter().enumerate().map(|(index, guest)| (guest.uuid, index)).collect();
        Self { all, defined, by_uuid }
    }

    /// The settings that the guest of that name is defined with.
    pub fn definition(&self, name: &str) -> Option<Arc<GuestConfig>> {
        self.defined.get(name).map(|definition| Arc::clone(&definition.config))
    }

    /// All of them: xend's in their order, then the others by name.
    pub fn all(&self) -> &[Guest] {
        &self.all
    }

    /// The one with that identity.
    pub fn by_uuid(&self, uuid: Uuid) -> Option<&Guest> {
        self.by_uuid.get(&uuid).map(|index| &self.all[*index])
    }
}

/// A number of places, each of which is waited for.
#[derive(Debug)]
struct Places {
    free: Mutex<usize>,
    changed: Condvar,
}

struct Place<'p>(&'p Places);

impl Places {
    fn new(free: usize) -> Self {
        Self { free: Mutex::new(free), changed: Condvar::new() }
    }

    fn take(&self) -> Place<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.changed.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}
