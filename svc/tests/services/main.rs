//! `svc.startd` from outside, with real processes, in a private root.

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod context;
mod deaths;
mod delegated;
mod dependencies;
mod fixture;
mod health;
mod logs;
mod methods;
mod modes;
mod phases;
mod requests;
mod survival;
mod svcadm;
mod svcs;
#[path = "../common/terminal.rs"]
mod terminal;
mod watch;

/// A service whose start method leaves one process behind, whose id is in the file of its name.
/// `more` is the rest of the manifest.
fn daemon(name: &str, more: &str) -> String {
    let exec = format!("/bin/sh -c 'sleep 1000 & echo $! >\"$SVC_ROOT/{name}\"'");
    service(name, &exec, more)
}

/// A service that is started by `start`.
fn service(name: &str, start: &str, more: &str) -> String {
    let stop = if more.contains("[method.stop]") {
        ""
    } else {
        "[method.stop]\nexec = \":kill\"\ntimeout_seconds = 20\n"
    };
    format!(
        "service = \"{name}\"\n[method.start]\nexec = \"\"\"{start}\"\"\"\ntimeout_seconds = 20\n\
         {stop}[instance.default]\nenabled = true\n{more}"
    )
}

/// A dependency of a service on others.
fn needs(others: &[&str], grouping: &str, restart_on: &str) -> String {
    let entities: Vec<String> = others.iter().map(|name| format!("\"svc:/{name}\"")).collect();
    format!(
        "[dependency.{}]\ngrouping = \"{grouping}\"\nrestart_on = \"{restart_on}\"\n\
         entities = [{}]\n",
        others.join("-"),
        entities.join(", ")
    )
}

fn transient() -> &'static str {
    "[group.startd]\ntype = \"framework\"\n[group.startd.property]\nduration = \"transient\"\n"
}

fn child() -> &'static str {
    "[group.startd]\ntype = \"framework\"\n[group.startd.property]\nduration = \"child\"\n"
}
