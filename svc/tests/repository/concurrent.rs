//! Several administrators at once: no edit of one undoes another's.

use std::thread;

use svc::fmri::Fmri;
use svc::repo::{Change, RepoError, View};
use svc::value::PropType;

use crate::fixture::System;

const PROPERTY: &str = "config/dom0-min-mem";

#[test]
fn values_added_at_once_are_all_there() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend", "setprop", "config/hosts", "=", "astring:", "()"]).ok();
    thread::scope(|scope| {
        for number in 0..8 {
            let system = &system;
            scope.spawn(move || {
                let value = format!("h{number}");
                system.svccfg(&["-s", "xend", "addpropvalue", "config/hosts", &value]).ok();
            });
        }
    });
    let hosts = system.svcprop(&["-cp", "config/hosts", "xend"]).ok();
    let mut hosts: Vec<&str> = hosts.split_whitespace().collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"]);
}

#[test]
fn whoever_was_slower_decides_again() {
    let system = System::with_xend();
    let (repo, other) = (system.repo(), system.repo());
    let fmri = Fmri::parse("svc:/system/xvm/xend").unwrap();
    let set = |value: String| Change::SetProp {
        fmri: fmri.clone(),
        pg: "config".into(),
        prop: "dom0-min-mem".into(),
        ty: PropType::Integer,
        values: vec![value],
    };
    let mut read = Vec::new();
    let added = repo.edit(|| -> Result<_, RepoError> {
        let group = repo.pg(&fmri, "config", &View::Direct)?.unwrap();
        let value: u64 = group.first("dom0-min-mem").unwrap().parse().unwrap();
        read.push(value);
        if read.len() == 1 {
            other.commit(vec![set("500".to_owned())])?;
        }
        Ok((vec![set((value + 1).to_string())], value + 1))
    });
    assert_eq!((added.unwrap(), read.as_slice()), (501, &[196, 500][..]));
    assert_eq!(system.svcprop(&["-cp", PROPERTY, "xend"]).ok(), "501\n");
}

/// Whichever comes first: what the administrator sets while a manifest is imported stays.
#[test]
fn an_import_undoes_no_edit_of_the_same_moment() {
    const ROUNDS: usize = 12;
    let system = System::start();
    let manifest = |done: usize| {
        let value = |round| if round < done { "new" } else { "old" };
        let lines = (0..ROUNDS).map(|round| format!("p{round} = \"{}\"\n", value(round)));
        let text: String = lines.collect();
        system.write(
            "m.toml",
            &format!("service = \"a\"\n[group.config.property]\n{text}[instance.default]\n"),
        )
    };
    system.svccfg(&["import", &manifest(0)]).ok();
    for round in 0..ROUNDS {
        let file = manifest(round + 1);
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(system.svccfg(&["import", &file]).status, 0));
            let name = format!("config/p{round}");
            system.svccfg(&["-s", "svc:/a", "setprop", &name, "=", "mine"]).ok();
        });
        let value = system.svcprop(&["-cp", &format!("config/p{round}"), "a"]).ok();
        assert_eq!(value, "mine\n", "round {round}");
    }
}

/// The editor is where an hour passes: here another administrator is faster in it.
#[test]
fn an_editor_left_open_undoes_nothing() {
    let system = System::with_xend();
    let edit = |other: &str| {
        let script = format!(
            "#!/bin/sh\nsvccfg -s xend {other} || exit 1\n\
             sed -i 's/^# setprop config\\/dom0-min-mem.*/\
             setprop config\\/dom0-min-mem = integer: 77\\n\
             setprop config\\/enable-dump = boolean: true/' \"$1\"\n"
        );
        let editor = system.write("editor", &script);
        system.shell(&format!("VISUAL='sh {editor}' svccfg -s xend editprop"))
    };
    let said = edit("setprop config/dom0-min-mem = 500").failed();
    assert!(said.contains("was changed meanwhile"), "{said}");
    assert_eq!(system.svcprop(&["-cp", PROPERTY, "xend"]).ok(), "500\n");
    let kept = said.trim_end().trim_end_matches('.').rsplit(' ').next().unwrap();
    let text = std::fs::read_to_string(kept).unwrap();
    assert!(text.contains("\nsetprop config/dom0-min-mem = integer: 77\n"), "{text}");
    std::fs::remove_file(kept).unwrap();
    // Another group's change is no reason, and neither are one's own.
    edit("addpg other application").ok();
    assert_eq!(system.svcprop(&["-cp", PROPERTY, "xend"]).ok(), "77\n");
    assert_eq!(system.svcprop(&["-cp", "config/enable-dump", "xend"]).ok(), "true\n");
}
