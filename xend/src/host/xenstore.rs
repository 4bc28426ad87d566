//! The real store, through our client of xenstored.

use std::time::Duration;

use store::client::{Access, Client, Error, Perm, Tx};

use super::store::{Change, Perms, Store, Stores};
use super::{DomId, HostError, Result};

/// The host's xenstored.
#[derive(Debug, Default)]
pub struct XenStores;

impl Stores for XenStores {
    fn open(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(XenStore(Client::connect()?)))
    }
}

struct XenStore(Client);

/// What all our watches are called; which one fired does not matter, all are looked at.
const TOKEN: &str = "xend";

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl Store for XenStore {
    fn read(&mut self, path: &str) -> Result<Option<String>> {
        Ok(self.0.read_string(Tx::NONE, path)?)
    }

    fn list(&mut self, path: &str) -> Result<Vec<String>> {
        Ok(missing_is(Vec::new(), self.0.directory(Tx::NONE, path))?)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<()> {
        let client = &self.0;
        Ok(client
            .transaction(|tx| changes.iter().try_for_each(|change| apply(client, tx, change)))?)
    }

    fn introduce(&mut self, domid: DomId, ring: u64, port: u32) -> Result<()> {
        Ok(self.0.introduce(domid, ring, port)?)
    }

    fn release(&mut self, domid: DomId) -> Result<()> {
        match self.0.release(domid) {
            // The store has heard of the domain's end from the hypervisor.
            Err(Error::Refused { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn watch(&mut self, path: &str) -> Result<()> {
        Ok(self.0.watch(path, TOKEN)?)
    }

    fn unwatch(&mut self, path: &str) -> Result<()> {
        Ok(self.0.unwatch(path, TOKEN)?)
    }

    fn changed(&mut self, timeout: Duration) -> Result<bool> {
        Ok(self.0.next_event(Some(timeout))?.is_some())
    }
}

fn apply(client: &Client, tx: Tx, change: &Change) -> std::result::Result<(), Error> {
    match change {
        Change::Remove(path) => missing_is((), client.rm(tx, path)),
        Change::Write { path, value, perms } => {
            client.write(tx, path, value)?;
            perms.map_or(Ok(()), |perms| client.set_perms(tx, path, &entries(perms)))
        }
    }
}

fn missing_is<T>(
    default: T,
    result: std::result::Result<T, Error>,
) -> std::result::Result<T, Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(default),
        other => other,
    }
}

/// The first entry names the owner and what everybody may do.
fn entries(perms: Perms) -> Vec<Perm> {
    match perms {
        Perms::GuestReads(guest) => {
            vec![Perm::new(0, Access::None), Perm::new(guest, Access::Read)]
        }
        Perms::GuestOwns(guest) => vec![Perm::new(guest, Access::None), Perm::new(0, Access::Read)],
        Perms::Private => vec![Perm::new(0, Access::None)],
    }
}
