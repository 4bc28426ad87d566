//! Domains: the guests that xend knows, and everything that is done with them.
//!
//! `manager` holds them and lets one driver at a time change each; what a driver does is in
//! `drive`, what it changes of a running guest in `change`. `defined` are the guests that need not
//! run, `events` tells clients what happened. `life` makes and unmakes a domain, `devices` its devices, `layout` and `paths` know the
//! store. `policy` decides what becomes of a domain that stopped or was found at start, `record`
//! keeps what must survive xend itself.

mod change;
mod check;
mod defined;
mod devices;
mod drive;
mod events;
mod layout;
mod life;
mod manager;
pub mod paths;
mod policy;
mod record;
mod turn;
mod view;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use uuid::Uuid;

pub use events::{Event, Events, What};
pub use manager::{Manager, Target};
pub use record::{DIR as RECORDS, Phase, Record, Records};

use crate::definitions::Definitions;
use crate::host::{HostError, Hypervisor, Stores};
use crate::settings::Settings;
use turn::Turn;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// There is no such domain; this is what was asked for.
    #[error("Domain '{0}' does not exist.")]
    NotFound(String),
    /// It can't be done, and why.
    #[error("{0}")]
    Refused(String),
}

impl From<HostError> for OpError {
    fn from(error: HostError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What domains live on.
pub struct Host {
    /// The hypervisor.
    pub hypervisor: Box<dyn Hypervisor>,
    /// The store.
    pub stores: Box<dyn Stores>,
    /// What is kept on disk.
    pub records: Records,
    /// The guests that are defined.
    pub definitions: Definitions,
    /// The settings, as last read.
    pub settings: RwLock<Arc<Settings>>,
    /// What tells this boot of the host from others.
    pub boot_id: String,
    /// `/sys/class/net`.
    pub net: PathBuf,
}

impl Host {
    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the settings.
    pub fn set_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}

/// A guest that xend made.
#[derive(Debug)]
pub struct Domain {
    uuid: Uuid,
    turn: Arc<Turn>,
    cancelled: AtomicBool,
    record: Mutex<Record>,
}

impl Domain {
    fn new(record: Record) -> Self {
        Self {
            uuid: record.uuid,
            turn: Arc::default(),
            cancelled: AtomicBool::new(false),
            record: Mutex::new(record),
        }
    }

    /// Its record as it is now.
    pub fn record(&self) -> Record {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}
