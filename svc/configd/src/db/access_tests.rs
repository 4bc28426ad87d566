//! Who may change what, and who sees what.

use svc::repo::snapshots::{RUNNING, START};
use svc::value::PropType;

use super::*;

const X: &str = "svc:/a:x";

struct Fixture {
    db: Db,
    _folder: tempfile::TempDir,
}

/// An instance with a group of each kind, and properties that name authorizations.
fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let mut db = Db::open(&Files::in_folder(folder.path())).unwrap();
    let mut changes = vec![Change::AddInstance(fmri(X))];
    for (pg, ty, prop, value) in [
        ("general", "framework", "action_authorization", "site.act"),
        ("general", "framework", "value_authorization", "site.enable"),
        ("general", "framework", "comment", "none"),
        ("start", "method", "exec", "/bin/true"),
        ("config", "application", "colour", "red"),
        ("config", "application", "modify_authorization", "site.modify"),
        ("config", "application", "value_authorization", "site.value"),
        ("secret", "application", "password", "rosebud"),
        ("secret", "application", "read_authorization", "site.read"),
    ] {
        changes.extend([add(pg, ty, true), set(pg, prop, value)]);
    }
    db.commit(&changes, &Rights::All).unwrap();
    Fixture { db, _folder: folder }
}

fn fmri(text: &str) -> Fmri {
    Fmri::parse(text).unwrap()
}

fn add(pg: &str, ty: &str, persistent: bool) -> Change {
    Change::AddPg { fmri: fmri(X), pg: pg.into(), ty: ty.into(), persistent }
}

fn set(pg: &str, prop: &str, value: &str) -> Change {
    let (pg, prop, values) = (pg.into(), prop.into(), vec![value.into()]);
    Change::SetProp { fmri: fmri(X), pg, prop, ty: PropType::Astring, values }
}

fn unset(pg: &str, prop: &str) -> Change {
    Change::DelProp { fmri: fmri(X), pg: pg.into(), prop: prop.into() }
}

fn snapshot(name: &str) -> Change {
    Change::Snapshot { fmri: fmri(X), name: name.into() }
}

fn holder(authorization: &str) -> Rights {
    Rights::Of([authorization.to_owned()].into())
}

/// Commits in a repository of its own, and tells whether that was allowed.
fn may(authorization: &str, changes: &[Change]) -> bool {
    match fixture().db.commit(changes, &holder(authorization)) {
        Ok(_) => true,
        Err(DbError::Refused(failure)) if failure.code == Code::Denied => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn each_change_takes_its_authorization() {
    let restart =
        [add("restarter_actions", "framework", false), set("restarter_actions", "restart", "1")];
    let disable = [add("general_ovr", "framework", false), set("general_ovr", "enabled", "false")];
    let cases: [(&str, Vec<Change>, &[&str]); 17] = [
        ("add", vec![Change::AddInstance(fmri("svc:/b:y"))], &["solaris.smf.modify"]),
        ("delete", vec![Change::Delete(fmri(X))], &["solaris.smf.modify"]),
        ("add group", vec![add("stop", "method", true)], &["solaris.smf.modify.method"]),
        ("other type", vec![add("mine", "site", true)], &["solaris.smf.modify"]),
        (
            "delete group",
            vec![Change::DelPg { fmri: fmri(X), pg: "start".into() }],
            &["solaris.smf.modify.method"],
        ),
        ("method", vec![set("start", "exec", "/x")], &["solaris.smf.modify.method"]),
        ("restart", restart.to_vec(), &["solaris.smf.manage", "site.act"]),
        ("disable -t", disable.to_vec(), &["solaris.smf.manage", "site.act"]),
        ("refresh", vec![snapshot(RUNNING)], &["solaris.smf.manage", "site.act"]),
        ("other snapshot", vec![snapshot(START)], &["solaris.smf.modify"]),
        (
            "value",
            vec![set("general", "comment", "x")],
            &["site.enable", "solaris.smf.modify.framework"],
        ),
        ("new property", vec![set("general", "new", "x")], &["solaris.smf.modify.framework"]),
        ("value", vec![set("config", "colour", "blue")], &["site.value", "site.modify"]),
        ("new property", vec![set("config", "new", "x")], &["site.modify"]),
        ("delete property", vec![unset("config", "colour")], &["site.modify"]),
        ("who may modify", vec![set("config", "modify_authorization", "x")], &["site.modify"]),
        // To say what is so already is no change.
        (
            "nothing",
            vec![Change::AddInstance(fmri(X)), add("config", "application", true)],
            &["none"],
        ),
    ];
    let others = ["site.other", "solaris.smf.modify.dependency"];
    for (what, changes, enough) in cases {
        for authorization in enough.iter().chain(&["solaris.smf.modify", "solaris.*"]) {
            assert!(may(authorization, &changes), "{what} with {authorization}");
        }
        for authorization in others {
            assert_eq!(may(authorization, &changes), enough == ["none"], "{what}, {authorization}");
        }
    }
}

#[test]
fn who_may_act_is_decided_by_who_may_manage() {
    let mine = [set("general", "action_authorization", "site.mine")];
    assert!(!may("solaris.smf.modify.framework", &mine) && !may("solaris.smf.manage", &mine));
    assert!(may("solaris.smf.*", &mine));
}

/// What one step allows must not come from another step of the same commit.
#[test]
fn nobody_grants_himself_anything() {
    let grant =
        [set("config", "value_authorization", "site.mine"), set("config", "colour", "blue")];
    assert!(!may("site.mine", &grant));
    let grant = [set("config", "modify_authorization", "site.value"), unset("config", "colour")];
    assert!(!may("site.value", &grant));
}

#[test]
fn protected_values_are_hidden_wherever_they_are_read() {
    let mut f = fixture();
    f.db.commit(&[snapshot(RUNNING)], &Rights::All).unwrap();
    let instance = fmri(X);
    let views = [View::Direct, View::Composed, View::Running, View::Snapshot(RUNNING.into())];
    let shown = |rights: &Rights| -> Vec<bool> {
        let is_there = |group: PropertyGroup| group.first("password") == Some("rosebud");
        let mut shown = Vec::new();
        for view in &views {
            let groups = f.db.groups(&instance, view, rights).unwrap();
            assert_eq!(groups["config"].first("colour"), Some("red"), "not protected");
            assert!(groups["secret"].is_protected() && groups["secret"].get("password").is_some());
            let part = |prop| {
                let part = Part { pg: "secret", prop };
                f.db.group(&instance, part, view, rights).unwrap().unwrap()
            };
            let (group, alone) = (part(None), part(Some("password")));
            assert_eq!(alone.props.keys().collect::<Vec<_>>(), ["password"]);
            let of_all = |props: &[String]| {
                f.db.group_of_all("secret", props, view, rights).unwrap().remove(0).1
            };
            let (all, one) = (of_all(&[]), of_all(&["password".to_owned()]));
            assert_eq!(one.props.keys().collect::<Vec<_>>(), ["password"]);
            shown.extend([groups["secret"].clone(), group, alone, all, one].map(is_there));
        }
        let snapshot = f.db.snapshot(&instance, RUNNING, rights).unwrap().unwrap();
        shown.push(is_there(snapshot.instance["secret"].clone()));
        shown
    };
    for reader in ["site.read", "solaris.smf.modify.application", "solaris.smf.modify"] {
        assert!(shown(&holder(reader)).iter().all(|&shown| shown), "{reader}");
    }
    assert!(shown(&Rights::All).iter().all(|&shown| shown));
    for other in ["site.other", "solaris.smf.manage", "solaris.smf.modify.framework"] {
        assert!(!shown(&holder(other)).iter().any(|&shown| shown), "{other}");
    }
}

#[test]
fn what_is_protected_now_is_hidden_in_older_snapshots() {
    let mut f = fixture();
    f.db.commit(&[unset("secret", "read_authorization"), snapshot(RUNNING)], &Rights::All).unwrap();
    let read = |f: &Fixture| {
        let snapshot = f.db.snapshot(&fmri(X), RUNNING, &holder("none")).unwrap().unwrap();
        snapshot.instance["secret"].first("password").map(str::to_owned)
    };
    assert_eq!(read(&f).as_deref(), Some("rosebud"));
    f.db.commit(&[set("secret", "read_authorization", "site.read")], &Rights::All).unwrap();
    assert_eq!(read(&f), None);
}
