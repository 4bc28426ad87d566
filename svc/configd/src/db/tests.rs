//! The repository's rules, on real files.

use std::fs;

use proptest::prelude::*;
use svc::repo::snapshots::{RUNNING, START};
use svc::value::PropType;
use tempfile::TempDir;

use super::*;

struct Fixture {
    folder: TempDir,
    db: Db,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&Files::in_folder(folder.path())).unwrap();
        Self { folder, db }
    }

    fn reopen(self) -> Self {
        let Self { folder, db } = self;
        drop(db);
        let db = Db::open(&Files::in_folder(folder.path())).unwrap();
        Self { folder, db }
    }

    fn set(&mut self, fmri: &str, pg: &str, value: i64, persistent: bool) -> u64 {
        self.db.commit(&set(fmri, pg, value, persistent), &Rights::All).unwrap()
    }

    fn value(&self, fmri: &str, pg: &str, view: &View) -> Option<i64> {
        self.db
            .group(&fmri_of(fmri), Part::whole(pg), view, &Rights::All)
            .unwrap()?
            .get("value")?
            .as_integer()
    }

    fn refusal(&mut self, changes: &[Change]) -> (Code, String) {
        let failure = self.db.commit(changes, &Rights::All).unwrap_err().failure();
        (failure.code, failure.message)
    }
}

fn fmri_of(text: &str) -> Fmri {
    Fmri::parse(text).unwrap()
}

fn set(fmri: &str, pg: &str, value: i64, persistent: bool) -> Vec<Change> {
    let fmri = fmri_of(fmri);
    let add = if fmri.is_instance() { Change::AddInstance } else { Change::AddService };
    vec![
        add(fmri.clone()),
        Change::AddPg { fmri: fmri.clone(), pg: pg.into(), ty: "application".into(), persistent },
        Change::SetProp {
            fmri,
            pg: pg.into(),
            prop: "value".into(),
            ty: PropType::Integer,
            values: vec![value.to_string()],
        },
    ]
}

fn snapshot_of(fmri: &str, name: &str) -> Change {
    Change::Snapshot { fmri: fmri_of(fmri), name: name.into() }
}

#[test]
fn views_show_what_they_should() {
    let mut f = Fixture::new();
    f.set("svc:/a", "config", 1, true);
    f.set("svc:/a:x", "state", 1, false);
    assert_eq!(f.value("svc:/a:x", "config", &View::Direct), None);
    assert_eq!(f.value("svc:/a:x", "config", &View::Composed), Some(1));
    assert_eq!(f.value("svc:/a:x", "config", &View::Running), Some(1), "edited, before a refresh");
    f.db.commit(&[snapshot_of("svc:/a:x", RUNNING)], &Rights::All).unwrap();
    f.set("svc:/a:x", "config", 2, true);
    f.set("svc:/a:x", "state", 2, false);
    assert_eq!(f.value("svc:/a:x", "config", &View::Composed), Some(2));
    assert_eq!(f.value("svc:/a:x", "config", &View::Running), Some(1));
    assert_eq!(f.value("svc:/a:x", "state", &View::Running), Some(2), "nonpersistent is live");
    let running = f.db.groups(&fmri_of("svc:/a:x"), &View::Running, &Rights::All).unwrap();
    assert_eq!(running.keys().collect::<Vec<_>>(), ["config", "state"]);
    assert_eq!(f.value("svc:/a", "config", &View::Running), Some(1));
    let all =
        f.db.group_of_all("config", &[], &View::Snapshot(RUNNING.into()), &Rights::All).unwrap();
    assert_eq!(all.len(), 1);
}

#[test]
fn who_asks_for_the_latest_generation_is_not_told_all_that_ever_changed() {
    let mut f = Fixture::new();
    f.set("svc:/a:x", "config", 1, true);
    assert_eq!(f.db.changes_since(u64::MAX).unwrap(), []);
    assert!(!f.db.changes_since(0).unwrap().is_empty());
}

#[test]
fn a_commit_is_all_or_nothing() {
    let mut f = Fixture::new();
    f.set("svc:/a:x", "config", 1, true);
    let generation = f.db.generation();
    let mut changes = set("svc:/a:x", "config", 2, true);
    changes.push(Change::AddService(fmri_of("svc:/b:y")));
    assert_eq!(f.refusal(&changes).0, Code::Invalid);
    assert_eq!(f.value("svc:/a:x", "config", &View::Direct), Some(1));
    assert_eq!(f.db.generation(), generation);
}

#[test]
fn bad_changes_are_refused_with_a_reason() {
    let mut f = Fixture::new();
    f.set("svc:/a:x", "config", 1, true);
    let fmri = fmri_of("svc:/a:x");
    let prop = |pg: &str, prop: &str, value: &str| Change::SetProp {
        fmri: fmri.clone(),
        pg: pg.into(),
        prop: prop.into(),
        ty: PropType::Count,
        values: vec![value.into()],
    };
    let group = |pg: &str, ty: &str| Change::AddPg {
        fmri: fmri.clone(),
        pg: pg.into(),
        ty: ty.into(),
        persistent: true,
    };
    for (change, code, text) in [
        (prop("nope", "p", "1"), Code::NotFound, "No such property group \"nope\"."),
        (prop("config", "p q", "1"), Code::Invalid, "Invalid property name \"p q\"."),
        (prop("config", "p", "-1"), Code::Invalid, "Invalid \"count\" value \"-1\""),
        (group("config", "framework"), Code::Conflict, "already exists (type application)"),
        (group("a/b", "framework"), Code::Invalid, "Invalid property group name"),
        (snapshot_of("svc:/a", "running"), Code::Invalid, "is not an instance"),
        (snapshot_of("svc:/a:z", "running"), Code::NotFound, "No such instance \"svc:/a:z\"."),
    ] {
        let (got, message) = f.refusal(&[change]);
        assert!(got == code && message.contains(text), "{got:?} {message}");
    }
}

#[test]
fn steps_may_be_repeated() {
    let mut f = Fixture::new();
    let generation = f.set("svc:/a:x", "config", 1, true);
    assert_eq!(f.set("svc:/a:x", "config", 1, true), generation, "nothing changed");
    let gone = [
        Change::DelPg { fmri: fmri_of("svc:/a:x"), pg: "none".into() },
        Change::Delete(fmri_of("svc:/none")),
    ];
    assert_eq!(f.db.commit(&gone, &Rights::All).unwrap(), generation);
}

#[test]
fn a_commit_on_what_was_changed_meanwhile_is_refused() {
    let mut f = Fixture::new();
    let since = f.set("svc:/a:x", "config", 1, true);
    f.set("svc:/a:x", "state", 1, false);
    let guarded = |pg: &str, value: i64, since: u64| {
        let guard = Change::Unchanged { fmri: fmri_of("svc:/a:x"), pg: pg.into(), since };
        [vec![guard], set("svc:/a:x", pg, value, pg == "config")].concat()
    };
    let ours = f.db.commit(&guarded("config", 2, since), &Rights::All).unwrap();
    let (code, message) = f.refusal(&guarded("config", 3, since));
    assert_eq!(code, Code::Stale);
    assert_eq!(
        message,
        "Property group \"config\" of svc:/a:x was changed meanwhile; read it again."
    );
    assert_eq!(f.value("svc:/a:x", "config", &View::Direct), Some(2));
    assert_eq!(f.refusal(&guarded("state", 3, since)).0, Code::Stale, "nonpersistent ones too");
    f.db.commit(&guarded("config", 2, since), &Rights::All).expect("our own words, said again");
    f.db.commit(&guarded("config", 3, ours), &Rights::All).unwrap();
    f.db.commit(&[Change::Delete(fmri_of("svc:/a:x"))], &Rights::All).unwrap();
    let latest = f.db.generation() - 1;
    assert_eq!(f.refusal(&guarded("other", 1, latest)).0, Code::Stale, "the instance is gone");
}

#[test]
fn a_full_disk_changes_nothing_and_loses_nothing() {
    let mut f = Fixture::new();
    f.set("svc:/a:x", "config", 1, true);
    let limit = |f: &Fixture, pages: u32| {
        f.db.conn
            .query_row(&format!("PRAGMA main.max_page_count = {pages}"), [], |_| Ok(()))
            .unwrap();
    };
    limit(&f, 1);
    let long = Change::SetProp {
        fmri: fmri_of("svc:/a:x"),
        pg: "config".into(),
        prop: "long".into(),
        ty: PropType::Astring,
        values: vec!["x".repeat(1 << 20)],
    };
    let (code, message) = f.refusal(std::slice::from_ref(&long));
    assert!(code == Code::Backend && message.contains("database or disk is full"), "{message}");
    assert_eq!(f.value("svc:/a:x", "config", &View::Direct), Some(1));
    limit(&f, u32::MAX / 2);
    f.db.commit(&[long], &Rights::All).unwrap();
}

#[test]
fn changes_are_reported_once_each() {
    let mut f = Fixture::new();
    let first = f.set("svc:/a:x", "config", 1, true);
    f.set("svc:/a:x", "config", 2, true);
    f.set("svc:/a:x", "state", 1, false);
    let changed: Vec<String> =
        f.db.changes_since(first)
            .unwrap()
            .into_iter()
            .map(|c| format!("{} {}", c.fmri, c.pg.unwrap_or_default()))
            .collect();
    assert_eq!(changed, ["svc:/a:x config", "svc:/a:x state"]);
    let before = f.db.generation();
    f.db.commit(&[Change::Delete(fmri_of("svc:/a"))], &Rights::All).unwrap();
    let changed = f.db.changes_since(before).unwrap();
    assert!(changed.iter().all(|c| c.pg.is_none()));
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert!(
        f.db.group(&fmri_of("svc:/a:x"), Part::whole("state"), &View::Direct, &Rights::All)
            .is_err()
    );
}

#[test]
fn equal_snapshots_are_stored_once_and_forgotten_with_the_last() {
    let mut f = Fixture::new();
    f.set("svc:/a:x", "config", 1, true);
    let rows = |f: &Fixture| -> i64 {
        f.db.conn.query_row("SELECT count(*) FROM main.snapdata", [], |row| row.get(0)).unwrap()
    };
    let copy = |f: &mut Fixture| {
        let fmri = fmri_of("svc:/a:x");
        f.db.commit(
            &[Change::CopySnapshot { fmri, from: RUNNING.into(), to: START.into() }],
            &Rights::All,
        )
    };
    f.db.commit(
        &[snapshot_of("svc:/a:x", RUNNING), snapshot_of("svc:/a:x", "initial")],
        &Rights::All,
    )
    .unwrap();
    copy(&mut f).unwrap();
    assert_eq!(rows(&f), 1);
    assert_eq!(f.db.snapshots(&fmri_of("svc:/a:x")).unwrap(), ["initial", "running", "start"]);
    f.set("svc:/a:x", "config", 2, true);
    for name in [RUNNING, "initial"] {
        f.db.commit(&[snapshot_of("svc:/a:x", name)], &Rights::All).unwrap();
    }
    assert_eq!(rows(&f), 2);
    copy(&mut f).unwrap();
    assert_eq!(rows(&f), 1);
    f.db.commit(&[Change::Delete(fmri_of("svc:/a:x"))], &Rights::All).unwrap();
    assert_eq!(rows(&f), 0);
    assert!(copy(&mut f).is_err());
}

#[test]
fn a_new_process_goes_on_where_the_old_one_was() {
    let mut f = Fixture::new();
    f.set("svc:/a:x", "config", 1, true);
    let generation = f.set("svc:/a:x", "state", 2, false);
    let f = f.reopen();
    assert_eq!(f.value("svc:/a:x", "config", &View::Direct), Some(1));
    assert_eq!(f.value("svc:/a:x", "state", &View::Direct), Some(2));
    assert_eq!(f.db.generation(), generation);
}

#[test]
fn commits_are_on_the_disk_when_they_return() {
    let f = Fixture::new();
    let pragma = |name: &str| -> String {
        let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        f.db.conn.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("synchronous"), "2", "each commit is synced");
}

#[test]
fn a_boot_empties_what_is_nonpersistent_and_backs_up_the_rest() {
    let mut f = Fixture::new();
    f.set("svc:/a:x", "config", 1, true);
    f.set("svc:/a:x", "state", 2, false);
    f.db.conn.execute("UPDATE np.meta SET value = 'another' WHERE key = 'boot'", []).unwrap();
    let f = f.reopen();
    assert_eq!(f.value("svc:/a:x", "config", &View::Direct), Some(1));
    assert_eq!(f.value("svc:/a:x", "state", &View::Direct), None);
    let backup = Connection::open(f.folder.path().join("repository-boot")).unwrap();
    let count: i64 = backup.query_row("SELECT count(*) FROM prop", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

/// SQLite commits the two databases one after the other; a kill in between loses the second half.
#[test]
fn a_commit_cut_in_two_is_completed() {
    let mut f = Fixture::new();
    let since = f.set("svc:/a:x", "state", 1, false);
    f.db.conn.execute_batch("PRAGMA np.wal_checkpoint(TRUNCATE)").unwrap();
    let volatile = f.folder.path().join("nonpersist.db");
    let old = fs::read(&volatile).unwrap();
    let mut both = set("svc:/a:x", "config", 7, true);
    both.extend(set("svc:/a:x", "state", 2, false));
    let pg = "config".to_owned();
    both.insert(0, Change::Unchanged { fmri: fmri_of("svc:/a:x"), pg, since });
    let generation = f.db.commit(&both, &Rights::All).unwrap();
    let Fixture { folder, db } = f;
    drop(db);
    let _ = fs::remove_file(folder.path().join("nonpersist.db-wal"));
    let _ = fs::remove_file(folder.path().join("nonpersist.db-shm"));
    fs::write(&volatile, old).unwrap();
    let db = Db::open(&Files::in_folder(folder.path())).unwrap();
    let f = Fixture { folder, db };
    assert_eq!(f.value("svc:/a:x", "config", &View::Direct), Some(7));
    assert_eq!(f.value("svc:/a:x", "state", &View::Direct), Some(2));
    assert!(f.db.generation() > generation, "those who saw the first half hear of the second");
}

#[test]
fn nobody_else_reads_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let mut f = Fixture::new();
    f.set("svc:/a:x", "state", 2, false);
    for entry in fs::read_dir(f.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
    }
}

#[test]
fn tables_of_a_newer_version_are_left_alone() {
    let f = Fixture::new();
    f.db.conn.execute_batch("PRAGMA main.user_version = 99").unwrap();
    let Fixture { folder, db } = f;
    drop(db);
    let error = Db::open(&Files::in_folder(folder.path())).unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is set is read back by this process and by the next one.
    #[test]
    fn what_is_committed_is_kept(values in prop::collection::vec("\\PC{0,30}", 0..6), big in 0usize..5000) {
        let mut f = Fixture::new();
        f.set("svc:/a:x", "config", 1, true);
        let mut values = values;
        values.push("x".repeat(big));
        let fmri = fmri_of("svc:/a:x");
        f.db.commit(&[Change::SetProp {
            fmri: fmri.clone(),
            pg: "config".into(),
            prop: "text".into(),
            ty: PropType::Ustring,
            values: values.clone(),
        }], &Rights::All).unwrap();
        let f = f.reopen();
        let group = f.db.group(&fmri, Part::whole("config"), &View::Direct, &Rights::All).unwrap().unwrap();
        prop_assert_eq!(&group.get("text").unwrap().values, &values);
    }
}
