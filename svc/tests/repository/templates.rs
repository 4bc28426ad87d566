//! Templates: what is told of what isn't as they say, and what they say.

use crate::fixture::System;

/// A manifest whose template wants a port; `body` are properties of `config`.
fn manifest(body: &str) -> String {
    format!(
        "<?xml version='1.0'?>\n<!DOCTYPE service_bundle SYSTEM \
         '/usr/share/lib/xml/dtd/service_bundle.dtd.1'>\n<service_bundle type='manifest' \
         name='test'>\n<service name='site/a' version='1' type='service'>\n\
         <create_default_instance enabled='false'/>\n\
         <property_group name='config' type='application'>{body}</property_group>\n\
         <template><common_name><loctext xml:lang='C'>a server</loctext></common_name>\
         <pg_pattern name='config' type='application' required='true'>\
         <description><loctext xml:lang='C'>settings of a</loctext></description>\
         <prop_pattern name='port' type='count' required='true'>\
         <common_name><loctext xml:lang='C'>port</loctext></common_name>\
         <description><loctext xml:lang='C'>where it\nlistens</loctext></description>\
         <visibility value='readwrite'/><cardinality min='1' max='1'/>\
         <values><value name='80'><common_name><loctext xml:lang='C'>www</loctext></common_name>\
         </value></values><constraints><range min='1' max='1023'/></constraints>\
         </prop_pattern><prop_pattern name='host' type='hostname'/></pg_pattern></template>\n\
         </service>\n</service_bundle>\n"
    )
}

const GOOD: &str = "<propval name='port' type='count' value='80'/>";
const BAD: &str = "<propval name='port' type='count' value='8080'/>";
const COMPLAINT: &str = "Property \"config/port\" has the illegal value \"8080\": \
                         svc:/site/a:default (template of svc:/site/a)\n";

#[test]
fn imports_warn_or_are_refused() {
    let system = System::start();
    let file = system.write("a.xml", &manifest(BAD));
    let refused = system.svccfg(&["import", "-V", &file]).failed();
    assert_eq!(refused, format!("svccfg: {COMPLAINT}svccfg: Import of {file} failed.\n"));
    assert_eq!(system.svccfg(&["list"]).ok(), "");
    let done = system.svccfg(&["import", &file]);
    assert_eq!((done.status, done.err), (0, format!("svccfg: Warning: {COMPLAINT}")));
    assert_eq!(system.svccfg(&["list"]).ok(), "site/a\n");
    let file = system.write("a.xml", &manifest(GOOD));
    system.svccfg(&["import", "-V", &file]).ok();
}

#[test]
fn files_and_instances_are_validated() {
    let system = System::start();
    let (good, bad) =
        (system.write("good.xml", &manifest(GOOD)), system.write("bad.xml", &manifest(BAD)));
    system.svccfg(&["validate", &good]).ok();
    system.svccfg(&["validate", &format!("file:{good}")]).ok();
    let said = system.svccfg(&["validate", &bad]).failed();
    assert_eq!(said, format!("svccfg: {COMPLAINT}svccfg: Validation of {bad} failed.\n"));
    assert!(system.svccfg(&["validate", "/none.xml"]).failed().contains("/none.xml: No such file"));
    assert!(system.svccfg(&["validate"]).failed().contains("Instance not selected."));
    system.svccfg(&["import", &good]).ok();
    for name in ["a", "site/a", "svc:/site/a:default"] {
        system.svccfg(&["validate", name]).ok();
    }
    // It is what runs that is checked, or what is selected.
    let run = |line: &str| system.shell(&format!("svccfg -s a:default {line}"));
    run("addpg config application").ok();
    run("setprop config/port = 8080").ok();
    run("validate").ok();
    run("refresh").ok();
    let failed = format!("svccfg: {COMPLAINT}svccfg: Validation of svc:/site/a:default failed.\n");
    assert_eq!(run("validate").failed(), failed);
    assert_eq!(run("validate a").failed(), failed);
    let script = "select a:default\nselectsnap initial\nvalidate\n";
    system.svccfg(&["-f", &system.write("script", script)]).ok();
    system.svccfg(&["-s", "svc:/site/a", "delprop", "config/port"]).ok();
    run("delpg config").ok();
    run("refresh").ok();
    assert!(
        run("validate").failed().contains("Required property \"config/port\" is missing: svc:/")
    );
}

#[test]
fn a_template_gives_the_type_and_explains() {
    let system = System::start();
    system.svccfg(&["import", &system.write("a.xml", &manifest(GOOD))]).ok();
    let run = |line: &str| system.shell(&format!("svccfg -s svc:/site/a {line}"));
    run("setprop config/host = example.org").ok();
    assert_eq!(run("listprop config/host").ok(), "config/host  hostname  example.org\n");
    assert!(run("setprop config/else = 1").failed().contains("Type required for new properties."));
    run("delprop config/host").ok();
    assert_eq!(
        run("describe config").ok(),
        "config  application\nconfig/port  count  80\n    port\n"
    );
    assert_eq!(
        run("describe -v config").ok(),
        "config  application\n    settings of a\nconfig/port  count  80\n    port\n    \
         where it listens\n    required: true\n    visibility: readwrite\n    \
         minimum number of values: 1\n    maximum number of values: 1\n    value: 80  www\n    \
         value constraints: 1-1023\n"
    );
    assert_eq!(
        run("describe -t config").ok(),
        "config  application\nconfig/host  hostname\nconfig/port  count\n    port\n"
    );
    assert!(run("describe").ok().starts_with("svc:/site/a  a server\n"));
}
