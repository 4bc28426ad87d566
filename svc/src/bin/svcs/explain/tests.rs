//! Blocks of `svcs -x` on made-up hosts.

use super::*;
use crate::sample::{Sample, fmri};
use svc::value::PropType;

const STORE: &str = "system/xvm/store";
const XEND: &str = "system/xvm/xend";
const DOMAINS: &str = "system/xvm/domains";

/// A disabled store, xend that needs it, domains that need xend.
fn sample() -> Sample {
    let page = "tm_man_xenstored8";
    Sample::default()
        .instance(STORE, "disabled", false)
        .set(STORE, "tm_common_name", PropType::Ustring, "C", "Xen store daemon")
        .set(STORE, page, PropType::Astring, "title", "xenstored")
        .set(STORE, page, PropType::Astring, "section", "8")
        .set(STORE, page, PropType::Astring, "manpath", "/usr/share/man")
        .set(STORE, "restarter", PropType::Astring, "logfile", "/var/svc/log/store.log")
        .instance(XEND, "offline", true)
        .needs(XEND, "require_all", "svc:/system/xvm/store")
        .instance(DOMAINS, "offline", true)
        .needs(DOMAINS, "require_all", "svc:/system/xvm/xend")
        .instance("other", "disabled", false)
}

fn since(host: &Host) -> String {
    clock::long(host.instances[&fmri(STORE)].since().unwrap())
}

#[test]
fn the_root_is_blamed_and_only_it() {
    let host = sample().host();
    let explanation = Explanation::new(&host);
    let store = fmri(STORE);
    assert_eq!(explanation.roots(), [&store]);
    let since = since(&host);
    let short = format!(
        "\
svc:/system/xvm/store:default (Xen store daemon)
 State: disabled since {since}
Reason: Disabled by an administrator.
   See: http://illumos.org/msg/SMF-8000-05
   See: xenstored(8)
   See: /var/svc/log/store.log
Impact: 2 dependent services are not running.  (Use -v for list.)
"
    );
    assert_eq!(explanation.block(&store, false), short);
    let verbose = explanation.block(&store, true);
    let end = "\
   See: man -M /usr/share/man -s 8 xenstored
   See: /var/svc/log/store.log
Impact: 2 dependent services are not running:
        svc:/system/xvm/domains:default
        svc:/system/xvm/xend:default
";
    assert!(verbose.ends_with(end), "{verbose}");
}

#[test]
fn who_waits_is_told_for_whom() {
    let host = sample().host();
    let since = since(&host);
    let expected = format!(
        "\
svc:/system/xvm/domains:default (?)
 State: offline since {since}
Reason: Service svc:/system/xvm/store:default is disabled.
   See: http://illumos.org/msg/SMF-8000-GE
  Path: svc:/system/xvm/domains:default
          svc:/system/xvm/xend:default
            svc:/system/xvm/store:default
Impact: This service is not running.
"
    );
    assert_eq!(Explanation::new(&host).block(&fmri(DOMAINS), true), expected);
    assert_eq!(
        reasons(&host, &fmri(DOMAINS)),
        ["Service svc:/system/xvm/store:default is disabled."]
    );
    let xend = Explanation::new(&host).block(&fmri(XEND), false);
    assert!(xend.ends_with("Impact: 1 dependent service is not running.  (Use -v for list.)\n"));
}

#[test]
fn nothing_wrong_is_no_root() {
    let host = Sample::default().instance("a", "online", true).instance("b", "disabled", false);
    let host = host.host();
    let explanation = Explanation::new(&host);
    assert!(explanation.roots().is_empty());
    assert!(explanation.block(&fmri("a"), false).ends_with("Impact: None.\n"));
}

#[test]
fn one_that_switched_itself_off_is_a_root() {
    let host = Sample::default()
        .instance("a", "disabled", true)
        .set("a", "general_ovr", PropType::Boolean, "enabled", "false")
        .set("a", "general_ovr", PropType::Astring, "comment", "no hypervisor")
        .host();
    assert_eq!(Explanation::new(&host).roots(), [&fmri("a")]);
}

#[test]
fn what_is_absent_makes_the_instance_itself_a_root() {
    let host = Sample::default()
        .instance("a", "offline", true)
        .needs("a", "require_all", "svc:/none")
        .needs("a", "require_all", "file://localhost/etc/none")
        .instance("b", "offline", true)
        .needs("b", "require_all", "svc:/a")
        .host();
    let explanation = Explanation::new(&host);
    assert_eq!(explanation.roots(), [&fmri("a")]);
    let block = explanation.block(&fmri("a"), false);
    for reason in [
        "Reason: Dependency svc:/none is absent.\n",
        "Reason: Dependency file://localhost/etc/none is absent.\n",
    ] {
        assert!(block.contains(reason), "{block}");
    }
    let other = explanation.block(&fmri("b"), false);
    assert_eq!(other.matches("Reason: ").count(), 1, "{other}");
    assert!(other.contains("Reason: Service svc:/a:default has missing dependencies.\n"));
}

#[test]
fn what_runs_against_the_wish_of_another_is_a_root() {
    let host = Sample::default()
        .instance("a", "offline", true)
        .needs("a", "exclude_all", "svc:/b")
        .instance("b", "online", true)
        .host();
    let explanation = Explanation::new(&host);
    assert_eq!(explanation.roots(), [&fmri("b")]);
    let block = explanation.block(&fmri("a"), true);
    let reason = "\
Reason: Service svc:/b:default is running.
   See: http://illumos.org/msg/SMF-8000-FJ
  Path: svc:/a:default
          svc:/b:default
";
    assert!(block.contains(reason), "{block}");
    let end = "Impact: 1 dependent service is not running:\n        svc:/a:default\n";
    assert!(explanation.block(&fmri("b"), true).ends_with(end));
}

#[test]
fn what_its_restarter_never_saw_hurts_nobody() {
    let host = Sample::default().set("a", "tm_common_name", PropType::Ustring, "C", "a").host();
    let explanation = Explanation::new(&host);
    assert!(explanation.roots().is_empty());
    assert!(explanation.block(&fmri("a"), false).contains(" State: uninitialized\nReason: "));
}

#[test]
fn the_service_that_asked_for_maintenance_is_named_with_its_log() {
    let astring = PropType::Astring;
    let host = Sample::default()
        .instance("a", "maintenance", true)
        .set("a", "restarter", astring, "auxiliary_state", "service_request")
        .set("a", "restarter", astring, "auxiliary_fmri", "svc:/b:default")
        .set("a", "tm_doc_x", PropType::Ustring, "uri", "http://x.example")
        .instance("b", "online", true)
        .set("b", "restarter", astring, "logfile", "/b.log")
        .host();
    let block = Explanation::new(&host).block(&fmri("a"), false);
    let reason = "\
Reason: Maintenance requested by \"svc:/b:default\"
   See: /b.log
   See: http://illumos.org/msg/SMF-8000-R4
   See: http://x.example
";
    assert!(block.contains(reason), "{block}");
}

#[test]
fn those_that_wait_for_each_other_end() {
    let host = Sample::default()
        .instance("a", "offline", true)
        .needs("a", "require_all", "svc:/b")
        .instance("b", "offline", true)
        .needs("b", "require_all", "svc:/a")
        .host();
    assert!(Explanation::new(&host).block(&fmri("a"), true).starts_with("svc:/a:default (?)\n"));
}

#[test]
fn who_excludes_what_waits_for_it_is_the_root() {
    let host = Sample::default()
        .instance("a", "offline", true)
        .needs("a", "exclude_all", "svc:/b")
        .instance("b", "offline", true)
        .needs("b", "require_all", "svc:/c")
        .instance("c", "offline", true)
        .needs("c", "require_all", "svc:/a")
        .host();
    let explanation = Explanation::new(&host);
    assert_eq!(explanation.roots(), [&fmri("a")]);
    let block = explanation.block(&fmri("a"), true);
    assert!(block.contains("Reason: Excludes svc:/b:default, which waits for it.\n"), "{block}");
    let end = "not running:\n        svc:/b:default\n        svc:/c:default\n";
    assert!(block.ends_with(end), "{block}");
    // Two that exclude each other wait for each other.
    let host = Sample::default()
        .instance("a", "offline", true)
        .needs("a", "exclude_all", "svc:/b")
        .instance("b", "offline", true)
        .needs("b", "exclude_all", "svc:/a")
        .host();
    assert_eq!(Explanation::new(&host).roots().len(), 2);
}

#[test]
fn long_lines_are_broken() {
    let long = fmri(&"a".repeat(70));
    assert!(blame(&long, "is disabled.").ends_with(":default\n        is disabled."));
    assert_eq!(blame(&fmri("a"), "is disabled."), "Service svc:/a:default is disabled.");
}
