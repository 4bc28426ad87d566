//! Files that are damaged while nobody looks: found out, kept, restored, and said loudly.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixture::{Configd, fmri, set};
use svc::repo::View;

const PAGE: u64 = 4096;

/// A repository whose `a` is 1 in the backup of a boot, 2 in the backup of an import, and 3 now.
fn with_backups() -> Configd {
    let mut configd = Configd::start();
    configd.repo().commit(set(&[("a", 1)])).unwrap();
    configd.kill();
    boot(&configd);
    configd.start_again();
    configd.repo().commit(set(&[("a", 2)])).unwrap();
    // The backups' names tell seconds.
    std::thread::sleep(Duration::from_millis(1100));
    configd.repo().back_up("manifest_import").unwrap();
    configd.repo().commit(set(&[("a", 3)])).unwrap();
    configd.kill();
    configd
}

/// As a boot would: what is not to be kept is gone.
fn boot(configd: &Configd) {
    fs::remove_dir_all(configd.path("run/svc")).unwrap();
}

fn value(configd: &Configd) -> Option<String> {
    let group = configd.repo().pg(&fmri("svc:/test:x"), "config", &View::Direct).ok()??;
    group.first("a").map(str::to_owned)
}

fn names(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
    };
    entries.filter(named).collect()
}

/// Writes rubbish into the middle of every page but the first `spared`.
fn damage(path: &Path, spared: u64) {
    let file = File::options().write(true).open(path).unwrap();
    for page in spared..file.metadata().unwrap().len() / PAGE {
        file.write_all_at(&[0xa5; 3000], page * PAGE).unwrap();
    }
}

/// Everything into the one file, as an orderly end would leave it.
fn without_log(database: &Path) {
    let conn = rusqlite::Connection::open(database).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

#[test]
fn the_latest_good_backup_takes_the_place_of_what_is_damaged() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 5] = [
        ("pages", |path| damage(path, 1)),
        ("the header", |path| damage(path, 0)),
        ("not a database", |path| fs::write(path, "not a database at all\n".repeat(500)).unwrap()),
        ("cut off", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2 / PAGE * PAGE).unwrap();
        }),
        ("empty", |path| File::options().write(true).open(path).unwrap().set_len(0).unwrap()),
    ];
    for (what, harm) in harms {
        let mut configd = with_backups();
        let database = configd.path("var/svc/repository.db");
        without_log(&database);
        harm(&database);
        configd.start_again();
        assert_eq!(value(&configd).as_deref(), Some("2"), "{what}");
        let log = fs::read_to_string(configd.path("var/svc/log/svc.configd.log")).unwrap();
        let told = log.contains("is DAMAGED") && log.contains("RESTORED the repository from");
        assert!(told && log.contains("repository-manifest_import-"), "{what}: {log}");
        assert!(!names(&configd.path("var/svc"), "repository.db.damaged-").is_empty(), "{what}");
        configd.repo().commit(set(&[("a", 4)])).unwrap();
    }
}

#[test]
fn a_repository_that_is_gone_is_restored() {
    let mut configd = with_backups();
    for file in names(&configd.path("var/svc"), "repository.db") {
        fs::remove_file(file).unwrap();
    }
    configd.start_again();
    assert_eq!(value(&configd).as_deref(), Some("2"));
}

#[test]
fn a_damaged_backup_is_passed_over() {
    let mut configd = with_backups();
    let folder = configd.path("var/svc");
    let latest = fs::canonicalize(folder.join("repository-manifest_import")).unwrap();
    damage(&latest, 1);
    without_log(&folder.join("repository.db"));
    fs::write(folder.join("repository.db"), "rubbish").unwrap();
    configd.start_again();
    assert_eq!(value(&configd).as_deref(), Some("1"), "from the boot before");
    assert!(fs::canonicalize(folder.join("repository-boot")).unwrap().exists());
}

#[test]
fn without_a_good_backup_the_repository_starts_empty_and_says_what_to_do() {
    let mut configd = with_backups();
    for file in names(&configd.path("var/svc"), "repository") {
        fs::write(file, "rubbish").unwrap();
    }
    configd.start_again();
    assert!(configd.repo().services().unwrap().is_empty());
    configd.kill();
    let said = configd.said();
    assert!(said.contains("there is no good backup; the repository starts EMPTY"), "{said}");
    assert!(said.contains("put it at"), "{said}");
}

#[test]
fn waiting_clients_hear_of_a_restore() {
    let mut configd = with_backups();
    configd.start_again();
    let repo = configd.repo();
    repo.commit(vec![svc::repo::Change::AddInstance(fmri("svc:/late:x"))]).unwrap();
    let seen = repo.generation().unwrap();
    configd.kill();
    without_log(&configd.path("var/svc/repository.db"));
    fs::write(configd.path("var/svc/repository.db"), "rubbish").unwrap();
    configd.start_again();
    let (_, changed) = repo.changes_since(seen, Some(Duration::from_secs(60))).unwrap();
    assert!(changed.iter().any(|c| c.fmri == fmri("svc:/test:x") && c.pg.is_none()));
    assert!(changed.iter().any(|c| c.pg.as_deref() == Some("config")));
}
