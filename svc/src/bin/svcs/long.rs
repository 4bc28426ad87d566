//! `svcs -l`: everything about an instance (svcs(1)).

use std::fmt::{Display, Write};

use svc::clock;
use svc::fmri::Fmri;
use svc::host::{Host, Instance};
use svc::restarter::engine::{Dependency, Entity, RestartOn};
use svc::template::Templates;

use crate::graph::grouping_name;
use crate::pending::Pending;
use crate::processes::Process;

/// What `-l` prints of an instance. `processes` if they are wanted, application groups if
/// `verbose`.
pub fn text(
    host: &Host,
    (fmri, instance): (&Fmri, &Instance),
    pending: &Pending,
    processes: &[Process],
    verbose: bool,
) -> String {
    let mut text = String::new();
    let mut add = |label: &str, value: &dyn Display| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:13}{value}");
    };
    add("fmri", fmri);
    instance.common_name().iter().for_each(|name| add("name", name));
    let temporary = if instance.is_temporary() { " (temporary)" } else { "" };
    add("enabled", &format_args!("{}{temporary}", instance.is_enabled()));
    instance.comment().iter().for_each(|comment| add("comment", comment));
    let state = instance.first("restarter", "state");
    let next = instance.first("restarter", "next_state");
    add("state", &state.unwrap_or("-"));
    add("next_state", &next.unwrap_or("none"));
    instance.since().iter().for_each(|since| add("state_time", &clock::long(*since)));
    for prop in ["alt_logfile", "logfile"] {
        instance.first("restarter", prop).iter().for_each(|path| add(prop, path));
    }
    add("restarter", &instance.restarter());
    let contracts: String = instance.contracts().iter().map(|id| format!("{id} ")).collect();
    if !contracts.is_empty() {
        add("contract_id", &contracts);
    }
    for group in &instance.dependencies {
        add("dependency", &dependency(host, group));
    }
    for (what, properties) in [
        ("edited, not refreshed", &pending.edited),
        ("refreshed, not restarted", &pending.refreshed),
    ] {
        if !properties.is_empty() {
            add("changes", &format_args!("{what}: {}", properties.join(" ")));
        }
    }
    for process in processes {
        add("process", &format_args!("{} {}", process.pid, process.arguments));
    }
    if verbose {
        text.push_str(&application_groups(fmri, instance));
    }
    text
}

fn dependency(host: &Host, group: &Dependency) -> String {
    let grouping = grouping_name(group.grouping);
    let restart_on = match group.restart_on {
        RestartOn::None => "none",
        RestartOn::Error => "error",
        RestartOn::Restart => "restart",
        RestartOn::Refresh => "refresh",
    };
    let mut text = format!("{grouping}/{restart_on}");
    for entity in &group.entities {
        let _ = match entity {
            Entity::Service(name) => write!(text, " {name} ({})", service_state(host, name)),
            Entity::File(path) => {
                let state = match (host.has_file(path), host.unknown_files.contains(path)) {
                    (true, _) => "online",
                    (_, true) => "unknown",
                    _ => "absent",
                };
                write!(text, " file://localhost{} ({state})", path.display())
            }
        };
    }
    text
}

fn service_state<'a>(host: &'a Host, name: &'a Fmri) -> &'a str {
    let mut found = host.named(name);
    match (found.next(), found.next()) {
        (None, _) => "absent",
        (Some(_), Some(_)) => "multiple",
        (Some((_, one)), None) => one.state().map_or("uninitialized", |state| state.name()),
    }
}

/// The application groups and what templates say of them; what those hide is left out.
fn application_groups(fmri: &Fmri, instance: &Instance) -> String {
    let templates = Templates::composed(fmri, &instance.groups);
    let mut text = String::new();
    let groups = instance.groups.iter().filter(|(_, group)| group.ty == "application");
    for (pg, group) in groups {
        let about = templates.group(pg, &group.ty);
        let _ = writeln!(text, "{pg} ({})", group.ty);
        describe(&mut text, about.and_then(|about| about.description.as_ref()));
        for (name, property) in &group.props {
            let about = about.and_then(|about| about.property(name));
            if about.is_some_and(|about| about.visibility.as_deref() == Some("hidden")) {
                continue;
            }
            let values: String = property.values.iter().map(|value| format!("{value} ")).collect();
            let _ = writeln!(text, "{pg}/{name} ({}) = {values}", property.ty);
            describe(&mut text, about.and_then(|about| about.description.as_ref()));
        }
    }
    text
}

fn describe(text: &mut String, description: Option<&String>) {
    if let Some(description) = description {
        let _ = writeln!(text, "  {description}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};
    use svc::value::PropType;

    #[test]
    fn a_block_is_as_in_the_manual() {
        let xend = "system/xvm/xend";
        let mut host = Sample::default()
            .instance("system/xvm/store", "online", true)
            .instance(xend, "online", true)
            .set(xend, "restarter", PropType::Astring, "logfile", "/var/svc/log/x.log")
            .set(xend, "restarter", PropType::Count, "contract", "83")
            .set(xend, "tm_common_name", PropType::Ustring, "C", "Xen control daemon")
            .set(xend, "config", PropType::Integer, "dom0-min-mem", "196")
            .needs(xend, "require_all", "svc:/system/xvm/store")
            .needs(xend, "optional_all", "file://localhost/etc/xen")
            .needs(xend, "require_all", "file://localhost/root/x")
            .needs(xend, "require_any", "svc:/none")
            .host();
        let fmri = fmri(xend);
        let instance = host.instances.get_mut(&fmri).unwrap();
        instance.groups.get_mut("config").unwrap().ty = "application".to_owned();
        host.files.insert("/etc/xen".into());
        host.unknown_files.insert("/root/x".into());
        let instance = &host.instances[&fmri];
        let process = Process {
            pid: 812,
            start: None,
            name: "xend".to_owned(),
            arguments: "/usr/sbin/xend -v".to_owned(),
        };
        let since = clock::long(instance.since().unwrap());
        let expected = format!(
            "\
fmri         svc:/system/xvm/xend:default
name         Xen control daemon
enabled      true
state        online
next_state   none
state_time   {since}
logfile      /var/svc/log/x.log
restarter    svc:/system/svc/restarter:default
contract_id  83 
dependency   require_all/none svc:/system/xvm/store (online)
dependency   optional_all/none file://localhost/etc/xen (online)
dependency   require_all/none file://localhost/root/x (unknown)
dependency   require_any/none svc:/none (absent)
changes      edited, not refreshed: config/dom0-min-mem config/x
changes      refreshed, not restarted: config/y
process      812 /usr/sbin/xend -v
config (application)
config/dom0-min-mem (integer) = 196 
"
        );
        let pending = Pending {
            edited: vec!["config/dom0-min-mem".to_owned(), "config/x".to_owned()],
            refreshed: vec!["config/y".to_owned()],
        };
        assert_eq!(text(&host, (&fmri, instance), &pending, &[process], true), expected);
    }

    #[test]
    fn templates_explain_and_hide() {
        let astring = PropType::Astring;
        let mut host = Sample::default()
            .instance("a", "online", true)
            .set("a", "config", PropType::Count, "port", "80")
            .set("a", "config", astring, "secret", "x")
            .set("a", "tm_pgpatnt_config", astring, "name", "config")
            .set("a", "tm_pgpatnt_config", astring, "type", "application")
            .set("a", "tm_pgpatnt_config", astring, "target", "instance")
            .set("a", "tm_pgpatnt_config", astring, "description_C", "Settings.")
            .set("a", "tm_port", astring, "pg_pattern", "tm_pgpatnt_config")
            .set("a", "tm_port", astring, "name", "port")
            .set("a", "tm_port", astring, "description_C", "Where it\nlistens.")
            .set("a", "tm_secret", astring, "pg_pattern", "tm_pgpatnt_config")
            .set("a", "tm_secret", astring, "name", "secret")
            .set("a", "tm_secret", astring, "visibility", "hidden")
            .host();
        let fmri = fmri("a");
        let instance = host.instances.get_mut(&fmri).unwrap();
        for (pg, group) in &mut instance.groups {
            group.ty = match pg.as_str() {
                "config" => "application",
                "tm_pgpatnt_config" => "template_pg_pattern",
                _ => "template_prop_pattern",
            }
            .to_owned();
        }
        let text = application_groups(&fmri, &host.instances[&fmri]);
        let port = "config/port (count) = 80 \n  Where it listens.\n";
        assert_eq!(text, format!("config (application)\n  Settings.\n{port}"));
    }

    #[test]
    fn a_temporary_setting_shows_with_its_reason() {
        let host = Sample::default()
            .instance("a", "disabled", true)
            .set("a", "general_ovr", PropType::Boolean, "enabled", "false")
            .set("a", "general_ovr", PropType::Astring, "comment", "no hypervisor")
            .host();
        let fmri = fmri("a");
        let text = text(&host, (&fmri, &host.instances[&fmri]), &Pending::default(), &[], false);
        assert!(text.contains("enabled      false (temporary)\ncomment      no hypervisor\n"));
    }
}
