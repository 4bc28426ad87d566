//! The repository in SQLite: one connection, the persistent database as `main` and the
//! nonpersistent one attached as `np`. Every commit is one transaction.

mod access;
mod backup;
mod group;
mod open;
mod read;
mod restore;
mod schema;
mod snapshot;
mod write;

use rusqlite::Connection;
use svc::fmri::Fmri;
use svc::repo::{Change, Changed, Code, Failure, Snapshot, View};
use svc::value::{Groups, PropertyGroup};

use crate::files::{FileError, Files};
use crate::rights::Rights;
use group::Group;
pub use read::Part;

/// Why a request to the database failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The client asked for something that can't be.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is stored isn't what we store.
    #[error("stored values are unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
}

type Result<T> = std::result::Result<T, DbError>;

impl DbError {
    /// Whether the files are damaged, so that nothing more can be promised.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Sqlite(error) if open::is_damage(error))
    }

    /// What the client is told.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused(failure) => failure.clone(),
            Self::Sqlite(error) if open::is_no_room(error) => Failure::new(
                Code::Backend,
                format!(
                    "The repository can't be written, and nothing was changed: {error}. Is there \
                     room on its file system (/var/svc, and /run/svc for what a boot empties)?"
                ),
            ),
            other => Failure::new(Code::Backend, format!("The repository failed: {other}.")),
        }
    }
}

fn refuse<T>(code: Code, message: String) -> Result<T> {
    Err(Failure::new(code, message).into())
}

/// One of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Layer {
    /// Survives a boot.
    Persistent,
    /// Emptied by a boot.
    Volatile,
}

const LAYERS: [Layer; 2] = [Layer::Persistent, Layer::Volatile];

impl Layer {
    /// Its name in SQL.
    fn schema(self) -> &'static str {
        match self {
            Self::Persistent => "main",
            Self::Volatile => "np",
        }
    }

    fn of(persistent: bool) -> Self {
        if persistent { Self::Persistent } else { Self::Volatile }
    }
}

/// The open repository.
#[derive(Debug)]
pub struct Db {
    conn: Connection,
    generation: u64,
    files: Files,
    group: Option<Group>,
}

impl Db {
    /// The number of the latest commit.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes `changes`, all or none, durably. Returns the generation after it, which is a new one
    /// only if something did change.
    fn commit(&mut self, changes: &[Change], rights: &Rights) -> Result<u64> {
        let joined = self.join(changes.to_vec(), rights);
        self.sync()?;
        joined
    }

    /// All services, or all instances, sorted.
    pub fn entities(&self, instances: bool) -> Result<Vec<Fmri>> {
        read::entities(&self.conn, instances)
    }

    /// All property groups of an entity.
    pub fn groups(&self, fmri: &Fmri, view: &View, rights: &Rights) -> Result<Groups> {
        let tx = self.conn.unchecked_transaction()?;
        read::must_exist(&tx, fmri)?;
        let mut groups = read::groups(&tx, fmri, view)?;
        for (name, group) in &mut groups {
            access::conceal(&tx, rights, fmri, name, group)?;
        }
        Ok(groups)
    }

    /// One property group of an entity, or one property of it.
    pub fn group(
        &self,
        fmri: &Fmri,
        part: Part<'_>,
        view: &View,
        rights: &Rights,
    ) -> Result<Option<PropertyGroup>> {
        let tx = self.conn.unchecked_transaction()?;
        read::must_exist(&tx, fmri)?;
        let mut group = read::group(&tx, fmri, part, view)?;
        if let Some(group) = &mut group {
            access::conceal(&tx, rights, fmri, part.pg, group)?;
            group.props.retain(|name, _| part.prop.is_none_or(|prop| prop == name));
        }
        Ok(group)
    }

    /// One property group of every instance that has it; of its properties those in `props`, or
    /// all if that is empty.
    pub fn group_of_all(
        &self,
        pg: &str,
        props: &[String],
        view: &View,
        rights: &Rights,
    ) -> Result<Vec<(Fmri, PropertyGroup)>> {
        let tx = self.conn.unchecked_transaction()?;
        let mut all = read::group_of_all(&tx, pg, props, view)?;
        for (fmri, group) in &mut all {
            access::conceal(&tx, rights, fmri, pg, group)?;
            group.props.retain(|name, _| props.is_empty() || props.contains(name));
        }
        Ok(all)
    }

    /// The names of an instance's snapshots, sorted.
    pub fn snapshots(&self, fmri: &Fmri) -> Result<Vec<String>> {
        read::must_exist(&self.conn, fmri)?;
        snapshot::names(&self.conn, fmri)
    }

    /// What a snapshot holds, if there is one of that name.
    pub fn snapshot(&self, fmri: &Fmri, name: &str, rights: &Rights) -> Result<Option<Snapshot>> {
        read::must_exist(&self.conn, fmri)?;
        let mut snapshot = snapshot::read(&self.conn, fmri, name)?;
        if let Some(snapshot) = &mut snapshot {
            access::conceal_snapshot(&self.conn, rights, fmri, snapshot)?;
        }
        Ok(snapshot)
    }

    /// Makes a backup for a client.
    pub fn back_up_for(&self, kind: &str, rights: &Rights) -> Result<()> {
        access::permit_all(rights)?;
        self.back_up(kind)
    }

    /// Lets go of what it has in memory of the files.
    pub fn release_memory(&self) -> Result<()> {
        Ok(self.conn.release_memory()?)
    }

    /// What changed after `generation`, each thing once.
    pub fn changes_since(&self, generation: u64) -> Result<Vec<Changed>> {
        read::changes_since(&self.conn, generation)
    }
}

#[cfg(test)]
mod access_tests;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod model_tests;
