//! Services and instances: from elements to property groups, as svccfg(8) makes them.

use super::element::{Element, Result};
use super::{notify, template};
use crate::fmri::Fmri;
use crate::manifest::{BundleKind, Dependent, Instance, Level, Manifest, words};
use crate::value::PropType::{self, Astring, Boolean, Count, Fmri as FmriType};
use crate::value::{Property, PropertyGroup};

/// What a service says of itself without the repository remembering it.
const SERVICE_TYPES: [&str; 3] = ["service", "restarter", "milestone"];

/// Where an element is, which decides what is allowed there.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub fmri: &'a Fmri,
    pub kind: BundleKind,
    pub is_restarter: bool,
}

pub fn service(element: Element<'_, '_>, kind: BundleKind) -> Result<Manifest> {
    element.allow(&["name", "version", "type"])?;
    let name = element.required("name")?;
    let service = Fmri::parse(&format!("svc:/{name}"))
        .ok()
        .filter(|fmri| !fmri.is_instance())
        .ok_or_else(|| element.error(format!("\"{name}\" is not a service name")))?;
    element.required("version")?;
    let ty = element.one_of("type", &SERVICE_TYPES)?;
    let place = Place { fmri: &service, kind, is_restarter: ty == "restarter" };
    let mut level = Level::default();
    let mut instances: Vec<Instance> = Vec::new();
    for child in element.children()? {
        let new = match child.name() {
            "create_default_instance" => default_instance(child)?,
            "instance" => instance(child, place)?,
            "single_instance" => {
                child.allow(&[])?;
                set(child, general(&mut level), "single_instance", flag_property(true))?;
                continue;
            }
            "stability" => {
                stability(child, general(&mut level), words::ENTITY_STABILITY)?;
                continue;
            }
            _ => {
                common(child, place, &mut level)?;
                continue;
            }
        };
        if instances.iter().any(|known| known.name == new.name) {
            return Err(child.error(format!("there are two instances \"{}\"", new.name)));
        }
        instances.push(new);
    }
    instances.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Manifest { service, level, instances })
}

fn default_instance(element: Element<'_, '_>) -> Result<Instance> {
    element.expect("create_default_instance", &["enabled"])?;
    element.childless()?;
    let mut level = Level::default();
    let enabled = element.one_of("enabled", &["true", "false"])? == "true";
    set(element, general(&mut level), words::ENABLED, flag_property(enabled))?;
    Ok(Instance { name: "default".to_owned(), level })
}

fn instance(element: Element<'_, '_>, place: Place<'_>) -> Result<Instance> {
    element.allow(&["name", "enabled"])?;
    let name = element.valid_name("name")?.to_owned();
    let fmri = place.fmri.with_instance(&name);
    let mut level = Level::default();
    match element.flag("enabled")? {
        Some(enabled) => {
            set(element, general(&mut level), words::ENABLED, flag_property(enabled))?;
        }
        // A profile may have nothing to say of it.
        None if place.kind == BundleKind::Profile => {}
        None => return Err(element.error("attribute enabled is missing")),
    }
    for child in element.children()? {
        common(child, Place { fmri: &fmri, ..place }, &mut level)?;
    }
    Ok(Instance { name, level })
}

/// What a service and an instance have in common.
fn common(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    match element.name() {
        "restarter" => restarter(element, level),
        "dependency" => dependency(element, place, level),
        "dependent" => dependent(element, place, level),
        "method_context" => {
            let group = enter(element, level, words::METHOD_CONTEXT, words::FRAMEWORK)?;
            method_context(element, group)
        }
        "exec_method" => exec_method(element, place, level),
        "notification_parameters" => notify::parameters(element, place, level),
        "property_group" => property_group(element, place, level),
        "template" if place.kind == BundleKind::Profile => {
            Err(element.error(format!("a profile can't change the template of {}", place.fmri)))
        }
        "template" => template::template(element, place, level),
        _ => Err(element.unexpected()),
    }
}

/// The group `name`, new or entered again: elements may add to the same group.
pub fn enter<'l>(
    element: Element<'_, '_>,
    level: &'l mut Level,
    name: &str,
    ty: &str,
) -> Result<&'l mut PropertyGroup> {
    element.check_name(name)?;
    if level.dependents.contains_key(name) {
        let message = format!("a property group and a dependent have the same name \"{name}\"");
        return Err(element.error(message));
    }
    let known = level.groups.entry(name.to_owned());
    let group = known.or_insert_with(|| PropertyGroup::new(ty));
    if group.ty != ty {
        let known = &group.ty;
        let message = format!("property group \"{name}\" is of type \"{known}\", not \"{ty}\"");
        return Err(element.error(message));
    }
    Ok(group)
}

/// A group that no other element may have begun.
pub fn create<'l>(
    element: Element<'_, '_>,
    level: &'l mut Level,
    name: &str,
    ty: &str,
) -> Result<&'l mut PropertyGroup> {
    if level.groups.contains_key(name) {
        return Err(element.error(format!("there are two property groups \"{name}\"")));
    }
    enter(element, level, name, ty)
}

fn general(level: &mut Level) -> &mut PropertyGroup {
    let group = level.groups.entry(words::GENERAL.to_owned());
    group.or_insert_with(|| PropertyGroup::new(words::FRAMEWORK))
}

/// Sets a property that may be set only once.
pub fn set(
    element: Element<'_, '_>,
    group: &mut PropertyGroup,
    name: &str,
    property: Property,
) -> Result<()> {
    element.check_name(name)?;
    match group.props.insert(name.to_owned(), property) {
        None => Ok(()),
        Some(_) => Err(element.error(format!("property \"{name}\" is given twice"))),
    }
}

pub fn flag_property(value: bool) -> Property {
    Property { ty: Boolean, values: vec![value.to_string()] }
}

pub fn checked(element: Element<'_, '_>, ty: PropType, values: &[&str]) -> Result<Property> {
    Property::new(ty, values).map_err(|error| element.error(error))
}

/// Sets a property to an attribute's value, if the attribute is there.
pub fn set_attribute(
    element: Element<'_, '_>,
    group: &mut PropertyGroup,
    name: &str,
    ty: PropType,
) -> Result<()> {
    match element.attribute(name) {
        Some(value) => set(element, group, name, checked(element, ty, &[value])?),
        None => Ok(()),
    }
}

fn stability(element: Element<'_, '_>, group: &mut PropertyGroup, name: &str) -> Result<()> {
    element.allow(&["value"])?;
    element.childless()?;
    let value = element.one_of("value", &words::STABILITIES)?;
    set(element, group, name, checked(element, Astring, &[value])?)
}

fn service_fmri<'d>(element: Element<'d, '_>) -> Result<&'d str> {
    element.expect("service_fmri", &["value"])?;
    element.childless()?;
    element.required("value")
}

fn restarter(element: Element<'_, '_>, level: &mut Level) -> Result<()> {
    element.allow(&[])?;
    let children = element.children()?;
    let [child] = children.as_slice() else {
        return Err(element.error("exactly one service_fmri is expected"));
    };
    let property = checked(*child, FmriType, &[service_fmri(*child)?])?;
    set(element, general(level), words::RESTARTER, property)
}

/// Notes that a group or a dependent is there to be deleted.
fn note_delete(element: Element<'_, '_>, level: &mut Level, name: &str) -> Result<()> {
    if element.flag("delete")?.unwrap_or(false) {
        level.deletes.insert(name.to_owned());
    }
    Ok(())
}

fn property_group(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    element.allow(&["name", "type", "delete"])?;
    let name = element.required("name")?;
    let ty = element.valid_name("type")?;
    enter(element, level, name, ty)?;
    for child in element.children()? {
        property_or_stability(child, place, level, name)?;
    }
    note_delete(element, level, name)
}

/// The elements that any group may hold.
fn property_or_stability(
    element: Element<'_, '_>,
    place: Place<'_>,
    level: &mut Level,
    pg: &str,
) -> Result<()> {
    let Some(group) = level.groups.get_mut(pg) else { return Ok(()) };
    if element.name() == "stability" {
        return stability(element, group, words::STABILITY);
    }
    let found = property(element, place.kind)?;
    set(element, group, found.name, found.property)?;
    let key = || (pg.to_owned(), found.name.to_owned());
    if found.overrides {
        level.overrides.insert(key());
    }
    if found.untyped {
        level.untyped.insert(key());
    }
    Ok(())
}

/// A property as it was read.
struct Found<'d> {
    name: &'d str,
    property: Property,
    overrides: bool,
    untyped: bool,
}

fn property<'d>(element: Element<'d, '_>, kind: BundleKind) -> Result<Found<'d>> {
    let single = match element.name() {
        "propval" => true,
        "property" => false,
        _ => return Err(element.unexpected()),
    };
    element.allow(if single {
        &["name", "type", "value", "override"]
    } else {
        &["name", "type", "override"]
    })?;
    let name = element.valid_name("name")?;
    let overrides = element.flag("override")?.unwrap_or(false);
    let given = match element.attribute("type") {
        Some(name) => Some(name.parse::<PropType>().map_err(|error| element.error(error))?),
        None if kind == BundleKind::Profile => None,
        None => return Err(element.error("attribute type is missing")),
    };
    if single {
        element.childless()?;
        let value = element.required("value")?;
        let property = checked(element, given.unwrap_or(Astring), &[value])?;
        return Ok(Found { name, property, overrides, untyped: given.is_none() });
    }
    let (listed, values) = value_list(element)?;
    if let (Some(given), Some(listed)) = (given, listed)
        && given != listed
    {
        let message = format!("property \"{name}\" is of type {given}, its list of type {listed}");
        return Err(element.error(message));
    }
    let ty = given.or(listed);
    let property = checked(element, ty.unwrap_or(Astring), &values)?;
    Ok(Found { name, property, overrides, untyped: ty.is_none() })
}

/// The type and the values of a property's `TYPE_list`, if there is one.
fn value_list<'d>(element: Element<'d, '_>) -> Result<(Option<PropType>, Vec<&'d str>)> {
    let children = element.children()?;
    let list = match children.as_slice() {
        [] => return Ok((None, Vec::new())),
        [list] => *list,
        [_, second, ..] => return Err(second.error("a property has one list of values")),
    };
    list.allow(&[])?;
    let ty = list.name().strip_suffix("_list").ok_or_else(|| list.unexpected())?;
    let ty = ty.parse::<PropType>().map_err(|_| list.unexpected())?;
    let mut values = Vec::new();
    for node in list.children()? {
        node.expect("value_node", &["value"])?;
        node.childless()?;
        let value = node.required("value")?;
        checked(node, ty, &[value])?;
        values.push(value);
    }
    Ok((Some(ty), values))
}

fn dependency(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    element.allow(&["name", "grouping", "restart_on", "type", "delete"])?;
    let name = element.required("name")?;
    let group = enter(element, level, name, words::DEPENDENCY)?;
    how_it_depends(element, group)?;
    element.required(words::TYPE)?;
    set_attribute(element, group, words::TYPE, Astring)?;
    let (entities, rest): (Vec<_>, Vec<_>) =
        element.children()?.into_iter().partition(|child| child.name() == "service_fmri");
    let mut values = Vec::new();
    for entity in entities {
        let value = service_fmri(entity)?;
        checked(entity, FmriType, &[value])?;
        values.push(value);
    }
    set(element, group, words::ENTITIES, checked(element, FmriType, &values)?)?;
    for child in rest {
        property_or_stability(child, place, level, name)?;
    }
    note_delete(element, level, name)
}

fn how_it_depends(element: Element<'_, '_>, group: &mut PropertyGroup) -> Result<()> {
    let words: [(&str, &[&str]); 2] =
        [("grouping", &words::GROUPINGS), ("restart_on", &words::RESTART_ON)];
    for (name, allowed) in words {
        element.one_of(name, allowed)?;
        set_attribute(element, group, name, Astring)?;
    }
    Ok(())
}

fn dependent(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    element.allow(&["name", "grouping", "restart_on", "delete", "override"])?;
    let name = element.valid_name("name")?;
    if level.dependents.contains_key(name) {
        return Err(element.error(format!("there are two dependents \"{name}\"")));
    }
    if level.groups.contains_key(name) {
        let message = format!("a property group and a dependent have the same name \"{name}\"");
        return Err(element.error(message));
    }
    let children = element.children()?;
    let Some((first, rest)) = children.split_first() else {
        return Err(element.error("a service_fmri is expected"));
    };
    let target = Fmri::parse(service_fmri(*first)?).map_err(|error| first.error(error))?;
    let mut group = words::dependent_group(place.fmri);
    how_it_depends(element, &mut group)?;
    // The same elements as in any group, in one that only becomes the target's.
    let mut scratch = Level { groups: [(name.to_owned(), group)].into(), ..Level::default() };
    for child in rest {
        property_or_stability(*child, place, &mut scratch, name)?;
    }
    let Some(group) = scratch.groups.remove(name) else { return Ok(()) };
    let overrides = element.flag("override")?.unwrap_or(false);
    level.dependents.insert(name.to_owned(), Dependent { target, group, overrides });
    note_delete(element, level, name)
}

fn exec_method(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    element.allow(&["type", "name", "exec", "timeout_seconds", "delete"])?;
    let name = element.required("name")?;
    let group = enter(element, level, name, words::METHOD)?;
    element.one_of(words::TYPE, &words::METHOD_TYPES)?;
    set_attribute(element, group, words::TYPE, Astring)?;
    element.required(words::EXEC)?;
    set_attribute(element, group, words::EXEC, Astring)?;
    set(element, group, words::TIMEOUT, timeout(element)?)?;
    for child in element.children()? {
        if child.name() != "method_context" {
            property_or_stability(child, place, level, name)?;
        } else if let Some(group) = level.groups.get_mut(name) {
            method_context(child, group)?;
        }
    }
    note_delete(element, level, name)
}

/// Seconds as a count. -1 is for ever, too: it wraps, as it always has.
fn timeout(element: Element<'_, '_>) -> Result<Property> {
    let text = element.required(words::TIMEOUT)?.trim();
    let seconds = match text.strip_prefix('-') {
        Some(digits) => digits.parse().map(u64::wrapping_neg),
        None => text.parse(),
    };
    match seconds {
        Ok(seconds) => Ok(Property { ty: Count, values: vec![seconds.to_string()] }),
        Err(_) => Err(element.error(format!("timeout_seconds is \"{text}\", not a number"))),
    }
}

fn method_context(element: Element<'_, '_>, group: &mut PropertyGroup) -> Result<()> {
    element.allow(&words::CONTEXT_ATTRIBUTES)?;
    for name in words::CONTEXT_ATTRIBUTES {
        set_attribute(element, group, name, Astring)?;
    }
    for child in element.children()? {
        match child.name() {
            "method_credential" => {
                child.allow(&words::CREDENTIAL)?;
                child.childless()?;
                set(child, group, words::USE_PROFILE, flag_property(false))?;
                for name in words::CREDENTIAL {
                    set_attribute(child, group, name, Astring)?;
                }
            }
            "method_profile" => {
                child.allow(&["name"])?;
                child.childless()?;
                set(child, group, words::USE_PROFILE, flag_property(true))?;
                let name = checked(child, Astring, &[child.required("name")?])?;
                set(child, group, words::PROFILE, name)?;
            }
            "method_environment" => {
                child.allow(&[])?;
                set(child, group, words::ENVIRONMENT, environment(child)?)?;
            }
            _ => return Err(child.unexpected()),
        }
    }
    Ok(())
}

fn environment(element: Element<'_, '_>) -> Result<Property> {
    let mut values = Vec::new();
    for variable in element.children()? {
        variable.expect("envvar", &["name", "value"])?;
        variable.childless()?;
        let entry = format!("{}={}", variable.required("name")?, variable.required("value")?);
        if variable.required("name")?.contains('=') || words::variable(&entry).is_none() {
            let message = "a variable's name can't be empty, hold = or begin with SMF_";
            return Err(variable.error(message));
        }
        values.push(entry);
    }
    if values.is_empty() {
        return Err(element.error("an envvar is expected"));
    }
    Ok(Property { ty: Astring, values })
}
