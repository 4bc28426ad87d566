//! The store as xend needs it: batches of changes that happen together, and waiting for a change.

use std::time::{Duration, Instant};

use super::{DomId, Result};

/// Who may do what with a node. The control domain may do everything with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perms {
    /// The guest may read it.
    GuestReads(DomId),
    /// The guest may do everything.
    GuestOwns(DomId),
    /// Only the control domain.
    Private,
}

/// A change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Removes a node and all below it; no error if there is none.
    Remove(String),
    /// Writes a node. Without permissions it has those of its parent.
    Write {
        /// Its path.
        path: String,
        /// Its value.
        value: String,
        /// Its permissions.
        perms: Option<Perms>,
    },
}

impl Change {
    /// Writes a node that has its parent's permissions.
    pub fn write(path: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Write { path: path.into(), value: value.into(), perms: None }
    }

    /// Writes a node with permissions of its own.
    pub fn own(path: impl Into<String>, value: impl Into<String>, perms: Perms) -> Self {
        Self::Write { path: path.into(), value: value.into(), perms: Some(perms) }
    }
}

/// A connection to the store.
pub trait Store: Send {
    /// A node's value, if there is such a node.
    fn read(&mut self, path: &str) -> Result<Option<String>>;
    /// The names of a node's children; none if there is no such node.
    fn list(&mut self, path: &str) -> Result<Vec<String>>;
    /// Makes the changes, all together or none.
    fn apply(&mut self, changes: &[Change]) -> Result<()>;
    /// Tells the store of a guest's ring.
    fn introduce(&mut self, domid: DomId, ring: u64, port: u32) -> Result<()>;
    /// Tells the store that a domain is gone; no error if it knows.
    fn release(&mut self, domid: DomId) -> Result<()>;
    /// Asks to be told of changes at `path` and below. One is told of at once.
    fn watch(&mut self, path: &str) -> Result<()>;
    /// Takes that back.
    fn unwatch(&mut self, path: &str) -> Result<()>;
    /// Waits for a change that is watched, no longer than `timeout`; whether there was one.
    fn changed(&mut self, timeout: Duration) -> Result<bool>;
}

/// Makes connections to the store.
pub trait Stores: Send + Sync {
    /// A new connection.
    fn open(&self) -> Result<Box<dyn Store>>;
}

/// The longest time until somebody who waits looks whether it should go on waiting.
const GLANCE: Duration = Duration::from_millis(200);

/// Waits until `check` has an answer, looking again whenever something changes at one of `paths`.
/// `None` when `timeout` is over or `give_up` says so.
pub fn wait<T>(
    store: &mut dyn Store,
    paths: &[String],
    timeout: Duration,
    give_up: &dyn Fn() -> bool,
    mut check: impl FnMut(&mut dyn Store) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + timeout;
    for path in paths {
        store.watch(path)?;
    }
    let answer = loop {
        if let Some(answer) = check(store)? {
            break Some(answer);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || give_up() {
            break None;
        }
        // Changes that came meanwhile are looked at together.
        if store.changed(left.min(GLANCE))? {
            while store.changed(Duration::ZERO)? {}
        }
    };
    for path in paths {
        store.unwatch(path)?;
    }
    Ok(answer)
}
