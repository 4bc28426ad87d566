//! svccfg's commands for profiles and whole repositories, and its editor.

use crate::fixture::System;

/// A profile of what was changed is applied to another repository.
#[test]
fn what_was_customised_is_carried_to_another_host() {
    let one = System::with_xend();
    one.svccfg(&["-s", "xend", "setprop", "config/dom0-min-mem", "=", "9000"]).ok();
    for option in ["", "-t"] {
        let words: Vec<&str> = ["extract", option].into_iter().filter(|w| !w.is_empty()).collect();
        let profile = one.svccfg(&words).ok();
        assert!(profile.contains("9000"), "{profile}");
        let other = System::with_xend();
        let file = other.write("profile", &profile);
        let port = ["-s", "xend", "listprop", "config/dom0-min-mem"];
        let told = other.svccfg(&["apply", "-n", &file]).ok();
        assert!(told.contains("system/xvm/xend would change\n"), "{told}");
        assert!(!other.svccfg(&port).ok().contains("9000"), "a dry run changed something");
        other.svccfg(&["apply", &file]).ok();
        assert!(other.svccfg(&port).ok().contains("9000"));
    }
    let file = one.write("manifest.toml", "service = \"a\"\n[instance.default]\n");
    let said = one.svccfg(&["apply", &file]).failed();
    assert!(said.contains("is a manifest"), "{said}");
}

#[test]
fn bundles_include_others() {
    let system = System::with_xend();
    let bundle = |kind: &str, body: &str| {
        format!(
            "<?xml version='1.0'?>\n<service_bundle type='{kind}' name='a' \
             xmlns:xi='http://www.w3.org/2003/XInclude'>\n{body}\n</service_bundle>\n"
        )
    };
    let settings = |memory: &str| {
        let body = format!(
            "<service name='system/xvm/xend' type='service' version='1'><property_group \
             name='config' type='application'><propval name='dom0-min-mem' type='integer' \
             value='{memory}'/></property_group></service>"
        );
        bundle("profile", &body)
    };
    system.write("etc/inner.xml", &settings("77"));
    let whole = "<xi:include href='file:/etc/inner.xml'/>";
    let optional = "<xi:include href='none.xml'><xi:fallback/></xi:include>";
    let outer = system.write("outer.xml", &bundle("profile", &format!("{whole}{optional}")));
    system.svccfg(&["apply", &outer]).ok();
    let memory = system.svccfg(&["-s", "xend", "listprop", "config/dom0-min-mem"]).ok();
    assert!(memory.ends_with(" 77\n"), "{memory}");
    system.write("again.xml", &bundle("profile", "<xi:include href='again.xml'/>"));
    system.write("other.xml", &bundle("manifest", ""));
    for (body, complaint) in [
        ("<xi:include href='none.xml'/>", "none.xml: No such file or directory"),
        ("<xi:include href='http://x.example/'/>", "\"http://x.example/\": is no file"),
        ("<xi:include href='again.xml'/>", "include each other"),
        ("<xi:include href='other.xml'/>", "other.xml is a manifest, not a profile"),
        ("<xi:include href='etc/inner.xml'/><xi:include href='etc/inner.xml'/>", "twice"),
    ] {
        let outer = system.write("outer.xml", &bundle("profile", body));
        let said = system.svccfg(&["apply", &outer]).failed();
        assert!(said.contains(complaint), "{said}");
    }
}

#[test]
fn files_tell_what_they_hold() {
    let system = System::with_xend();
    let file = system.write("copy.xml", &system.svccfg(&["export", "xend"]).ok());
    let listed = system.svccfg(&["inventory", &file]).ok();
    assert_eq!(listed, "svc:/system/xvm/xend:default\nsvc:/system/xvm/xend\n");
    let archive = system.svccfg(&["archive"]).ok();
    assert!(
        archive.contains("type=\"archive\"") || archive.contains("type='archive'"),
        "{archive}"
    );
    assert!(archive.contains("system/xvm/xend"), "{archive}");
    let said = system.svccfg(&["inventory", "/no/such/file"]).failed();
    assert!(said.contains("/no/such/file: No such file or directory"), "{said}");
}

#[test]
fn the_editors_text_is_done() {
    let system = System::with_xend();
    let editor = system.write(
        "editor",
        "#!/bin/sh\nsed -i 's/^# setprop config\\/dom0-min-mem.*/\
         setprop config\\/dom0-min-mem = integer: 77/' \"$1\"\n",
    );
    system.shell(&format!("VISUAL='sh {editor}' svccfg -s xend editprop")).ok();
    let port = system.svccfg(&["-s", "xend", "listprop", "config/dom0-min-mem"]).ok();
    assert!(port.contains("77"), "{port}");
    let said = system.shell("VISUAL=false svccfg -s xend editprop").failed();
    assert!(said.contains("nothing is done"), "{said}");
}

#[test]
fn what_templates_say_is_shown() {
    let system = System::with_xend();
    let told = system.svccfg(&["-s", "xend", "describe"]).ok();
    assert!(told.starts_with("svc:/system/xvm/xend\n"), "{told}");
    assert!(told.contains("\nconfig/dom0-min-mem  integer  "), "{told}");
    let one = system.svccfg(&["-s", "xend", "describe", "config/dom0-min-mem"]).ok();
    assert_eq!(one.lines().count(), 1, "{one}");
    system.svccfg(&["describe"]).failed();
}
