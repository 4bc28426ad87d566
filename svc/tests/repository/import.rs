//! Manifests and the repository: import, upgrade, export, and the folder that a boot imports.

use svc::manifest::import_new;

use crate::fixture::{System, XEND};

fn value(system: &System, name: &str) -> String {
    system.svcprop(&["-cp", name, "xend"]).ok()
}

#[test]
fn an_administrators_change_survives_an_upgrade() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend", "setprop", "config/dom0-min-mem", "=", "512"]).ok();
    system.svccfg(&["-s", "xend:default", "setprop", "general/enabled", "=", "true"]).ok();
    let upgraded = XEND
        .replace("dom0-min-mem = 196", "dom0-min-mem = 256")
        .replace("default-nic = \"\"", "default-nic = \"eth0\"")
        .replace("enable-dump = false", "keymap = \"de\"");
    let file = system.write("xend.toml", &upgraded);
    let done = system.svccfg(&["import", &file]);
    assert_eq!(done.status, 0);
    assert_eq!(
        done.err,
        "svccfg: config/dom0-min-mem of svc:/system/xvm/xend was changed here; \
         the manifest's new one is not taken\n"
    );
    assert_eq!(value(&system, "config/dom0-min-mem"), "512\n", "the administrator's");
    assert_eq!(value(&system, "config/default-nic"), "eth0\n", "nobody had touched it");
    assert_eq!(value(&system, "config/keymap"), "de\n", "new");
    assert_eq!(system.svcprop(&["-cqp", "config/enable-dump", "xend"]).status, 1, "gone");
    assert_eq!(value(&system, "general/enabled"), "true\n", "never upgraded");
    assert_eq!(system.svcprop(&["-p", "config/keymap", "xend"]).ok(), "de\n", "published");
    let names = system.svccfg(&["-s", "xend:default", "listsnap"]).ok();
    assert_eq!(names, "initial\nlast-import\nprevious\nrunning\n");
}

#[test]
fn a_second_import_changes_nothing() {
    let system = System::with_xend();
    let before = system.svccfg(&["export", "xend"]).ok();
    let file = system.write("again.toml", XEND);
    system.svccfg(&["import", &file]).ok();
    assert_eq!(system.svccfg(&["export", "xend"]).ok(), before);
}

/// As XML, and with -t as TOML.
#[test]
fn an_export_imports_the_same_elsewhere() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend:default", "addpg", "live", "framework", "P"]).ok();
    for (option, method) in [("", "<exec_method"), ("-t", "[method.start]")] {
        let file = system.path().join("out").to_str().unwrap().to_owned();
        system.shell(&format!("svccfg export {option} xend '>' {file}")).ok();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(method) && !text.contains("live"), "{text}");
        let other = System::start();
        other.svccfg(&["import", &file]).ok();
        assert_eq!(other.shell(&format!("svccfg export {option} xend")).ok(), text);
    }
}

#[test]
fn a_bad_manifest_is_refused_with_its_place() {
    let system = System::start();
    let file = system.write("bad.toml", "service = \"a\"\n[group.g]\ncolour = 1\n");
    let expected = format!("svccfg: {file}, line 3, column 1: unknown key \"colour\"\n");
    assert_eq!(system.svccfg(&["validate", &file]).failed(), expected);
    assert_eq!(system.svccfg(&["import", &file]).failed(), expected);
    assert!(system.svccfg(&["import", "/nonexistent"]).failed().contains("/nonexistent: No such"));
    assert_eq!(system.svccfg(&["list"]).ok(), "");
}

#[test]
fn a_folder_is_imported_once_and_bad_files_hold_nothing_back() {
    let system = System::start();
    system.write("manifests/xend.toml", XEND);
    system.write("manifests/bad.toml", "service = 5");
    system.write("manifests/notes.txt", "not a manifest");
    let folder = system.path().join("manifests");
    let repo = system.repo();
    let report = import_new(&repo, &folder).unwrap();
    let imported: Vec<String> = report.imported.iter().map(ToString::to_string).collect();
    assert_eq!(imported, ["svc:/system/xvm/xend"]);
    assert_eq!(report.failures.len(), 1);
    assert!(report.failures[0].to_string().contains("bad.toml, line 1"));
    assert!(import_new(&repo, &folder).unwrap().imported.is_empty(), "nothing has changed");
    system.write("manifests/xend.toml", &XEND.replace("196", "200"));
    assert_eq!(import_new(&repo, &folder).unwrap().imported.len(), 1);
    assert_eq!(value(&system, "config/dom0-min-mem"), "200\n");
    assert!(import_new(&repo, &system.path().join("nowhere")).is_err());
}

/// What is delivered with the system must import, each for itself and all together.
#[test]
fn the_delivered_manifests_import() {
    let system = System::start();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");
    let report = import_new(&system.repo(), folder.as_ref()).unwrap();
    let complaints: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert_eq!(complaints, Vec::<String>::new());
    assert!(report.imported.len() >= 10, "{:?}", report.imported);
}
