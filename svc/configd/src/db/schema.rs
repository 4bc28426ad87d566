//! The tables. Both databases have the same ones; snapshots and the redo record are only used in
//! the persistent database.

use rusqlite::Connection;

use super::{Layer, Result};

/// The version of the tables, kept in SQLite's `user_version`.
pub const VERSION: i64 = 1;

/// Makes the tables of version 1 in `layer`. An empty `instance` stands for the service itself,
/// an empty `pg` in `change` for the entity.
///
/// `snapdata` is addressed by the digest of its content, as most snapshots of an instance are
/// the same. `redo` holds the latest commit that went to both databases: SQLite commits them one
/// after the other, and a kill in between must not leave half of it.
pub fn create(conn: &Connection, layer: Layer) -> Result<()> {
    let db = layer.schema();
    conn.execute_batch(&format!(
        "CREATE TABLE {db}.meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
         CREATE TABLE {db}.entity (
             id INTEGER PRIMARY KEY,
             service TEXT NOT NULL,
             instance TEXT NOT NULL,
             UNIQUE (service, instance));
         CREATE TABLE {db}.pg (
             id INTEGER PRIMARY KEY,
             entity INTEGER NOT NULL REFERENCES entity ON DELETE CASCADE,
             name TEXT NOT NULL,
             type TEXT NOT NULL,
             UNIQUE (entity, name));
         CREATE TABLE {db}.prop (
             pg INTEGER NOT NULL REFERENCES pg ON DELETE CASCADE,
             name TEXT NOT NULL,
             type TEXT NOT NULL,
             vals TEXT NOT NULL,
             UNIQUE (pg, name));
         CREATE TABLE {db}.change (
             service TEXT NOT NULL,
             instance TEXT NOT NULL,
             pg TEXT NOT NULL,
             generation INTEGER NOT NULL,
             PRIMARY KEY (service, instance, pg)) WITHOUT ROWID;
         CREATE INDEX {db}.change_by_generation ON change (generation);
         CREATE TABLE {db}.snapdata (
             id INTEGER PRIMARY KEY,
             digest TEXT NOT NULL UNIQUE,
             content TEXT NOT NULL);
         CREATE TABLE {db}.snapshot (
             entity INTEGER NOT NULL REFERENCES entity ON DELETE CASCADE,
             name TEXT NOT NULL,
             data INTEGER NOT NULL REFERENCES snapdata,
             PRIMARY KEY (entity, name)) WITHOUT ROWID;
         CREATE INDEX {db}.snapshot_by_data ON snapshot (data);
         CREATE TABLE {db}.redo (
             id INTEGER PRIMARY KEY CHECK (id = 1),
             generation INTEGER NOT NULL,
             changes TEXT NOT NULL);
         PRAGMA {db}.user_version = {VERSION};"
    ))?;
    Ok(())
}
