//! Marks, milestones, and services that are tried for ever.

use svc::fmri::Fmri;
use svc::repo::{Change, View};
use svc::value::PropType;

use crate::fixture::{System, lives, wait_for};
use crate::{daemon, needs, service};

const MASTER: &str = "svc:/system/svc/restarter:default";

/// Goes to a milestone, as svcadm does.
fn go(system: &System, milestone: &str) {
    let fmri = Fmri::parse(MASTER).unwrap();
    let (pg, ty) = ("options_ovr".to_owned(), "framework".to_owned());
    let group = Change::AddPg { fmri: fmri.clone(), pg: pg.clone(), ty, persistent: false };
    let (prop, ty, values) =
        ("milestone".to_owned(), PropType::Astring, vec![milestone.to_owned()]);
    let set = Change::SetProp { fmri, pg, prop, ty, values };
    system.repo.commit(vec![group, set]).unwrap();
}

#[test]
fn an_immediate_mark_leaves_the_processes_to_themselves() {
    for action in ["maint_on_immediate", "maint_on_immtemp"] {
        let system = System::with(&[
            &daemon("a", ""),
            &daemon("b", &needs(&["a"], "require_all", "restart")),
        ]);
        system.wait_until("b", "online");
        let [a, b] = ["a", "b"].map(|name| system.pid(name));
        system.request("a", action);
        system.wait_until("a", "maintenance");
        system.wait_until("b", "offline");
        assert_eq!(system.reason("a"), "administrative_request");
        assert!(lives(a) && !lives(b));
        assert_eq!(system.property("a", "restarter", "contract"), None);
        assert!(!system.log("a").contains("Executing stop method"), "{}", system.log("a"));
        system.request("a", "maint_off");
        system.another_pid("a", a);
        system.wait_until("b", "online");
        assert!(lives(a));
    }
}

#[test]
fn other_marks_stop_the_service_or_call_it_degraded() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let pid = system.pid("a");
    for action in ["degraded", "degrade_immediate"] {
        system.request("a", action);
        system.wait_until("a", "degraded");
        assert_eq!(system.reason("a"), "administrative_request");
        system.request("a", "restore");
        system.wait_until("a", "online");
    }
    assert!(lives(pid));
    system.request("a", "maint_on_temporary");
    system.wait_until("a", "maintenance");
    assert!(!lives(pid));
}

#[test]
fn a_service_that_asks_for_maintenance_is_named() {
    let system = System::with(&[&daemon("a", "")]);
    system.wait_until("a", "online");
    let fmri = Fmri::parse("svc:/a:default").unwrap();
    let (pg, ty) = ("restarter_actions".to_owned(), "framework".to_owned());
    system.repo.commit(vec![Change::AddPg { fmri, pg, ty, persistent: false }]).unwrap();
    system.set("a", "restarter_actions", "auxiliary_tty", PropType::Boolean, "false");
    system.set("a", "restarter_actions", "auxiliary_fmri", PropType::Astring, "svc:/b:default");
    system.request("a", "maint_on");
    system.wait_until("a", "maintenance");
    assert_eq!(system.reason("a"), "service_request");
    let named = || system.property("a", "restarter", "auxiliary_fmri");
    wait_for("the name", || (named().as_deref() == Some("svc:/b:default")).then_some(()));
    assert!(system.log("a").contains("Stopping for maintenance due to service_request."));
}

#[test]
fn a_dump_comes_before_the_stop_method_and_is_no_fault() {
    let start = "/bin/sh -c '(trap \"echo dumped >>$SVC_ROOT/trace; exit\" ABRT; \
                 echo up >>\"$SVC_ROOT/trace\"; while :; do sleep 0.05; done) &'";
    let stop = "[method.stop]\nexec = \"\"\"/bin/sh -c 'until grep -q dumped \"$SVC_ROOT/trace\"; \
                do sleep 0.05; done'\"\"\"\ntimeout_seconds = 20\n";
    let system = System::with(&[&service("a", start, stop)]);
    system.wait_until("a", "online");
    wait_for("the first start", || system.read("trace").contains("up").then_some(()));
    let fmri = Fmri::parse("svc:/a:default").unwrap();
    system.repo.commit(svc::repo::actions::restart(&fmri, true)).unwrap();
    wait_for("another start", || (system.read("trace").matches("up").count() > 1).then_some(()));
    assert_eq!(system.read("trace"), "up\ndumped\nup\n");
    assert!(system.log("a").contains("Stopping because service restarting."));
}

#[test]
fn a_milestone_brings_down_what_it_does_not_need_and_all_brings_it_back() {
    let mut system = System::with(&[
        &daemon("base", ""),
        &daemon("ms", &needs(&["base"], "require_all", "none")),
        &daemon("other", &needs(&["base"], "require_all", "none")),
        &daemon("above", &needs(&["other"], "require_all", "none")),
    ]);
    for name in ["ms", "above"] {
        system.wait_until(name, "online");
    }
    let shown = system.repo.pg(&Fmri::parse(MASTER).unwrap(), "restarter", &View::Direct).unwrap();
    assert_eq!(shown.unwrap().first("state"), Some("online"));
    let [base, above] = ["base", "above"].map(|name| system.pid(name));
    go(&system, "svc:/ms:default");
    for name in ["other", "above"] {
        system.wait_until(name, "disabled");
    }
    assert!(lives(base) && !lives(above));
    // It holds for the next restarter, too.
    system.kill_startd();
    system.start_startd();
    system.enable("above", true);
    system.request("base", "restart");
    system.another_pid("base", base);
    system.wait_until("base", "online");
    assert_eq!(
        (system.state("other"), system.state("above")),
        ("disabled".into(), "disabled".into())
    );
    go(&system, "none");
    system.wait_until("ms", "disabled");
    system.wait_until("base", "disabled");
    go(&system, "all");
    for name in ["ms", "above"] {
        system.wait_until(name, "online");
    }
}

#[test]
fn what_is_tried_for_ever_is_never_given_up() {
    let forever = "[group.startd]\ntype = \"framework\"\n[group.startd.property]\n\
                   retry_forever = true\nretry_delay = { type = \"count\", value = 0 }\n\
                   retry_delay_max = { type = \"count\", value = 0 }\n";
    let start = "/bin/sh -c 'echo try >>\"$SVC_ROOT/tries\"; test -e \"$SVC_ROOT/well\" || exit 96; \
                 sleep 1000 & echo $! >\"$SVC_ROOT/a\"'";
    let slow = forever.replace("value = 0", "value = 3600");
    let system = System::with(&[
        &service("a", start, forever),
        &service("slow", "/bin/sh -c 'exit 1'", &slow),
    ]);
    wait_for("many tries", || (system.read("tries").lines().count() > 12).then_some(()));
    assert_ne!(system.state("a"), "maintenance");
    std::fs::write(system.path("well"), "").unwrap();
    system.wait_until("a", "online");
    wait_for("a pause", || (system.reason("slow") == "retry_pending").then_some(()));
    system.wait_until("slow", "offline");
    assert!(system.log("slow").contains("Failed.  Trying again in 3600 seconds."));
}
