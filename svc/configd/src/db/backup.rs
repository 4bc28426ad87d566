//! Backups of the repository: whole, checked and durable copies, the latest few of each kind.
//! They are called `repository-KIND-DATE`, with a link `repository-KIND` to the latest.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::Connection;
use rusqlite::backup::Backup;
use svc::clock;

use super::Result;
use super::open::check;
use crate::files::{
    FileError, open_private, remove_database, remove_if_there, sync_folder, with_suffix,
};

/// How many of each kind are kept.
const KEPT: usize = 4;

/// What all names begin with.
const PREFIX: &str = "repository-";

/// A backup that is there.
#[derive(Debug)]
pub struct Found {
    kind: String,
    stamp: String,
    /// The file.
    pub path: PathBuf,
}

/// Copies what `conn` serves to a new backup in `folder`, whole or not at all.
pub fn make(conn: &Connection, folder: &Path, kind: &str) -> Result<()> {
    let latest = folder.join(format!("{PREFIX}{kind}"));
    let draft = with_suffix(&latest, ".new");
    remove_database(&draft)?;
    open_private(&draft)?;
    copy(conn, &draft)?;
    let stamp = clock::file_stamp(SystemTime::now());
    put_in_place(&draft, &with_suffix(&latest, &format!("-{stamp}")))?;
    link(&latest, &stamp)?;
    sync_folder(&latest)?;
    Ok(prune(folder, kind)?)
}

fn copy(conn: &Connection, draft: &Path) -> Result<()> {
    let mut to = Connection::open(draft)?;
    // What can't be copied whole is made again.
    to.execute_batch("PRAGMA synchronous = OFF")?;
    Backup::new(conn, &mut to)?.run_to_completion(i32::MAX, Default::default(), None)?;
    // One file, without a write-ahead log beside it.
    to.execute_batch("PRAGMA journal_mode = DELETE")?;
    check(&to)
}

fn link(latest: &Path, stamp: &str) -> std::result::Result<(), FileError> {
    let name = latest.file_name().unwrap_or_default();
    let draft = with_suffix(latest, ".link");
    remove_if_there(&draft)?;
    let linked = symlink(with_suffix(Path::new(name), &format!("-{stamp}")), &draft);
    linked.and_then(|()| fs::rename(&draft, latest)).map_err(FileError::at(latest))
}

/// Makes `draft` durable, then the file at `path`.
pub fn put_in_place(draft: &Path, path: &Path) -> std::result::Result<(), FileError> {
    let synced = File::open(draft).and_then(|file| file.sync_all());
    synced.map_err(FileError::at(draft))?;
    fs::rename(draft, path).map_err(FileError::at(path))?;
    sync_folder(path)
}

/// The backups in `folder`, the latest first.
pub fn list(folder: &Path) -> std::result::Result<Vec<Found>, FileError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::at(folder))? {
        let entry = entry.map_err(FileError::at(folder))?;
        if let Some((kind, stamp)) = entry.file_name().to_str().and_then(parts) {
            found.push(Found { kind, stamp, path: entry.path() });
        }
    }
    found.sort_by(|a, b| (&b.stamp, &b.kind).cmp(&(&a.stamp, &a.kind)));
    Ok(found)
}

/// The kind and the date in a backup's name.
fn parts(name: &str) -> Option<(String, String)> {
    let (kind, stamp) = name.strip_prefix(PREFIX)?.rsplit_once('-')?;
    let (day, time) = stamp.split_once('_')?;
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    (digits(day, 8) && digits(time, 6)).then(|| (kind.to_owned(), stamp.to_owned()))
}

fn prune(folder: &Path, kind: &str) -> std::result::Result<(), FileError> {
    let of_kind = list(folder)?.into_iter().filter(|found| found.kind == kind);
    for old in of_kind.skip(KEPT) {
        fs::remove_file(&old.path).map_err(FileError::at(&old.path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_smf() {
        let parts = |name| parts(name).map(|(kind, stamp)| format!("{kind} {stamp}"));
        assert_eq!(
            parts("repository-boot-20261123_120431").as_deref(),
            Some("boot 20261123_120431")
        );
        assert_eq!(
            parts("repository-manifest_import-20261123_120431").as_deref(),
            Some("manifest_import 20261123_120431")
        );
        for other in ["repository-boot", "repository.db", "repository-boot-2026", "x-boot-1_1"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }

    #[test]
    fn the_latest_few_of_each_kind_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for day in 1..=6 {
            fs::write(file(&format!("repository-boot-2026010{day}_000000")), "").unwrap();
        }
        fs::write(file("repository-import-20250101_000000"), "").unwrap();
        let conn = Connection::open_in_memory().unwrap();
        make(&conn, folder.path(), "boot").unwrap();
        let kept = list(folder.path()).unwrap();
        assert_eq!(kept.len(), KEPT + 1);
        assert_eq!(fs::canonicalize(file("repository-boot")).unwrap(), kept[0].path);
        assert!(file("repository-boot-20260106_000000").exists());
        assert!(!file("repository-boot-20260103_000000").exists());
    }
}
