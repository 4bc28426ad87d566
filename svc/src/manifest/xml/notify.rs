//! `notification_parameters`: which events of a service are told to whom.

use super::element::{Element, Result};
use super::entity::{Place, checked, enter, flag_property, set};
use crate::fmri::Fmri;
use crate::manifest::Level;
use crate::value::PropType::Astring;
use crate::value::{Property, PropertyGroup};

/// The type of the groups.
const NOTIFY_PARAMS: &str = "notify_params";
/// Where the preferences for events of fault management are.
const FAULT_EVENTS: &str = "svc:/system/fm/notify-params:default";
/// What the group of such an event ends in.
const FAULT_SUFFIX: &str = "fmnotify";
/// Short names of events of fault management.
const FAULT_TAGS: [(&str, &str); 4] = [
    ("problem-diagnosed", "list.suspect"),
    ("problem-updated", "list.updated"),
    ("problem-repaired", "list.repaired"),
    ("problem-resolved", "list.resolved"),
];
/// The states that a service comes from and goes to.
const STATES: [&str; 6] =
    ["uninitialized", "maintenance", "offline", "disabled", "online", "degraded"];

pub fn parameters(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    element.allow(&[])?;
    let (events, types): (Vec<_>, Vec<_>) =
        element.children()?.into_iter().partition(|child| child.name() == "event");
    let [event] = events.as_slice() else {
        return Err(element.error("exactly one event is expected"));
    };
    event.allow(&["value"])?;
    event.childless()?;
    for pg in groups_of(*event, place.fmri)? {
        let group = enter(element, level, &pg, NOTIFY_PARAMS)?;
        for child in &types {
            preference(*child, group)?;
        }
    }
    Ok(())
}

/// The property groups that stand for the events of a list separated by commas.
fn groups_of(event: Element<'_, '_>, fmri: &Fmri) -> Result<Vec<String>> {
    let tokens: Vec<&str> = event.required("value")?.split(',').map(str::trim).collect();
    let transitions: Option<Vec<Vec<String>>> =
        tokens.iter().map(|token| transitions(token)).collect();
    if let Some(found) = transitions {
        let mut groups = found.concat();
        groups.sort();
        groups.dedup();
        return Ok(groups);
    }
    let faults: Option<Vec<String>> = tokens.iter().map(|token| fault(token)).collect();
    match faults {
        Some(_) if fmri.to_string() != FAULT_EVENTS => {
            let message = format!("events that are no state transition belong to {FAULT_EVENTS}");
            Err(event.error(message))
        }
        Some(groups) => Ok(groups),
        None if tokens.iter().all(|t| transitions_or_fault(t)) => {
            Err(event.error("state transitions and other events can't be mixed"))
        }
        None => Err(event.error("unknown event; to-online, from-maintenance, ... are known")),
    }
}

fn transitions_or_fault(token: &str) -> bool {
    transitions(token).is_some() || fault(token).is_some()
}

/// The groups for `to-STATE`, `from-STATE`, or `STATE` for both.
fn transitions(token: &str) -> Option<Vec<String>> {
    let (directions, state): (&[&str], &str) = match token.split_once('-') {
        Some(("to", state)) => (&["to"], state),
        Some(("from", state)) => (&["from"], state),
        _ => (&["to", "from"], token),
    };
    let states: Vec<&str> =
        STATES.into_iter().filter(|known| state == "all" || state == *known).collect();
    let name = |direction: &&str| {
        let direction = (*direction).to_owned();
        states.iter().map(move |state| format!("{direction}-{state}")).collect::<Vec<_>>()
    };
    (!states.is_empty()).then(|| directions.iter().flat_map(name).collect())
}

fn fault(token: &str) -> Option<String> {
    let tagged = FAULT_TAGS.iter().find(|(tag, _)| *tag == token).map(|(_, class)| *class);
    let is_class = token.starts_with("list.") || token.starts_with("ireport.");
    let class = tagged.or(is_class.then_some(token))?;
    Some(format!("{class},{FAULT_SUFFIX}"))
}

/// One way of telling people: its parameters are named after it.
fn preference(element: Element<'_, '_>, group: &mut PropertyGroup) -> Result<()> {
    element.expect("type", &["name", "active"])?;
    let way = element.required("name")?;
    for child in element.children()? {
        let property = match child.name() {
            "paramval" => {
                child.allow(&["name", "value"])?;
                child.childless()?;
                checked(child, Astring, &[child.required("value")?])?
            }
            "parameter" => parameter(child)?,
            _ => return Err(child.unexpected()),
        };
        set(child, group, &format!("{way},{}", child.required("name")?), property)?;
    }
    let active = element.flag("active")?.unwrap_or(true);
    set(element, group, &format!("{way},active"), flag_property(active))
}

fn parameter(element: Element<'_, '_>) -> Result<Property> {
    element.allow(&["name"])?;
    let mut values = Vec::new();
    for node in element.children()? {
        node.expect("value_node", &["value"])?;
        node.childless()?;
        values.push(node.required("value")?);
    }
    checked(element, Astring, &values)
}
