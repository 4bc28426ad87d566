//! From property groups back to TOML. What has the exact shape of a dependency, a method or a
//! template gets its words; everything else is written as a group. Reading the text back gives
//! the same groups.

use std::fmt::Write;

use super::dependents::{is_dependent_of, is_external, target};
use super::import::groups_now;
use super::{Bundle, Dependent, Instance, Level, Manifest, ManifestError, Secrets, words};
use crate::fmri::Fmri;
use crate::repo::{Repo, RepoError, View};
use crate::value::PropType::{self, Astring, Count, Fmri as FmriType, Uri, Ustring};
use crate::value::{Groups, Property, PropertyGroup};

/// What the repository holds of `service` now, without what a boot empties and what the manifests
/// of others have put there.
pub fn from_repo(repo: &Repo, service: &Fmri, secrets: Secrets) -> Result<Manifest, ManifestError> {
    let level = |fmri: &Fmri| -> Result<Level, ManifestError> {
        let mut level = attached(repo, fmri)?;
        protect(repo, fmri, &mut level.groups, secrets, omit_values)?;
        Ok(level)
    };
    let mut manifest =
        Manifest { service: service.clone(), level: level(service)?, instances: Vec::new() };
    for fmri in repo.instances()?.into_iter().filter(|fmri| fmri.service == service.service) {
        let level = level(&fmri)?;
        manifest.instances.extend(fmri.instance.map(|name| Instance { name, level }));
    }
    Ok(manifest)
}

/// Has `leave_out` treat the protected ones among the `groups` of `fmri`, or makes sure that their
/// values are there.
pub fn protect(
    repo: &Repo,
    fmri: &Fmri,
    groups: &mut Groups,
    secrets: Secrets,
    leave_out: fn(&mut PropertyGroup),
) -> Result<(), ManifestError> {
    let inherited =
        if fmri.is_instance() { groups_now(repo, &fmri.service())? } else { Groups::new() };
    for (pg, group) in groups {
        // What the service protects is protected in its instances, too.
        let by_service = inherited.get(pg).is_some_and(PropertyGroup::is_protected);
        let is_secret = group.is_protected() || by_service && group.may_be_protected();
        match secrets {
            Secrets::Omit if is_secret => leave_out(group),
            Secrets::Include if group.concealed => {
                let (pg, fmri) = (pg.clone(), fmri.clone());
                return Err(ManifestError::Concealed { pg, fmri });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes the values out of a protected group. Who may read and change it is no secret.
fn omit_values(group: &mut PropertyGroup) {
    for (name, property) in &mut group.props {
        if !name.ends_with("_authorization") {
            property.values.clear();
        }
    }
}

/// What is attached to `fmri`.
pub fn attached(repo: &Repo, fmri: &Fmri) -> Result<Level, RepoError> {
    let mut groups = repo.pgs(fmri, &View::Direct)?;
    groups.retain(|_, group| group.persistent && !is_external(group));
    let mut level = Level { groups, ..Level::default() };
    let Some(dependents) = level.groups.get(words::DEPENDENTS).cloned() else { return Ok(level) };
    for name in dependents.props.keys().cloned() {
        let Some(target) = target(&dependents, &name) else { continue };
        let group = groups_now(repo, &target)?.remove(&name);
        let Some(group) = group.filter(|group| is_dependent_of(group, fmri) && is_usual(group))
        else {
            continue;
        };
        if level.groups.contains_key(&name) {
            continue;
        }
        if let Some(names) = level.groups.get_mut(words::DEPENDENTS) {
            names.props.remove(&name);
        }
        level.dependents.insert(name, Dependent { target, group, overrides: false });
    }
    if level.groups.get(words::DEPENDENTS).is_some_and(|group| group.props.is_empty()) {
        level.groups.remove(words::DEPENDENTS);
    }
    Ok(level)
}

/// Whether a dependent's words can say what the group of its target holds.
fn is_usual(group: &PropertyGroup) -> bool {
    let text = |prop: &str| single(group, words::DEPENDENCY, prop, Astring).unwrap_or_default();
    words::GROUPINGS.contains(&text("grouping").as_str())
        && words::RESTART_ON.contains(&text("restart_on").as_str())
        && text(words::TYPE) == words::DEPENDENCY_TYPES[0]
}

/// `manifest` as TOML.
pub fn to_toml(manifest: &Manifest) -> String {
    let mut text = String::new();
    let head = vec![("service".to_owned(), quoted(&manifest.service.service))];
    write_service(&mut text, "", manifest, head);
    text
}

/// A profile as TOML.
pub fn profile_to_toml(profile: &Bundle) -> String {
    let mut text = format!("profile = {}\n", quoted(&profile.name));
    for manifest in &profile.services {
        let path = format!("service.{}.", key(&manifest.service.service));
        write_service(&mut text, &path, manifest, Entries::new());
    }
    text
}

/// Writes a service whose tables' names begin with `path`.
fn write_service(text: &mut String, path: &str, manifest: &Manifest, head: Entries) {
    write_level(text, path, &manifest.level, head);
    for instance in &manifest.instances {
        let path = format!("{path}instance.{}.", key(&instance.name));
        let mut level = instance.level.clone();
        let enabled = take_general(&mut level, "enabled", PropType::Boolean);
        let head = enabled.map(|enabled| ("enabled".to_owned(), enabled));
        write_level(text, &path, &level, head.into_iter().collect());
    }
}

type Entries = Vec<(String, String)>;

/// Writes a service or an instance whose tables' names begin with `path`.
fn write_level(text: &mut String, path: &str, level: &Level, mut head: Entries) {
    let mut level = level.clone();
    let restarter = take_general(&mut level, "restarter", FmriType);
    head.extend(restarter.map(|restarter| ("restarter".to_owned(), quoted(&restarter))));
    write_section(text, path.trim_end_matches('.'), &head);
    for (name, entries) in sections(level) {
        write_section(text, &format!("{path}{name}"), &entries);
    }
}

fn write_section(text: &mut String, name: &str, entries: &Entries) {
    if !name.is_empty() {
        let _ = write!(text, "\n[{name}]\n");
    }
    for (key, value) in entries {
        let _ = writeln!(text, "{key} = {value}");
    }
}

/// Takes a property of `general` that is written as a plain key; a group that only held that
/// goes with it. One with a mark is written as a group, where the mark has a place.
fn take_general(level: &mut Level, prop: &str, ty: PropType) -> Option<String> {
    let marked = level.deletes.contains(words::GENERAL)
        || level.overrides.contains(&(words::GENERAL.to_owned(), prop.to_owned()));
    let group = level.groups.get_mut(words::GENERAL).filter(|_| !marked)?;
    let value = single(group, words::FRAMEWORK, prop, ty)?;
    group.props.remove(prop);
    if group.props.is_empty() {
        level.groups.remove(words::GENERAL);
    }
    Some(value)
}

/// The tables of a level, in a fixed order.
fn sections(level: Level) -> Vec<(String, Entries)> {
    let Level { groups, overrides, dependents, deletes, .. } = level;
    let mut sections = Vec::new();
    let delete = || ("delete".to_owned(), "true".to_owned());
    // What is to be deleted is written as a group, where the mark has a place.
    let (doomed, mut groups): (Groups, Groups) =
        groups.into_iter().partition(|(name, _)| deletes.contains(name));
    let template = take_template(&mut groups);
    if !template.is_empty() {
        sections.push(("template".to_owned(), template));
    }
    let mut plain = Vec::new();
    for (name, group) in groups {
        // What an override marks is written as a group, where the mark has a place.
        let marked = overrides.iter().any(|(pg, _)| *pg == name);
        let special = if marked { None } else { special(&name, &group) };
        match special {
            Some(section) => sections.push(section),
            None => plain.push((name, group)),
        }
    }
    for (name, dependent) in dependents {
        let table = format!("dependent.{}", key(&name));
        let mut entries = dependent_entries(&dependent);
        entries.extend(deletes.contains(&name).then(delete));
        sections.push((table.clone(), entries));
        let extra = |(prop, value): (&String, &Property)| (key(prop), property(value, false));
        let extra: Entries = dependent_extras(&dependent).map(extra).collect();
        if !extra.is_empty() {
            sections.push((format!("{table}.property"), extra));
        }
    }
    for (name, group) in plain.into_iter().chain(doomed) {
        let table = format!("group.{}", key(&name));
        let mut head = vec![("type".to_owned(), quoted(&group.ty))];
        head.extend(deletes.contains(&name).then(delete));
        sections.push((table.clone(), head));
        let write = |(prop, value): (&String, &Property)| {
            let marked = overrides.contains(&(name.clone(), prop.clone()));
            (key(prop), property(value, marked))
        };
        let entries: Entries = group.props.iter().map(write).collect();
        if !entries.is_empty() {
            sections.push((format!("{table}.property"), entries));
        }
    }
    sections
}

/// The one value of a property of type `ty` in a group of type `group_type`.
fn single(group: &PropertyGroup, group_type: &str, prop: &str, ty: PropType) -> Option<String> {
    match group.get(prop)? {
        Property { ty: found, values }
            if *found == ty && values.len() == 1 && group.ty == group_type =>
        {
            values.first().cloned()
        }
        _ => None,
    }
}

fn special(name: &str, group: &PropertyGroup) -> Option<(String, Entries)> {
    match group.ty.as_str() {
        words::DEPENDENCY => Some((format!("dependency.{}", key(name)), dependency(group)?)),
        words::METHOD => Some((format!("method.{}", key(name)), method(group)?)),
        words::FRAMEWORK if name == words::METHOD_CONTEXT => {
            Some((name.to_owned(), context(group, group.props.len())?))
        }
        _ => None,
    }
}

fn dependency(group: &PropertyGroup) -> Option<Entries> {
    let text = |prop: &str| single(group, words::DEPENDENCY, prop, Astring);
    let (grouping, restart_on) = (text("grouping")?, text("restart_on")?);
    let kind = text(words::TYPE)?;
    let entities = group.get("entities").filter(|entities| entities.ty == FmriType)?;
    let scheme = if kind == "path" { "file:" } else { "svc:" };
    let readable = group.props.len() == 4
        && words::GROUPINGS.contains(&grouping.as_str())
        && words::RESTART_ON.contains(&restart_on.as_str())
        && words::DEPENDENCY_TYPES.contains(&kind.as_str())
        && entities.values.iter().all(|entity| {
            entity.starts_with(scheme) && (kind == "path" || Fmri::parse(entity).is_ok())
        });
    let mut entries = vec![
        ("grouping".to_owned(), quoted(&grouping)),
        ("restart_on".to_owned(), quoted(&restart_on)),
    ];
    if kind != words::DEPENDENCY_TYPES[0] {
        entries.push((words::TYPE.to_owned(), quoted(&kind)));
    }
    entries.push(("entities".to_owned(), list(&entities.values)));
    readable.then_some(entries)
}

fn dependent_entries(dependent: &Dependent) -> Entries {
    let word = |prop: &str| quoted(dependent.group.first(prop).unwrap_or_default());
    let mut entries = vec![
        ("target".to_owned(), quoted(&dependent.target.to_string())),
        ("grouping".to_owned(), word("grouping")),
        ("restart_on".to_owned(), word("restart_on")),
    ];
    entries.extend(dependent.overrides.then(|| ("override".to_owned(), "true".to_owned())));
    entries
}

/// The properties of a dependent that have no words.
fn dependent_extras(dependent: &Dependent) -> impl Iterator<Item = (&String, &Property)> {
    let said = ["grouping", "restart_on", words::ENTITIES, words::TYPE, words::EXTERNAL];
    dependent.group.props.iter().filter(move |(name, _)| !said.contains(&name.as_str()))
}

fn method(group: &PropertyGroup) -> Option<Entries> {
    let exec = single(group, words::METHOD, "exec", Astring)?;
    let timeout = single(group, words::METHOD, "timeout_seconds", Count)?;
    let kind = single(group, words::METHOD, words::TYPE, Astring)?;
    // TOML's numbers end before a count does.
    timeout.parse::<i64>().ok().filter(|_| kind == words::METHOD)?;
    let mut entries =
        vec![("exec".to_owned(), quoted(&exec)), ("timeout_seconds".to_owned(), timeout)];
    entries.extend(context(group, group.props.len() - 3)?);
    Some(entries)
}

/// The entries of a method's context, if `group` has `expected` of them and nothing else.
fn context(group: &PropertyGroup, expected: usize) -> Option<Entries> {
    let identity = [words::PROFILE].into_iter().chain(words::CREDENTIAL);
    let identity: Entries = identity.filter_map(|name| context_entry(group, name)).collect();
    // Which of them count is understood: a profile, if there is one.
    let use_profile = group.get(words::PROFILE).is_some().to_string();
    let implied = (!identity.is_empty()).then_some(use_profile);
    let stored = single(group, &group.ty, words::USE_PROFILE, PropType::Boolean);
    let others = words::CONTEXT_ATTRIBUTES.into_iter().chain([words::ENVIRONMENT, words::LIMITS]);
    let others: Entries = others.filter_map(|name| context_entry(group, name)).collect();
    let said = identity.len() + others.len() + usize::from(implied.is_some());
    (said == expected && implied == stored).then(|| [identity, others].concat())
}

fn context_entry(group: &PropertyGroup, name: &str) -> Option<(String, String)> {
    let property = group.get(name).filter(|property| property.ty == Astring)?;
    Some((name.to_owned(), values(property)))
}

/// Takes the groups that a template's words can say.
fn take_template(groups: &mut Groups) -> Entries {
    let mut entries = Entries::new();
    for (key, name) in words::TEXTS {
        let text = groups.get(name).filter(|group| group.props.len() == 1);
        if let Some(text) = text.and_then(|g| single(g, words::TEMPLATE, words::LOCALE, Ustring)) {
            entries.push((key.to_owned(), quoted(&text)));
            groups.remove(name);
        }
    }
    for (key, describe) in [
        ("manpages", manpage as fn(&str, &PropertyGroup) -> Option<String>),
        ("documents", document),
    ] {
        let mut found = Vec::new();
        groups.retain(|name, group| {
            let written = describe(name, group);
            let keep = written.is_none();
            found.extend(written);
            keep
        });
        if !found.is_empty() {
            entries.push((key.to_owned(), format!("[{}]", found.join(", "))));
        }
    }
    entries
}

fn manpage(name: &str, group: &PropertyGroup) -> Option<String> {
    let text = |prop: &str| single(group, words::TEMPLATE, prop, Astring);
    let (title, section, manpath) = (text("title")?, text("section")?, text("manpath")?);
    let expected = words::manpage_group(&title, &section);
    let manpath = match manpath.as_str() {
        words::DEFAULT_MANPATH => String::new(),
        path => format!(", manpath = {}", quoted(path)),
    };
    let (title, section) = (quoted(&title), quoted(&section));
    let entry = format!("{{ title = {title}, section = {section}{manpath} }}");
    (name == expected && group.props.len() == 3).then_some(entry)
}

fn document(name: &str, group: &PropertyGroup) -> Option<String> {
    let title = single(group, words::TEMPLATE, "name", Astring)?;
    let uri = single(group, words::TEMPLATE, "uri", Astring)?;
    Uri.check(&uri).ok()?;
    let expected = words::document_group(&title);
    let entry = format!("{{ name = {}, uri = {} }}", quoted(&title), quoted(&uri));
    (name == expected && group.props.len() == 2).then_some(entry)
}

fn property(property: &Property, overrides: bool) -> String {
    let plain = matches!(property.ty, PropType::Astring | PropType::Integer | PropType::Boolean);
    if plain && !overrides && !property.values.is_empty() {
        return values(property);
    }
    let mark = if overrides { ", override = true" } else { "" };
    let value = values(property);
    format!("{{ type = {}, value = {value}{mark} }}", quoted(&property.ty.to_string()))
}

/// One value by itself, any other number as a list.
fn values(property: &Property) -> String {
    let bare = matches!(property.ty, PropType::Integer | PropType::Boolean);
    let write = |text: &String| if bare { text.clone() } else { quoted(text) };
    match property.values.as_slice() {
        [value] => write(value),
        values => format!("[{}]", values.iter().map(write).collect::<Vec<_>>().join(", ")),
    }
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

fn key(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
