//! Opening the repository: a damaged file is replaced by the backup, the nonpersistent database
//! is emptied by a boot, and a commit that a kill cut in two is completed.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::schema::{self, VERSION};
use super::{Db, DbError, LAYERS, Layer, Result, write};
use crate::files::{FileError, Files, open_private, remove_database, sync_folder, with_suffix};

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

/// Whether SQLite says that the file is damaged.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

impl Db {
    /// Opens the repository, making, mending and backing it up as needed.
    pub fn open(files: &Files) -> std::result::Result<Self, OpenError> {
        let in_db = |source| OpenError::Db { path: files.persistent.display().to_string(), source };
        let conn = match persistent(&files.persistent) {
            Err(OpenError::Db { source, .. }) if source.is_damage() => {
                restore(files, &source)?;
                persistent(&files.persistent)?
            }
            conn => conn?,
        };
        let boot = boot_id();
        let booted = !belongs_to_boot(&files.volatile, &boot);
        if booted {
            remove_database(&files.volatile)?;
            back_up(&conn, &files.backup)?;
        }
        open_private(&files.volatile)?;
        attach(&conn, &files.volatile, booted.then_some(&boot)).map_err(in_db)?;
        let mut db = Self { generation: stored_generation(&conn).map_err(in_db)?, conn };
        db.complete(booted).map_err(in_db)?;
        Ok(db)
    }

    /// Completes the commit that a kill cut in two, unless the boot emptied what it lacks.
    fn complete(&mut self, booted: bool) -> Result<()> {
        if booted {
            self.conn.execute_batch("DELETE FROM main.redo; DELETE FROM main.change;")?;
        } else if let Some(changes) =
            write::half_done(&self.conn, layer_generation(&self.conn, Layer::Volatile)?)?
        {
            self.commit(&changes)?;
        }
        Ok(())
    }
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
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )?;
    // One connection serves all statements, so the cache must hold every one of them.
    conn.set_prepared_statement_cache_capacity(128);
    let verdict: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(verdict)).into());
    }
    Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?)
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

/// Copies the sound database aside, whole or not at all.
fn back_up(conn: &Connection, backup: &Path) -> std::result::Result<(), OpenError> {
    let draft = with_suffix(backup, ".new");
    remove_database(&draft)?;
    open_private(&draft)?;
    conn.execute("VACUUM main INTO ?", [draft.to_string_lossy()]).map_err(|error| {
        OpenError::Db { path: draft.display().to_string(), source: error.into() }
    })?;
    put_in_place(&draft, backup)
}

fn put_in_place(draft: &Path, path: &Path) -> std::result::Result<(), OpenError> {
    let synced = File::open(draft).and_then(|file| file.sync_all());
    synced.map_err(FileError::at(draft))?;
    fs::rename(draft, path).map_err(FileError::at(path))?;
    Ok(sync_folder(path)?)
}

/// Puts the damaged database aside and the backup in its place; without a backup a new one is
/// made by whoever opens it next.
fn restore(files: &Files, damage: &DbError) -> std::result::Result<(), OpenError> {
    let path = &files.persistent;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let aside = with_suffix(path, &format!(".damaged-{}", now.as_secs()));
    eprintln!(
        "svc.configd: {} is DAMAGED ({damage}); it is kept as {}",
        path.display(),
        aside.display()
    );
    fs::copy(path, &aside).map_err(FileError::at(&aside))?;
    if files.backup.exists() {
        let draft = with_suffix(path, ".new");
        open_private(&draft)?;
        fs::copy(&files.backup, &draft).map_err(FileError::at(&files.backup))?;
        // Without its log: frames of the damaged file must not be put into the sound one.
        remove_database(path)?;
        put_in_place(&draft, path)?;
        eprintln!(
            "svc.configd: restored {} from {}; changes made since the latest boot are LOST",
            path.display(),
            files.backup.display()
        );
    } else {
        remove_database(path)?;
        eprintln!("svc.configd: there is no backup; the repository starts EMPTY");
    }
    Ok(())
}
