//! Dependents: a manifest may put a dependency on another service. It is a group of that service,
//! marked as external, and a property of the group `dependents` of the one whose manifest it was.

use std::collections::BTreeMap;

use super::import::groups_now;
use super::{Dependent, Level, words};
use crate::fmri::Fmri;
use crate::repo::{Change, Repo, RepoError, View};
use crate::value::{Groups, PropType, Property, PropertyGroup};

/// Remembers in the snapshot `last-import` what was put on others: the groups themselves are
/// theirs and not in it.
const DELIVERED: &str = "dependents_delivered";

/// Whether `group` was put where it is by another service's manifest.
pub fn is_external(group: &PropertyGroup) -> bool {
    group.ty == words::DEPENDENCY && group.first(words::EXTERNAL) == Some("true")
}

/// Whether that was the manifest of `fmri`.
pub fn is_dependent_of(group: &PropertyGroup, fmri: &Fmri) -> bool {
    is_external(group) && group.first(words::ENTITIES) == Some(&fmri.to_string())
}

/// The target that the property `name` of the group `dependents` names.
pub fn target(dependents: &PropertyGroup, name: &str) -> Option<Fmri> {
    match dependents.get(name)? {
        Property { ty: PropType::Fmri, values } if values.len() == 1 => {
            Fmri::parse(&values[0]).ok()
        }
        _ => None,
    }
}

/// The changes that take back the dependencies which `fmri`, and the instances of a service, have
/// put on others: when it goes, so do they (svccfg(8), delete).
pub fn withdraw(repo: &Repo, fmri: &Fmri) -> Result<Vec<Change>, RepoError> {
    let mut changes = Vec::new();
    let instances = repo.instances()?;
    let whole =
        instances.iter().filter(|instance| !fmri.is_instance() && instance.service() == *fmri);
    for owner in whole.chain([fmri]) {
        let Some(dependents) = repo.pg(owner, words::DEPENDENTS, &View::Direct)? else { continue };
        for name in dependents.props.keys() {
            let Some(target) = target(&dependents, name) else { continue };
            let group = groups_now(repo, &target)?.remove(name);
            if group.is_some_and(|group| is_dependent_of(&group, owner)) {
                changes.push(Change::DelPg { fmri: target, pg: name.clone() });
            }
        }
    }
    Ok(changes)
}

/// What `level` comes to in the repository: without what it deletes, with the group `dependents`.
pub fn delivered(level: &Level) -> Level {
    let mut delivered = level.clone();
    delivered.groups.retain(|name, _| !level.deletes.contains(name));
    delivered.dependents.retain(|name, _| !level.deletes.contains(name));
    for (name, dependent) in &delivered.dependents {
        let group = delivered.groups.entry(words::DEPENDENTS.to_owned());
        let group = group.or_insert_with(|| PropertyGroup::new(words::FRAMEWORK));
        let values = vec![dependent.target.to_string()];
        group.props.insert(name.clone(), Property { ty: PropType::Fmri, values });
        if dependent.overrides {
            delivered.overrides.insert((words::DEPENDENTS.to_owned(), name.clone()));
        }
    }
    delivered
}

/// The groups of `level`, as delivered, with a note of its dependents.
pub fn noted(level: &Level) -> Groups {
    let Level { mut groups, dependents, .. } = delivered(level);
    let mut note = PropertyGroup::new(words::FRAMEWORK);
    for (name, Dependent { target, group, .. }) in dependents {
        let Ok(group) = serde_json::to_string(&group) else { continue };
        let values = vec![target.to_string(), group];
        note.props.insert(name, Property { ty: PropType::Astring, values });
    }
    if !note.props.is_empty() {
        groups.insert(DELIVERED.to_owned(), note);
    }
    groups
}

/// Takes the note out of what the last import delivered.
pub fn take_noted(groups: &mut Groups) -> BTreeMap<String, (Fmri, PropertyGroup)> {
    let note = groups.remove(DELIVERED).map(|group| group.props).unwrap_or_default();
    let read = |(name, property): (String, Property)| match property.values.as_slice() {
        [target, group] => {
            Some((name, (Fmri::parse(target).ok()?, serde_json::from_str(group).ok()?)))
        }
        _ => None,
    };
    note.into_iter().filter_map(read).collect()
}
