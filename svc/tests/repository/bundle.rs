//! XML manifests, dependents, upgrades and profiles against the repository.

use svc::fmri::Fmri;
use svc::manifest::{
    Applied, Layer, Secrets, apply, extract, import_new, load, parse_bundle, profile_to_toml,
};
use svc::repo::View;

use crate::fixture::System;

/// A manifest of svc:/site/a with `body`, as XML.
fn xml(body: &str) -> String {
    format!(
        "<?xml version='1.0'?>\n<!DOCTYPE service_bundle SYSTEM \
         '/usr/share/lib/xml/dtd/service_bundle.dtd.1'>\n<service_bundle type='manifest' \
         name='test'>\n<service name='site/a' version='1' type='service'>\n\
         <create_default_instance enabled='false'/>\n{body}\n</service>\n</service_bundle>\n"
    )
}

/// The same as TOML, where `body` are properties of the group `config`.
fn toml(body: &str) -> String {
    format!(
        "service = \"site/a\"\n[instance.default]\nenabled = false\n[group.config]\n\
         [group.config.property]\n{body}\n"
    )
}

fn config(properties: &[(&str, &str, &str)]) -> String {
    let propval = |(name, ty, rest): &(&str, &str, &str)| {
        format!("<propval name='{name}' type='{ty}' value={rest}/>")
    };
    let properties: String = properties.iter().map(propval).collect();
    xml(&format!("<property_group name='config' type='application'>{properties}</property_group>"))
}

fn dependent(target: &str, restart_on: &str, mark: &str) -> String {
    xml(&format!(
        "<dependent name='a_user' grouping='require_all' restart_on='{restart_on}' {mark}>\
         <service_fmri value='{target}'/></dependent>"
    ))
}

fn import(system: &System, text: &str) -> String {
    let file = system.write("a", text);
    let done = system.svccfg(&["import", &file]);
    assert_eq!((done.status, done.out.as_str()), (0, ""), "{done:?}");
    done.err
}

fn value(system: &System, name: &str) -> String {
    system.svcprop(&["-cp", name, "site/a"]).ok()
}

/// The row of facts for every combination, in both languages.
#[test]
fn an_upgrade_merges_three_ways() {
    let versions = [
        (
            toml(
                "same = \"1\"\nnew = \"1\"\nlocal = \"1\"\nboth = \"1\"\nforced = \"1\"\ngone = \"1\"",
            ),
            toml(
                "same = \"1\"\nnew = \"2\"\nlocal = \"1\"\nboth = \"2\"\nadded = \"2\"\n\
                 forced = { value = \"2\", override = true }",
            ),
        ),
        (
            config(
                &["same", "new", "local", "both", "forced", "gone"].map(|n| (n, "astring", "'1'")),
            ),
            config(&[
                ("same", "astring", "'1'"),
                ("new", "astring", "'2'"),
                ("local", "astring", "'1'"),
                ("both", "astring", "'2'"),
                ("added", "astring", "'2'"),
                ("forced", "astring", "'2' override='true'"),
            ]),
        ),
    ];
    for (first, second) in versions {
        let system = System::start();
        assert_eq!(import(&system, &first), "");
        for name in ["local", "both", "forced"] {
            let name = format!("config/{name}");
            system.svccfg(&["-s", "site/a", "setprop", &name, "=", "mine"]).ok();
        }
        system.svccfg(&["-s", "site/a:default", "setprop", "general/enabled", "=", "true"]).ok();
        assert_eq!(
            import(&system, &second),
            "svccfg: config/both of svc:/site/a was changed here; the manifest's new one is not \
             taken\n"
        );
        let expected = ["1", "2", "mine", "mine", "2", "2"];
        for (name, expected) in
            ["same", "new", "local", "both", "forced", "added"].into_iter().zip(expected)
        {
            assert_eq!(
                value(&system, &format!("config/{name}")),
                format!("{expected}\n"),
                "{name}"
            );
        }
        assert_eq!(system.svcprop(&["-cqp", "config/gone", "site/a"]).status, 1);
        assert_eq!(value(&system, "general/enabled"), "true\n");
    }
}

#[test]
fn a_manifest_may_change_types() {
    let system = System::start();
    import(&system, &config(&[("n", "astring", "'1'"), ("m", "astring", "'1'")]));
    system.svccfg(&["-s", "site/a", "setprop", "config/m", "=", "mine"]).ok();
    let conflict = import(&system, &config(&[("n", "count", "'1'"), ("m", "count", "'1'")]));
    assert!(conflict.contains("config/m of svc:/site/a was changed here"), "{conflict}");
    let types = system.svcprop(&["-ctp", "config", "site/a"]).ok();
    assert_eq!(types, "config/m astring mine\nconfig/n count 1\n");

    let group = |ty: &str| {
        xml(&format!(
            "<property_group name='g' type='{ty}'><propval name='p' type='count' value='1'/></property_group>"
        ))
    };
    import(&system, &group("application"));
    assert_eq!(import(&system, &group("framework")), "", "nobody has touched it");
    system.svccfg(&["-s", "site/a", "setprop", "g/p", "=", "2"]).ok();
    let conflict = import(&system, &group("application"));
    assert!(conflict.contains("g of svc:/site/a has type framework here"), "{conflict}");
}

#[test]
fn a_group_marked_for_deletion_goes_even_if_edited() {
    let system = System::start();
    import(&system, &config(&[("n", "count", "'1'")]));
    system.svccfg(&["-s", "site/a", "setprop", "config/n", "=", "2"]).ok();
    import(&system, &xml("<property_group name='config' type='application' delete='true'/>"));
    assert_eq!(system.svcprop(&["-cqp", "config", "site/a"]).status, 1);
}

#[test]
fn a_dependent_is_put_on_its_target_and_taken_back() {
    let system = System::start();
    let group = |target: &str| {
        let fmri = Fmri::parse(target).unwrap();
        system.repo().pg(&fmri, "a_user", &View::Direct).unwrap()
    };
    import(&system, &dependent("svc:/site/user:default", "none", ""));
    let there = group("svc:/site/user:default").unwrap();
    assert_eq!(there.first("entities"), Some("svc:/site/a"));
    assert_eq!(there.first("external"), Some("true"));
    let export = system.svccfg(&["export", "site/a"]).ok();
    assert!(export.contains("<dependent name='a_user' grouping='require_all'"), "{export}");
    assert!(!system.svccfg(&["export", "site/user"]).ok().contains("a_user"), "it is site/a's");

    import(&system, &dependent("svc:/site/user:default", "restart", ""));
    assert_eq!(group("svc:/site/user:default").unwrap().first("restart_on"), Some("restart"));
    let edit = ["-s", "site/user:default", "setprop", "a_user/restart_on", "=", "error"];
    system.svccfg(&edit).ok();
    let conflict = import(&system, &dependent("svc:/site/user:default", "refresh", ""));
    assert!(conflict.contains("a_user/restart_on of svc:/site/user:default was changed here"));
    assert_eq!(group("svc:/site/user:default").unwrap().first("restart_on"), Some("error"));
    import(&system, &dependent("svc:/site/user:default", "refresh", "override='true'"));
    assert_eq!(group("svc:/site/user:default").unwrap().first("restart_on"), Some("refresh"));

    import(&system, &dependent("svc:/site/other", "refresh", ""));
    assert_eq!(group("svc:/site/user:default"), None, "moved");
    assert!(group("svc:/site/other").is_some());
    import(&system, &dependent("svc:/site/other", "none", "delete='true'"));
    assert_eq!(group("svc:/site/other"), None);
    import(&system, &dependent("svc:/site/other", "none", ""));
    import(&system, &xml(""));
    assert_eq!(group("svc:/site/other"), None, "no longer in the manifest");
}

#[test]
fn a_dependent_takes_nobody_elses_name() {
    let system = System::start();
    let user = "service = \"site/user\"\n[dependency.a_user]\ngrouping = \"require_all\"\n\
                restart_on = \"none\"\nentities = [\"svc:/x\"]\n[instance.default]\nenabled = true\n";
    import(&system, user);
    let file = system.write("a", &dependent("svc:/site/user", "none", ""));
    let error = system.svccfg(&["import", &file]).failed();
    let expected = "Could not create \"a_user\" dependency in svc:/site/user (already exists).";
    assert_eq!(error, format!("svccfg: {expected}\n"));
    assert_eq!(system.svccfg(&["list", "site/a"]).ok(), "", "nothing is half imported");
}

#[test]
fn what_is_wrong_in_xml_is_said_with_its_place() {
    let system = System::start();
    let file = system.write("bad.xml", &xml("<property_group name='g' type='a' colour='1'/>"));
    let expected =
        format!("svccfg: {file}, line 6, column 1: <property_group>: unknown attribute colour\n");
    assert_eq!(system.svccfg(&["validate", &file]).failed(), expected);
    assert_eq!(system.svccfg(&["import", &file]).failed(), expected);
    let file = system.write("profile.xml", "<service_bundle type='profile' name='p'/>");
    let error = system.svccfg(&["import", &file]).failed();
    assert_eq!(error, format!("svccfg: {file} is a profile, not a manifest\n"));
    assert_eq!(system.svccfg(&["list"]).ok(), "");
}

#[test]
fn services_go_with_their_manifest() {
    let system = System::start();
    let folder = system.path().join("manifests");
    let both = xml("")
        .replace("</service>\n", "</service><service name='site/b' version='1' type='service'/>");
    let file = system.write("manifests/a.xml", &both);
    let repo = system.repo();
    assert_eq!(import_new(&repo, &folder).unwrap().imported.len(), 2);
    assert!(import_new(&repo, &folder).unwrap().imported.is_empty());

    // The same service from another file: it stays.
    system.write("manifests/moved.xml", &xml(""));
    std::fs::remove_file(&file).unwrap();
    assert!(import_new(&repo, &folder).unwrap().removed.is_empty());
    assert_eq!(system.svccfg(&["list", "site/*"]).ok(), "site/a\n");

    std::fs::remove_file(folder.join("moved.xml")).unwrap();
    assert!(import_new(&repo, &folder).unwrap().removed.is_empty(), "an empty folder is no order");
    system.write("manifests/c.xml", &xml("").replace("site/a", "site/c"));
    let report = import_new(&repo, &folder).unwrap();
    assert_eq!(report.removed, [Fmri::parse("svc:/site/a:default").unwrap()]);
    assert_eq!(system.svccfg(&["list", "site/*"]).ok(), "site/c\n");
    system.write("manifests/moved.xml", &xml(""));
    assert_eq!(import_new(&repo, &folder).unwrap().imported.len(), 1, "forgotten, so new again");
}

#[test]
fn a_running_service_outlives_its_manifest_until_the_next_boot() {
    let system = System::start();
    let folder = system.path().join("manifests");
    let file = system.write("manifests/a.xml", &xml("").replace("'false'", "'true'"));
    let repo = system.repo();
    import_new(&repo, &folder).unwrap();
    system.svccfg(&["-s", "site/a:default", "addpg", "restarter", "framework", "P"]).ok();
    let state = ["-s", "site/a:default", "setprop", "restarter/state", "=", "astring:", "online"];
    system.svccfg(&state).ok();
    std::fs::remove_file(&file).unwrap();
    system.write("manifests/c.xml", &xml("").replace("site/a", "site/c"));
    assert!(import_new(&repo, &folder).unwrap().removed.is_empty());
    assert_eq!(value(&system, "general/enabled"), "false\n");
    system.svccfg(&["-s", "site/a:default", "delpg", "restarter"]).ok();
    assert_eq!(import_new(&repo, &folder).unwrap().removed.len(), 1);
}

#[test]
fn a_profile_customises_what_is_there() {
    let xml_profile = "<service_bundle type='profile' name='site'>\
        <service name='site/a' version='1' type='service'><property_group name='config' \
        type='application'><propval name='n' value='7'/></property_group>\
        <instance name='default' enabled='true'/><instance name='gone' enabled='true'/></service>\
        <service name='site/absent' version='1' type='service'/></service_bundle>";
    let toml_profile = "profile = \"site\"\n[service.\"site/a\".group.config.property]\n\
        n = { type = \"count\", value = 7 }\n[service.\"site/a\".instance.default]\nenabled = true\n\
        [service.\"site/a\".instance.gone]\nenabled = true\n[service.\"site/absent\"]\n";
    for text in [xml_profile, toml_profile] {
        let system = System::start();
        import(&system, &config(&[("n", "count", "'1'"), ("m", "count", "'1'")]));
        let profile = load(system.write("profile", text).as_ref()).unwrap();
        let repo = system.repo();
        let fmris = |names: &[&str]| names.iter().map(|n| Fmri::parse(n).unwrap()).collect();
        let expected = Applied {
            applied: fmris(&["svc:/site/a", "svc:/site/a:default"]),
            absent: fmris(&["svc:/site/a:gone", "svc:/site/absent"]),
        };
        assert_eq!(apply(&repo, &profile, true).unwrap(), expected);
        assert_eq!(value(&system, "config/n"), "1\n", "only looked at");
        assert_eq!(apply(&repo, &profile, false).unwrap(), expected);
        assert_eq!(system.svcprop(&["-p", "config/n", "site/a"]).ok(), "7\n", "published");
        assert_eq!(system.svcprop(&["-ctp", "config/n", "site/a"]).ok(), "config/n count 7\n");
        assert_eq!(value(&system, "general/enabled"), "true\n");
        assert_eq!(system.svccfg(&["list", "site/absent"]).ok(), "");
    }
}

#[test]
fn a_profiles_value_must_fit_the_property() {
    let system = System::start();
    import(&system, &config(&[("n", "count", "'1'")]));
    let text = "<service_bundle type='profile' name='p'><service name='site/a' version='1' \
        type='service'><property_group name='config' type='application'><propval name='n' \
        value='much'/></property_group></service></service_bundle>";
    let profile = load(system.write("profile", text).as_ref()).unwrap();
    let error = apply(&system.repo(), &profile, false).unwrap_err().to_string();
    assert!(error.starts_with("svc:/site/a/:properties/config/n: Invalid \"count\""), "{error}");
}

#[test]
fn an_extract_takes_a_machines_own_to_another() {
    let system = System::start();
    let manifest = config(&[("n", "count", "'1'"), ("m", "count", "'1'")]);
    import(&system, &manifest);
    system.svccfg(&["-s", "site/a", "setprop", "config/n", "=", "5"]).ok();
    system.svccfg(&["-s", "site/a:default", "setprop", "general/enabled", "=", "true"]).ok();
    let profile = extract(&system.repo(), Layer::Admin, Secrets::Omit).unwrap();
    let text = svc::manifest::to_xml(&profile).unwrap();
    assert!(text.contains("type='profile' name='extract'"), "{text}");
    assert!(text.contains("name='n' type='count' value='5'") && !text.contains("'m'"), "{text}");
    assert_eq!(parse_bundle(&profile_to_toml(&profile)).unwrap(), profile);

    let other = System::start();
    import(&other, &manifest);
    let profile = load(other.write("extract.xml", &text).as_ref()).unwrap();
    apply(&other.repo(), &profile, false).unwrap();
    assert_eq!(other.svccfg(&["export", "site/a"]).ok(), system.svccfg(&["export", "site/a"]).ok());
}
