//! A service's manifest into the repository: one commit, with the snapshots that it entails and
//! the dependencies that it puts on others.

use std::collections::{BTreeMap, BTreeSet};

use super::dependents::{delivered, is_dependent_of, is_external, noted, take_noted, target};
use super::merge::merge;
use super::{Dependent, Level, Manifest, ManifestError, words};
use crate::fmri::Fmri;
use crate::repo::snapshots::{INITIAL, LAST_IMPORT, PREVIOUS, RUNNING};
use crate::repo::{self, Change, Repo, RepoError, Snapshot, View};
use crate::value::{Groups, PropertyGroup};

/// Imports `manifest`, all or nothing. Returns a line for each thing that was changed both here
/// and in the manifest, and was left as it is.
pub fn import(repo: &Repo, manifest: &Manifest) -> Result<Vec<String>, ManifestError> {
    import_with(repo, manifest, &[])
}

/// Imports `manifest`, and makes other changes with it.
pub(super) fn import_with(
    repo: &Repo,
    manifest: &Manifest,
    others: &[Change],
) -> Result<Vec<String>, ManifestError> {
    repo.edit(|| {
        let (mut changes, conflicts) = plan(repo, manifest)?;
        changes.extend_from_slice(others);
        Ok((changes, conflicts))
    })
}

/// What an import comes to as things are now: its changes, and what it leaves as it is.
fn plan(repo: &Repo, manifest: &Manifest) -> Result<(Vec<Change>, Vec<String>), ManifestError> {
    let service = &manifest.service;
    let mut instances = Vec::new();
    for instance in &manifest.instances {
        let fmri = service.with_instance(&instance.name);
        instances.push((last_import(repo, &fmri)?, fmri, instance));
    }
    let base = instances.iter().find_map(|(base, ..)| Some(base.as_ref()?.service.clone()));
    let mut import = Import::new(repo);
    import.changes.push(Change::AddService(service.clone()));
    import.level(service, base.unwrap_or_default(), &manifest.level)?;
    let mut after = Vec::new();
    for (base, fmri, instance) in instances {
        if base.is_some() {
            import.before.push(snapshot(&fmri, PREVIOUS));
        } else {
            let (instance, service) = (delivered(&instance.level), delivered(&manifest.level));
            let content = Snapshot { instance: instance.groups, service: service.groups };
            after.push(put(&fmri, INITIAL, content));
        }
        import.changes.push(Change::AddInstance(fmri.clone()));
        import.level(&fmri, base.unwrap_or_default().instance, &instance.level)?;
        let (instance, service) = (noted(&instance.level), noted(&manifest.level));
        after.push(put(&fmri, LAST_IMPORT, Snapshot { instance, service }));
        after.push(snapshot(&fmri, RUNNING));
    }
    let Import { before, changes, conflicts, targets, .. } = import;
    let mut all = [before, changes, after].concat();
    for target in &targets {
        all.extend(refresh(repo, target)?);
    }
    Ok((all, conflicts))
}

/// What an import comes to, as far as it has been looked at.
struct Import<'r> {
    repo: &'r Repo,
    before: Vec<Change>,
    changes: Vec<Change>,
    conflicts: Vec<String>,
    /// Who gets another dependency.
    targets: BTreeSet<Fmri>,
}

impl<'r> Import<'r> {
    fn new(repo: &'r Repo) -> Self {
        let (before, changes, conflicts) = (Vec::new(), Vec::new(), Vec::new());
        Self { repo, before, changes, conflicts, targets: BTreeSet::new() }
    }

    /// Whatever is attached to `fmri`, of which the last import delivered `base`.
    fn level(&mut self, fmri: &Fmri, mut base: Groups, level: &Level) -> Result<(), ManifestError> {
        let noted = take_noted(&mut base);
        let current = groups_now(self.repo, fmri)?;
        let merged = merge(fmri, &base, &current, &delivered(level));
        self.changes.extend(merged.changes);
        self.conflicts.extend(merged.conflicts);
        for name in &level.deletes {
            let dependent = current.get(words::DEPENDENTS).and_then(|group| target(group, name));
            match dependent {
                Some(target) => self.delete_dependent(fmri, name, &target)?,
                None if level.groups.contains_key(name) => {
                    self.changes.push(Change::DelPg { fmri: fmri.clone(), pg: name.clone() });
                }
                None => {}
            }
        }
        self.dependents(fmri, noted, level)
    }

    fn delete_dependent(
        &mut self,
        fmri: &Fmri,
        name: &str,
        target: &Fmri,
    ) -> Result<(), ManifestError> {
        let (pg, prop) = (words::DEPENDENTS.to_owned(), name.to_owned());
        self.changes.push(Change::DelProp { fmri: fmri.clone(), pg, prop });
        let group = groups_now(self.repo, target)?.remove(name);
        if group.is_some_and(|group| is_dependent_of(&group, fmri)) {
            self.changes.push(Change::DelPg { fmri: target.clone(), pg: name.to_owned() });
            self.targets.insert(target.clone());
        }
        Ok(())
    }

    fn dependents(
        &mut self,
        fmri: &Fmri,
        mut base: BTreeMap<String, (Fmri, PropertyGroup)>,
        level: &Level,
    ) -> Result<(), ManifestError> {
        for (name, dependent) in &delivered(level).dependents {
            let same_target = base.get(name).is_some_and(|(old, _)| *old == dependent.target);
            let group = if same_target { base.remove(name).map(|(_, group)| group) } else { None };
            self.put_dependent(fmri, name, dependent, group)?;
        }
        // What is no longer put there goes, unless somebody has changed it.
        for (name, (target, group)) in base {
            self.merge_dependent(&target, &name, Some(group), Level::default())?;
        }
        Ok(())
    }

    fn put_dependent(
        &mut self,
        fmri: &Fmri,
        name: &str,
        dependent: &Dependent,
        base: Option<PropertyGroup>,
    ) -> Result<(), ManifestError> {
        let Dependent { target, group, overrides } = dependent;
        let there = groups_now(self.repo, target)?.remove(name);
        let may_replace = |group: &PropertyGroup| {
            is_dependent_of(group, fmri) || (*overrides && is_external(group))
        };
        if !there.as_ref().is_none_or(may_replace) {
            let (name, target) = (name.to_owned(), target.clone());
            return Err(ManifestError::DependentExists { name, target });
        }
        // As on illumos, the target may be yet to come.
        self.changes.push(match target.is_instance() {
            true => Change::AddInstance(target.clone()),
            false => Change::AddService(target.clone()),
        });
        let mut new = Level::default();
        new.groups.insert(name.to_owned(), group.clone());
        if *overrides {
            let all = group.props.keys().map(|prop| (name.to_owned(), prop.clone()));
            new.overrides.extend(all);
        }
        self.merge_dependent(target, name, base, new)
    }

    fn merge_dependent(
        &mut self,
        target: &Fmri,
        name: &str,
        base: Option<PropertyGroup>,
        new: Level,
    ) -> Result<(), ManifestError> {
        let only = |group: Option<PropertyGroup>| -> Groups {
            group.map(|group| (name.to_owned(), group)).into_iter().collect()
        };
        let current = only(groups_now(self.repo, target)?.remove(name));
        let merged = merge(target, &only(base), &current, &new);
        if !merged.changes.is_empty() {
            self.targets.insert(target.clone());
        }
        self.changes.extend(merged.changes);
        self.conflicts.extend(merged.conflicts);
        Ok(())
    }
}

/// What the last import delivered to an instance.
pub fn last_import(repo: &Repo, fmri: &Fmri) -> Result<Option<Snapshot>, RepoError> {
    match repo.read_snapshot(fmri, LAST_IMPORT) {
        Err(error) if error.is_not_found() => Ok(None),
        delivered => delivered,
    }
}

/// What is attached to `fmri`, which may not exist yet.
pub fn groups_now(repo: &Repo, fmri: &Fmri) -> Result<Groups, RepoError> {
    match repo.pgs(fmri, &View::Direct) {
        Err(error) if error.is_not_found() => Ok(Groups::new()),
        groups => groups,
    }
}

/// The changes that make what is edited visible to `fmri`, or to all instances of that service.
/// Only whom a restarter knows is told to reread it.
pub fn refresh(repo: &Repo, fmri: &Fmri) -> Result<Vec<Change>, RepoError> {
    let mut changes = Vec::new();
    for instance in repo.instances()? {
        if instance != *fmri && instance.service() != *fmri {
            continue;
        }
        changes.push(snapshot(&instance, RUNNING));
        if repo.pg(&instance, "restarter", &View::Direct)?.is_some() {
            changes.extend(repo::actions::request(&instance, "refresh"));
        }
    }
    Ok(changes)
}

fn snapshot(fmri: &Fmri, name: &str) -> Change {
    Change::Snapshot { fmri: fmri.clone(), name: name.to_owned() }
}

fn put(fmri: &Fmri, name: &str, content: Snapshot) -> Change {
    Change::PutSnapshot { fmri: fmri.clone(), name: name.to_owned(), content }
}
