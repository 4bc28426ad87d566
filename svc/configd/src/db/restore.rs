//! A repository that is damaged or gone: what is left of it is put aside, and the latest good
//! backup takes its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::Connection;
use svc::clock;

use super::backup::{self, put_in_place};
use super::open::{OpenError, check, version};
use super::schema::VERSION;
use crate::files::{FileError, Files, open_private, remove_beside, remove_database, with_suffix};
use crate::log::say;

/// Why the repository's file can't be a repository, by its looks alone: it is gone or empty
/// although there are backups of it.
pub fn missing(files: &Files) -> Result<Option<&'static str>, FileError> {
    let what = match fs::metadata(&files.persistent) {
        Ok(metadata) if metadata.len() > 0 => return Ok(None),
        Ok(_) => "the file is empty",
        Err(_) => "there is no such file",
    };
    Ok((!backups(files)?.is_empty()).then_some(what))
}

fn backups(files: &Files) -> Result<Vec<backup::Found>, FileError> {
    match &files.backups {
        Some(folder) if folder.exists() => backup::list(folder),
        _ => Ok(Vec::new()),
    }
}

/// Puts the latest good backup in the place of the repository. Without one a new repository is
/// made by whoever opens it next.
pub fn restore(files: &Files, damage: &str) -> Result<(), OpenError> {
    let path = &files.persistent;
    let tell = |line: String| say(&files.log, &line);
    let kept = match put_aside(path)? {
        Some(aside) => format!("it is kept as {}", aside.display()),
        None => "nothing is left of it".to_owned(),
    };
    tell(format!("the repository {} is DAMAGED ({damage}); {kept}", path.display()));
    let draft = with_suffix(path, ".new");
    for found in backups(files)? {
        let from = found.path.display();
        match good_copy(&found.path, &draft) {
            Ok(()) => {
                // Its log's pages must not get into the backup's.
                remove_beside(path)?;
                put_in_place(&draft, path)?;
                tell(format!(
                    "RESTORED the repository from {from}; what was changed since then is LOST"
                ));
                return Ok(());
            }
            Err(OpenError::File(error)) if is_full(&error.source) => return Err(error.into()),
            Err(error) => tell(format!("the backup {from} can't be used: {error}")),
        }
    }
    remove_database(path)?;
    tell(format!(
        "there is no good backup; the repository starts EMPTY and is filled from the manifests at \
         the next boot. If you have a copy elsewhere, put it at {} and kill svc.configd",
        path.display()
    ));
    Ok(())
}

/// Keeps the file and its log under another name, without moving it: should we be killed here,
/// the next one finds the damage again.
fn put_aside(path: &Path) -> Result<Option<PathBuf>, FileError> {
    if !path.exists() {
        return Ok(None);
    }
    let aside = with_suffix(path, &format!(".damaged-{}", clock::file_stamp(SystemTime::now())));
    for suffix in ["-wal", ""] {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        if from.exists() && !to.exists() {
            fs::hard_link(&from, &to).map_err(FileError::at(&to))?;
        }
    }
    Ok(Some(aside))
}

/// Copies a backup to `draft` and checks the copy.
fn good_copy(backup: &Path, draft: &Path) -> Result<(), OpenError> {
    remove_database(draft)?;
    open_private(draft)?;
    fs::copy(backup, draft).map_err(FileError::at(draft))?;
    let in_db = |source| OpenError::Db { path: backup.display().to_string(), source };
    let conn = Connection::open(draft).map_err(|error| in_db(error.into()))?;
    check(&conn).map_err(in_db)?;
    match version(&conn).map_err(in_db)? {
        VERSION => Ok(()),
        found => Err(OpenError::TooNew { path: backup.display().to_string(), found }),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
