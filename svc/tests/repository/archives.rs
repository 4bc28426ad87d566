//! svccfg's commands for whole repositories: archive and restore, what protected groups hide, and
//! what is remembered of imports.

use svc::manifest::import_new;

use crate::fixture::{System, XEND};

const PASSWORD: &str = "rosebud";

/// A small xend whose VNC password is not for everybody.
fn with_secret() -> System {
    let system = System::with_xend();
    let script = format!(
        "select xend\naddpg vnc application\nsetprop vnc/passwd = astring: {PASSWORD}\n\
         setprop vnc/port = count: 5900\nsetprop vnc/read_authorization = astring: site.vnc\n\
         add spare\nselect xend:spare\naddpg vnc application\n\
         setprop vnc/passwd = astring: {PASSWORD}2\n"
    );
    let file = system.write("script", &script);
    system.svccfg(&["-f", &file]).ok();
    system
}

#[test]
fn a_restored_archive_is_what_was_archived() {
    let one = with_secret();
    one.svccfg(&["add", "site/empty"]).ok();
    let archive = one.svccfg(&["archive", "-a"]).ok();
    let file = one.write("archive.xml", &archive);
    // What was changed since is undone, what is new stays.
    let script = "select xend\ndelprop config/keymap\nsetprop config/dom0-min-mem = 1\n\
                  addpg later application\ndelpg vnc\nselect xend:spare\ndelete xend:spare\n";
    one.svccfg(&["-f", &one.write("script", &script.replace("delprop config/keymap\n", ""))]).ok();
    one.svccfg(&["add", "site/later"]).ok();
    one.svccfg(&["restore", &file]).ok();
    assert_eq!(one.svccfg(&["list"]).ok(), "site/empty\nsite/later\nsystem/xvm/xend\n");
    one.svccfg(&["delete", "site/later"]).ok();
    assert_eq!(one.svccfg(&["archive", "-a"]).ok(), archive);
    assert_eq!(one.svcprop(&["-p", "config/dom0-min-mem", "xend:default"]).ok(), "196\n");
    let backups = std::fs::read_dir(one.path().join("var/svc")).unwrap();
    let names = backups.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name.starts_with("repository-restore-")));

    let other = System::start();
    other.svccfg(&["restore", &file]).ok();
    assert_eq!(other.svccfg(&["archive", "-a"]).ok(), archive);
    let manifest = other.write("xend.toml", XEND);
    assert!(
        other.svccfg(&["restore", &manifest]).failed().contains("is a manifest, not an archive")
    );
}

#[test]
fn dependents_are_restored_and_go_with_their_owner() {
    let system = System::with_xend();
    let file = system.write(
        "net.toml",
        "service = \"site/net\"\n[dependent.site-net]\ntarget = \"svc:/system/xvm/xend\"\n\
         grouping = \"require_all\"\nrestart_on = \"none\"\n[instance.default]\n",
    );
    let done = system.svccfg(&["import", &file]);
    assert_eq!(done.status, 0, "{done:?}");
    let dependency = || system.svcprop(&["-p", "site-net/entities", "svc:/system/xvm/xend"]);
    assert_eq!(dependency().ok(), "svc:/site/net\n");
    let archive = system.write("archive.xml", &system.svccfg(&["archive"]).ok());
    system.svccfg(&["delete", "site/net"]).ok();
    assert!(dependency().failed().contains("Couldn't find property group `site-net'"));
    system.svccfg(&["restore", &archive]).ok();
    assert_eq!(dependency().ok(), "svc:/site/net\n");
}

#[test]
fn secrets_are_written_only_when_asked_for() {
    let system = with_secret();
    for command in
        ["export xend", "export -t xend", "archive", "extract", "extract -t", "extract -l current"]
    {
        let plain = system.shell(&format!("svccfg {command}")).ok();
        assert!(!plain.contains(PASSWORD), "{command}: {plain}");
        assert!(plain.contains("vnc"), "{command}: {plain}");
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let all = system.shell(&format!("svccfg {name} -a {rest}")).ok();
        assert!(all.contains(PASSWORD), "{command}: {all}");
        assert!(all.contains(&format!("{PASSWORD}2")), "an instance's, too: {command}: {all}");
    }
    let export = system.svccfg(&["export", "xend"]).ok();
    assert!(export.contains("'passwd'") && export.contains("site.vnc"), "{export}");
    let file = system.write("export.xml", &export);
    let other = System::start();
    other.svccfg(&["import", &file]).ok();
    let passwd = other.svccfg(&["-s", "xend", "listprop", "vnc/passwd"]).ok();
    assert_eq!(passwd, "vnc/passwd  astring \n", "there, without a value");
}

#[test]
fn an_export_is_of_a_service() {
    let system = System::with_xend();
    let all = system.svccfg(&["export", "xend"]).ok();
    let instance = system.svccfg(&["export", "svc:/system/xvm/xend:default"]);
    assert_eq!((instance.status, instance.out), (0, all));
    let warning = "svccfg: svc:/system/xvm/xend:default is an instance; its service is exported\n";
    assert_eq!(instance.err, warning);
    let said = system.svccfg(&["export", "default"]).failed();
    assert!(said.contains("\"default\" is instance svc:/system/xvm/xend:default"), "{said}");
}

/// Another user reads everything but the values of a protected group.
#[test]
fn others_see_that_there_is_a_secret_and_not_what_it_is() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let system = with_secret();
    let as_nobody = |line: &str| system.as_nobody(line);
    let told = as_nobody("svcprop -p vnc/passwd svc:/system/xvm/xend");
    assert_eq!(told.failed(), "svcprop: Permission denied.\n");
    let all = as_nobody("svcprop svc:/system/xvm/xend").ok();
    assert!(all.contains("vnc/passwd astring \n") && !all.contains(PASSWORD), "{all}");
    let listed = as_nobody("svccfg -s xend listprop vnc").ok();
    assert!(listed.contains("vnc/passwd") && !listed.contains(PASSWORD), "{listed}");
    assert!(!as_nobody("svccfg export xend").ok().contains(PASSWORD));
    let said = as_nobody("svccfg export -a xend").failed();
    assert_eq!(
        said,
        "svccfg: Could not read the values of property group \"vnc\" of svc:/system/xvm/xend: \
         permission denied.\n"
    );
    assert!(as_nobody("svccfg archive -a").failed().contains("permission denied"));
    assert!(as_nobody("svccfg extract -a").failed().contains("permission denied"));
    assert!(
        as_nobody("svccfg -s xend setprop vnc/port = 1").failed().contains("Permission denied")
    );
    system.write("etc/security/policy.conf", "AUTHS_GRANTED=site.vnc\n");
    assert!(as_nobody("svccfg export -a xend").ok().contains(PASSWORD));
}

#[test]
fn a_layer_of_settings_is_extracted() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend", "setprop", "config/dom0-min-mem", "=", "9000"]).ok();
    let extract = |layer: &str| system.svccfg(&["extract", "-l", layer]).ok();
    let (admin, manifest, current) = (extract("admin"), extract("manifest"), extract("current"));
    assert_eq!(admin, system.svccfg(&["extract"]).ok());
    assert!(admin.contains("'9000'") && !admin.contains("default-nic"), "{admin}");
    assert!(manifest.contains("'196'") && manifest.contains("default-nic"), "{manifest}");
    assert!(current.contains("'9000'") && current.contains("default-nic"), "{current}");
    assert!(system.svccfg(&["extract", "-l", "nope"]).failed().contains("Syntax error"));
}

#[test]
fn customisations_are_listed_and_undone() {
    let system = System::with_xend();
    let run = |line: &str| system.shell(&format!("svccfg -s xend {line}"));
    assert_eq!(run("listcust").ok(), "");
    run("setprop config/dom0-min-mem = 9000").ok();
    run("setprop config/keymap = astring: de").ok();
    run("delprop config/enable-dump").ok();
    run("addpg mine application").ok();
    let all = "config               application\nconfig/dom0-min-mem  integer  9000\n\
               config/keymap        astring  de\nmine                 application\n";
    assert_eq!(run("listcust").ok(), all);
    assert_eq!(run("listcust '*keymap'").ok(), "config/keymap  astring  de\n");
    assert_eq!(run("listcust -M config/*").ok(), "config/enable-dump  boolean  false\n");
    run("delcust config/keymap").ok();
    assert_eq!(run("listprop config/keymap").ok(), "");
    assert_eq!(run("listprop config/dom0-min-mem").ok(), "config/dom0-min-mem  integer  9000\n");
    run("delcust").ok();
    run("delcust -M").ok();
    assert_eq!(run("listcust").ok() + &run("listcust -M").ok(), "");
    let other = System::with_xend();
    assert_eq!(run("listprop").ok(), other.svccfg(&["-s", "xend", "listprop"]).ok());
}

#[test]
fn a_forgotten_manifest_is_imported_again() {
    let system = System::start();
    let file = system.write("manifests/xend.toml", XEND);
    let folder = system.path().join("manifests");
    let count = || import_new(&system.repo(), &folder).unwrap().imported.len();
    assert_eq!((count(), count()), (1, 0));
    system.svccfg(&["delhash", &file]).ok();
    assert_eq!((count(), count()), (1, 0));
    let said = system.svccfg(&["delhash", "/no/such.toml"]).failed();
    assert_eq!(said, "svccfg: /no/such.toml: No such file or directory (os error 2)\n");
    let said = system.svccfg(&["delhash", "-d", "/no/such.toml"]).failed();
    assert_eq!(said, "svccfg: /no/such.toml is not remembered as imported\n");
    std::fs::remove_file(&file).unwrap();
    system.svccfg(&["delhash", &file]).failed();
    system.svccfg(&["delhash", "-d", &file]).ok();
}

#[test]
fn folders_and_several_files_are_imported() {
    let system = System::start();
    system.write("m/a.toml", "service = \"a\"\n[instance.default]\n");
    system.write("m/b.toml", "service = 5\n");
    let c = system.write("c.toml", "service = \"c\"\n[instance.default]\n");
    let folder = system.path().join("m").to_str().unwrap().to_owned();
    let said = system.svccfg(&["import", &folder, &c]).failed();
    assert!(said.contains("b.toml, line 1"), "{said}");
    assert!(said.ends_with("svccfg: Import of 1 of 3 files failed.\n"), "{said}");
    assert_eq!(system.svccfg(&["list"]).ok(), "a\nc\n");
}

#[test]
fn what_is_said_can_be_set() {
    let system = System::with_xend();
    let file = system.write("script", "set\nset -v\nset\nset -V\nset\n");
    assert_eq!(system.svccfg(&["-f", &file]).ok(), "noverbose\nverbose\nnoverbose\n");
    assert!(system.svccfg(&["set", "-x"]).failed().contains("Syntax error.  Usage: set [-vV]"));
}
