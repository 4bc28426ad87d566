//! Opening the repository: a damaged file is replaced by a backup, the nonpersistent database
//! is emptied by a boot, and a commit that a kill cut in two is completed.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use svc::fmri;
use svc::repo::Code;

use super::schema::{self, VERSION};
use super::{Db, DbError, LAYERS, Layer, Result, backup, refuse, restore, write};
use crate::files::{FileError, Files, open_private, remove_database, sync_folder};
use crate::log::say;
use crate::rights::Rights;

/// The kind of the backups made at boot, as in SMF.
const AT_BOOT: &str = "boot";

/// More commits than any backup can lack, so that a restore is news to all clients.
const LOST_GENERATIONS: u64 = 1 << 32;

/// Changes with each boot of the kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why the repository can't be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The database failed.
    #[error("{path}: {source}")]
    Db {
        /// Which database.
        path: String,
        /// What went wrong.
        source: DbError,
    },
    /// The tables were made by a newer version.
    #[error(
        "{path} has tables of version {found}, this svc.configd knows version {VERSION}; run the newer one"
    )]
    TooNew {
        /// Which database.
        path: String,
        /// Its version.
        found: i64,
    },
}

/// Whether SQLite says that the file is damaged, or that the disk doesn't give it back.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
    let unreadable = [SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ];
    error.sqlite_error().is_some_and(|error| {
        matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            || unreadable.contains(&error.extended_code)
    })
}

/// Whether a file can't grow, or be written at all.
pub fn is_no_room(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly))
}

fn damaged(why: String) -> DbError {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(why)).into()
}

impl Db {
    /// Opens the repository, making, mending and backing it up as needed.
    pub fn open(files: &Files) -> std::result::Result<Self, OpenError> {
        let in_db = |source| OpenError::Db { path: files.persistent.display().to_string(), source };
        let (conn, restored) = open_or_restore(files)?;
        let boot = boot_id();
        let booted = !belongs_to_boot(&files.volatile, &boot);
        if booted {
            remove_database(&files.volatile)?;
        }
        open_private(&files.volatile)?;
        attach(&conn, &files.volatile, booted.then_some(&boot)).map_err(in_db)?;
        let generation = stored_generation(&conn).map_err(in_db)?;
        let mut db = Self { generation, conn, files: files.clone(), group: None };
        if restored && !booted {
            db.announce_everything().map_err(in_db)?;
        }
        db.complete(booted).map_err(in_db)?;
        if booted && let Err(error) = db.back_up(AT_BOOT) {
            // A full disk, say: to do without is better than not to serve.
            say(&files.log, &format!("there is NO BACKUP of this boot: {error}"));
        }
        Ok(db)
    }

    /// Makes a backup named after its occasion, unless there is nothing yet that could be lost.
    pub fn back_up(&self, kind: &str) -> Result<()> {
        if !fmri::is_name(kind) {
            return refuse(Code::Invalid, format!("Invalid backup name \"{kind}\"."));
        }
        match &self.files.backups {
            Some(folder) if !self.entities(false)?.is_empty() => {
                backup::make(&self.conn, folder, kind)
            }
            _ => Ok(()),
        }
    }

    /// After a restore: whatever is there may be other than it was, and what is not there any
    /// more has no state either.
    fn announce_everything(&mut self) -> Result<()> {
        let generation = self.generation + LOST_GENERATIONS;
        let tx = self.conn.transaction()?;
        tx.execute_batch(&format!(
            "DELETE FROM main.redo;
             INSERT OR REPLACE INTO main.change
                 SELECT service, instance, '', {generation} FROM main.entity;
             INSERT OR REPLACE INTO main.change
                 SELECT service, instance, pg.name, {generation}
                 FROM main.pg JOIN main.entity ON entity.id = pg.entity;
             CREATE TEMP TABLE gone AS
                 SELECT service, instance FROM np.entity
                 EXCEPT SELECT service, instance FROM main.entity;
             INSERT OR REPLACE INTO np.change
                 SELECT service, instance, '', {generation} FROM temp.gone;
             DELETE FROM np.entity WHERE (service, instance) IN temp.gone;
             DROP TABLE temp.gone;
             INSERT OR REPLACE INTO main.meta VALUES ('generation', {generation});
             INSERT OR REPLACE INTO np.meta VALUES ('generation', {generation});"
        ))?;
        tx.commit()?;
        self.generation = generation;
        Ok(())
    }

    /// Completes the commit that a kill cut in two, unless the boot emptied what it lacks.
    fn complete(&mut self, booted: bool) -> Result<()> {
        if booted {
            self.conn.execute_batch("DELETE FROM main.redo; DELETE FROM main.change;")?;
        } else if let Some(changes) =
            write::half_done(&self.conn, layer_generation(&self.conn, Layer::Volatile)?)?
        {
            self.commit(&changes, &Rights::All)?;
        }
        Ok(())
    }
}

/// The persistent database, and whether it had to be restored.
fn open_or_restore(files: &Files) -> std::result::Result<(Connection, bool), OpenError> {
    let damage = match restore::missing(files)? {
        Some(what) => what.to_owned(),
        None => match persistent(&files.persistent) {
            Err(OpenError::Db { source, .. }) if files.backups.is_some() && source.is_damage() => {
                source.to_string()
            }
            conn => return Ok((conn?, false)),
        },
    };
    restore::restore(files, &damage)?;
    Ok((persistent(&files.persistent)?, true))
}

fn persistent(path: &Path) -> std::result::Result<Connection, OpenError> {
    let in_db = |source| OpenError::Db { path: path.display().to_string(), source };
    let new = !path.exists();
    open_private(path)?;
    let conn = Connection::open(path).map_err(|error| in_db(error.into()))?;
    let found = prepare(&conn).map_err(in_db)?;
    match found {
        0 => {
            conn.execute_batch("BEGIN").map_err(|error| in_db(error.into()))?;
            schema::create(&conn, Layer::Persistent).map_err(in_db)?;
            conn.execute_batch("COMMIT").map_err(|error| in_db(error.into()))?;
        }
        VERSION => {}
        found => return Err(OpenError::TooNew { path: path.display().to_string(), found }),
    }
    if new {
        sync_folder(path)?;
    }
    Ok(conn)
}

/// Sets the connection up, checks the file, and returns the version of its tables.
fn prepare(conn: &Connection) -> Result<i64> {
    // With FULL the write-ahead log is on the disk before a commit returns.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )?;
    // One connection serves all statements, so the cache must hold every one of them.
    conn.set_prepared_statement_cache_capacity(128);
    check(conn)?;
    version(conn)
}

/// Reads every page and finds whether it is sound.
pub fn check(conn: &Connection) -> Result<()> {
    let verdict: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) }
}

/// The version of the tables, 0 if there are none.
pub fn version(conn: &Connection) -> Result<i64> {
    let version = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (version, tables) {
        (0, 1..) => Err(damaged("it is a database, but not a repository".to_owned())),
        _ => Ok(version),
    }
}

fn attach(conn: &Connection, path: &Path, boot: Option<&String>) -> Result<()> {
    conn.execute("ATTACH DATABASE ? AS np", [path.to_string_lossy()])?;
    // What is on a tmpfs needs no sync, and a kill of this process loses no page of a file.
    conn.execute_batch("PRAGMA np.journal_mode = WAL; PRAGMA np.synchronous = OFF;")?;
    if let Some(boot) = boot {
        schema::create(conn, Layer::Volatile)?;
        conn.execute("INSERT INTO np.meta VALUES ('boot', ?)", [boot])?;
    }
    Ok(())
}

fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned()
}

/// Whether the nonpersistent database is of this boot, and sound.
fn belongs_to_boot(path: &Path, boot: &str) -> bool {
    let stored = || -> rusqlite::Result<bool> {
        let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let verdict: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let sql = "SELECT value FROM meta WHERE key = 'boot'";
        let stored: Option<String> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(verdict == "ok" && stored.as_deref() == Some(boot))
    };
    path.exists() && stored().unwrap_or(false)
}

fn layer_generation(conn: &Connection, layer: Layer) -> Result<u64> {
    let sql = format!("SELECT value FROM {}.meta WHERE key = 'generation'", layer.schema());
    let stored: Option<i64> = conn.query_row(&sql, [], |row| row.get(0)).optional()?;
    Ok(stored.unwrap_or(0).cast_unsigned())
}

fn stored_generation(conn: &Connection) -> Result<u64> {
    let mut latest = 0;
    for layer in LAYERS {
        latest = latest.max(layer_generation(conn, layer)?);
    }
    Ok(latest)
}
