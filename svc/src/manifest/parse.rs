//! From TOML to property groups, with every name, type and value checked.

use super::reader::{Key, SyntaxError, Table, Value, document};
use super::{Bundle, BundleKind, Dependent, Instance, Level, Manifest, words};
use crate::fmri::{self, Fmri};
use crate::value::PropType::{self, Astring, Boolean, Count, Fmri as FmriType, Ustring};
use crate::value::{Property, PropertyGroup};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Reads a manifest.
pub fn parse(text: &str) -> Result<Manifest> {
    document(text, manifest)
}

/// Reads a manifest or a profile, which is one if it says so.
pub fn parse_bundle(text: &str) -> Result<Bundle> {
    document(text, |mut table| match table.take("profile") {
        Some(name) => profile(name, table),
        None => manifest(table).map(Bundle::of),
    })
}

fn manifest(mut table: Table<'_>) -> Result<Manifest> {
    let name = table.require("service")?;
    let service = service_name(name.string()?).map_err(|message| name.error(message))?;
    let instances = instances(&service, &mut table)?;
    Ok(Manifest { level: level(&service, table)?, service, instances })
}

/// As in a manifest, in a table for each service.
fn profile(name: Value<'_>, mut table: Table<'_>) -> Result<Bundle> {
    let mut services = Vec::new();
    if let Some(entries) = table.take("service") {
        for (key, value) in entries.table()?.rest() {
            let service = service_name(key.name).map_err(|message| key.error(message))?;
            let mut table = value.table()?;
            let instances = instances(&service, &mut table)?;
            services.push(Manifest { level: level(&service, table)?, service, instances });
        }
    }
    table.finish()?;
    let name = name.string()?.to_owned();
    Ok(Bundle { kind: BundleKind::Profile, name, services, includes: Vec::new() })
}

fn service_name(name: &str) -> std::result::Result<Fmri, &'static str> {
    let service = Fmri::parse(&format!("svc:/{name}")).ok().filter(|fmri| !fmri.is_instance());
    service.ok_or("a service name such as \"system/xvm/xend\" is expected")
}

fn instances(service: &Fmri, table: &mut Table<'_>) -> Result<Vec<Instance>> {
    let mut instances = Vec::new();
    if let Some(entries) = table.take("instance") {
        for (key, value) in entries.table()?.rest() {
            instances.push(instance(service, key, value.table()?)?);
        }
    }
    Ok(instances)
}

fn instance(service: &Fmri, key: Key<'_>, mut table: Table<'_>) -> Result<Instance> {
    check_name(key)?;
    let enabled = table.take("enabled").map(|value| value.boolean()).transpose()?;
    let mut level = level(&service.with_instance(key.name), table)?;
    if let Some(enabled) = enabled {
        let property = Property { ty: Boolean, values: vec![enabled.to_string()] };
        if !add_general(&mut level, "enabled", property) {
            return Err(key.error("\"enabled\" is given twice"));
        }
    }
    Ok(Instance { name: key.name.to_owned(), level })
}

/// What a service and an instance have in common.
fn level(fmri: &Fmri, mut table: Table<'_>) -> Result<Level> {
    let mut level = Level::default();
    if let Some(groups) = table.take("group") {
        for (key, value) in groups.table()?.rest() {
            group(key, value.table()?, &mut level)?;
        }
    }
    if let Some(value) = table.take("restarter")
        && !add_general(&mut level, "restarter", typed(FmriType, &[value])?)
    {
        return Err(value.error("\"restarter\" is given twice"));
    }
    for (key, read) in
        [("dependency", dependency as fn(Table<'_>) -> Result<PropertyGroup>), ("method", method)]
    {
        if let Some(groups) = table.take(key) {
            for (key, value) in groups.table()?.rest() {
                let mut table = value.table()?;
                note_delete(&mut level, key, &mut table)?;
                add(&mut level, key, read(table)?)?;
            }
        }
    }
    if let Some(dependents) = table.take("dependent") {
        for (key, value) in dependents.table()?.rest() {
            dependent(fmri, key, value.table()?, &mut level)?;
        }
    }
    if let Some(value) = table.take("method_context") {
        let mut context = value.table()?;
        let mut group = PropertyGroup::new(words::FRAMEWORK);
        read_context(&mut context, &mut group)?;
        context.finish()?;
        put(&mut level, words::METHOD_CONTEXT, group).map_err(|message| value.error(message))?;
    }
    if let Some(value) = table.take("template") {
        template(value.table()?, &mut level)?;
    }
    table.finish()?;
    Ok(level)
}

/// Whether `general` had no such property yet.
fn add_general(level: &mut Level, name: &str, property: Property) -> bool {
    let group = level.groups.entry(words::GENERAL.to_owned());
    let group = group.or_insert_with(|| PropertyGroup::new(words::FRAMEWORK));
    group.props.insert(name.to_owned(), property).is_none()
}

fn put(level: &mut Level, name: &str, group: PropertyGroup) -> std::result::Result<(), String> {
    match level.groups.insert(name.to_owned(), group) {
        None => Ok(()),
        Some(_) => Err(format!("there are two property groups \"{name}\"")),
    }
}

fn add(level: &mut Level, key: Key<'_>, group: PropertyGroup) -> Result<()> {
    check_name(key)?;
    put(level, key.name, group).map_err(|message| key.error(message))
}

fn check_name(key: Key<'_>) -> Result<()> {
    if fmri::is_name(key.name) {
        Ok(())
    } else {
        Err(key.error(format!("\"{}\" can't be a name: letters, digits, _ . - only", key.name)))
    }
}

/// Notes that a group or a dependent is there to be deleted.
fn note_delete(level: &mut Level, key: Key<'_>, table: &mut Table<'_>) -> Result<()> {
    if let Some(value) = table.take("delete")
        && value.boolean()?
    {
        level.deletes.insert(key.name.to_owned());
    }
    Ok(())
}

fn group(key: Key<'_>, mut table: Table<'_>, level: &mut Level) -> Result<()> {
    note_delete(level, key, &mut table)?;
    let ty = match table.take("type") {
        Some(value) if fmri::is_name(value.string()?) => value.string()?,
        Some(value) => return Err(value.error("bad property group type")),
        None => words::APPLICATION,
    };
    let mut group = PropertyGroup::new(ty);
    if let Some(properties) = table.take("property") {
        for (name, value) in properties.table()?.rest() {
            check_name(name)?;
            let (property, overrides) = property(value)?;
            group.props.insert(name.name.to_owned(), property);
            if overrides {
                level.overrides.insert((key.name.to_owned(), name.name.to_owned()));
            }
        }
    }
    table.finish()?;
    add(level, key, group)
}

/// A property, and whether it replaces what an administrator has set. A plain value says its type
/// itself; a table names it.
fn property(value: Value<'_>) -> Result<(Property, bool)> {
    if !value.is_table() {
        return Ok((plain(value)?, false));
    }
    let mut table = value.table()?;
    let overrides = table.take("override").map(|value| value.boolean()).transpose()?;
    let ty = table.take("type");
    let given = table.require("value")?;
    table.finish()?;
    let property = match ty {
        Some(name) => {
            let ty = name.string()?.parse::<PropType>();
            typed(ty.map_err(|error| name.error(error.to_string()))?, &given.list())?
        }
        None => plain(given)?,
    };
    Ok((property, overrides.unwrap_or(false)))
}

fn plain(value: Value<'_>) -> Result<Property> {
    let values = value.list();
    let Some(first) = values.first() else {
        return Err(value.error("an empty list needs a type: { type = \"...\", value = [] }"));
    };
    typed(first.scalar()?.0, &values)
}

fn typed(ty: PropType, values: &[Value<'_>]) -> Result<Property> {
    let check = |value: &Value<'_>| {
        let (found, text) = value.scalar()?;
        // Text may spell any type; a number or a truth value only what it can be.
        let fits = match found {
            Astring => true,
            Boolean => ty == Boolean,
            _ => matches!(ty, PropType::Integer | Count | PropType::Time),
        };
        if !fits {
            return Err(value.error(format!("a value of type {ty} is expected")));
        }
        ty.check(&text).map_err(|error| value.error(error.to_string()))
    };
    Ok(Property { ty, values: values.iter().map(check).collect::<Result<_>>()? })
}

fn word(value: Value<'_>, allowed: &[&str]) -> Result<Property> {
    let text = value.string()?;
    if allowed.contains(&text) {
        typed(Astring, &[value])
    } else {
        Err(value.error(format!("\"{text}\" is none of {}", allowed.join(", "))))
    }
}

fn dependency(mut table: Table<'_>) -> Result<PropertyGroup> {
    let mut group = PropertyGroup::new(words::DEPENDENCY);
    let mut set = |name: &str, property| group.props.insert(name.to_owned(), property);
    set("grouping", word(table.require("grouping")?, &words::GROUPINGS)?);
    set("restart_on", word(table.require("restart_on")?, &words::RESTART_ON)?);
    let kind = match table.take(words::TYPE) {
        Some(value) => word(value, &words::DEPENDENCY_TYPES)?,
        None => Property { ty: Astring, values: vec![words::DEPENDENCY_TYPES[0].to_owned()] },
    };
    let scheme = if kind.first() == Some("path") { "file:" } else { "svc:" };
    let entities = table.require("entities")?;
    for entity in entities.list() {
        let text = entity.string()?;
        if !text.starts_with(scheme) || (scheme == "svc:" && Fmri::parse(text).is_err()) {
            return Err(entity.error(format!("\"{text}\" is not a {scheme} FMRI")));
        }
    }
    set("entities", typed(FmriType, &entities.list())?);
    set(words::TYPE, kind);
    table.finish()?;
    Ok(group)
}

/// A dependency on `fmri` that somebody else gets.
fn dependent(fmri: &Fmri, key: Key<'_>, mut table: Table<'_>, level: &mut Level) -> Result<()> {
    check_name(key)?;
    if level.groups.contains_key(key.name) {
        let message = "a property group and a dependent have the same name";
        return Err(key.error(format!("{message} \"{}\"", key.name)));
    }
    let name = table.require("target")?;
    let target = Fmri::parse(name.string()?).map_err(|error| name.error(error.to_string()))?;
    let mut group = words::dependent_group(fmri);
    let mut set = |name: &str, property| group.props.insert(name.to_owned(), property);
    set("grouping", word(table.require("grouping")?, &words::GROUPINGS)?);
    set("restart_on", word(table.require("restart_on")?, &words::RESTART_ON)?);
    if let Some(properties) = table.take("property") {
        for (name, value) in properties.table()?.rest() {
            check_name(name)?;
            if set(name.name, property(value)?.0).is_some() {
                return Err(name.error(format!("\"{}\" is given twice", name.name)));
            }
        }
    }
    let overrides = table.take("override").map(|value| value.boolean()).transpose()?;
    note_delete(level, key, &mut table)?;
    table.finish()?;
    let overrides = overrides.unwrap_or(false);
    level.dependents.insert(key.name.to_owned(), Dependent { target, group, overrides });
    Ok(())
}

fn method(mut table: Table<'_>) -> Result<PropertyGroup> {
    let mut group = PropertyGroup::new(words::METHOD);
    let kind = Property { ty: Astring, values: vec![words::METHOD.to_owned()] };
    group.props.insert(words::TYPE.to_owned(), kind);
    for (name, ty) in words::METHOD_PROPERTIES {
        group.props.insert(name.to_owned(), typed(ty, &[table.require(name)?])?);
    }
    read_context(&mut table, &mut group)?;
    table.finish()?;
    Ok(group)
}

fn read_context(table: &mut Table<'_>, group: &mut PropertyGroup) -> Result<()> {
    let identity = [words::PROFILE].into_iter().chain(words::CREDENTIAL);
    for name in identity.chain(words::CONTEXT_ATTRIBUTES).chain([words::ENVIRONMENT, words::LIMITS])
    {
        if let Some(value) = table.take(name) {
            group.props.insert(name.to_owned(), typed(Astring, &value.list())?);
        }
    }
    let has = |name: &&str| group.props.contains_key(*name);
    let use_profile = has(&words::PROFILE);
    if use_profile || words::CREDENTIAL.iter().any(has) {
        let property = Property { ty: Boolean, values: vec![use_profile.to_string()] };
        group.props.insert(words::USE_PROFILE.to_owned(), property);
    }
    Ok(())
}

fn template(mut table: Table<'_>, level: &mut Level) -> Result<()> {
    let mut describe = |value: Value<'_>, name: &str, props: Vec<(&str, Property)>| {
        let mut group = PropertyGroup::new(words::TEMPLATE);
        group.props.extend(props.into_iter().map(|(name, prop)| (name.to_owned(), prop)));
        if !fmri::is_name(name) {
            return Err(value.error(format!("\"{name}\" can't be a property group's name")));
        }
        put(level, name, group).map_err(|message| value.error(message))
    };
    for (key, name) in words::TEXTS {
        if let Some(value) = table.take(key) {
            describe(value, name, vec![(words::LOCALE, typed(Ustring, &[value])?)])?;
        }
    }
    for value in table.take("manpages").iter().flat_map(Value::list) {
        let mut page = value.table()?;
        let (title, section) = (page.require("title")?, page.require("section")?);
        let manpath = match page.take("manpath") {
            Some(value) => typed(Astring, &[value])?,
            None => Property { ty: Astring, values: vec![words::DEFAULT_MANPATH.to_owned()] },
        };
        page.finish()?;
        let name = words::manpage_group(title.string()?, section.string()?);
        let (title, section) = (typed(Astring, &[title])?, typed(Astring, &[section])?);
        let props = vec![("title", title), ("section", section), ("manpath", manpath)];
        describe(value, &name, props)?;
    }
    for value in table.take("documents").iter().flat_map(Value::list) {
        let mut page = value.table()?;
        let (name, uri) = (page.require("name")?, page.require("uri")?);
        page.finish()?;
        let group = words::document_group(name.string()?);
        typed(PropType::Uri, &[uri])?;
        let props = vec![("name", typed(Astring, &[name])?), ("uri", typed(Astring, &[uri])?)];
        describe(value, &group, props)?;
    }
    table.finish()
}
