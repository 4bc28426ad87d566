//! Profiles: what one machine or site wants of services that are there (svccfg(8), apply and
//! extract).

use std::collections::BTreeMap;

use super::export::attached;
use super::import::{groups_now, last_import, refresh};
use super::{Bundle, BundleKind, Instance, Level, Manifest, ManifestError, words};
use crate::fmri::{Fmri, PropFmri};
use crate::repo::{Change, Repo, RepoError};
use crate::value::{Groups, Property, PropertyGroup};

/// What a profile did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The services and instances that it customised.
    pub applied: Vec<Fmri>,
    /// Those that it names and that aren't there.
    pub absent: Vec<Fmri>,
}

/// Applies a profile, service by service, each all or nothing. What it says replaces what is
/// there; what it doesn't mention stays. With `dry_run` nothing is changed.
pub fn apply(repo: &Repo, profile: &Bundle, dry_run: bool) -> Result<Applied, ManifestError> {
    let mut result = Applied::default();
    let (services, instances) = (repo.services()?, repo.instances()?);
    for manifest in &profile.services {
        if !services.contains(&manifest.service) {
            result.absent.push(manifest.service.clone());
            continue;
        }
        let fmri = |instance: &Instance| manifest.service.with_instance(&instance.name);
        let all = manifest.instances.iter();
        let (there, absent): (Vec<_>, Vec<_>) = all.partition(|i| instances.contains(&fmri(i)));
        result.absent.extend(absent.into_iter().map(fmri));
        let plan = || plan(repo, manifest, &there);
        result.applied.extend(if dry_run { plan()?.1 } else { repo.edit(plan)? });
    }
    Ok(result)
}

/// What the profile of a service with these `instances` comes to as things are now: the changes,
/// and who is customised by them.
fn plan(
    repo: &Repo,
    manifest: &Manifest,
    instances: &[&Instance],
) -> Result<(Vec<Change>, Vec<Fmri>), ManifestError> {
    let mut changes = customise(repo, &manifest.service, &manifest.level)?;
    let mut touched = Vec::new();
    if !changes.is_empty() {
        touched.push(manifest.service.clone());
    }
    for instance in instances {
        let fmri = manifest.service.with_instance(&instance.name);
        changes.extend(customise(repo, &fmri, &instance.level)?);
        touched.push(fmri);
    }
    for fmri in &touched {
        changes.extend(refresh(repo, fmri)?);
    }
    Ok((changes, touched))
}

fn customise(repo: &Repo, fmri: &Fmri, level: &Level) -> Result<Vec<Change>, ManifestError> {
    if let Some(name) = level.dependents.keys().next() {
        let (name, fmri) = (name.clone(), fmri.clone());
        return Err(ManifestError::DependentInProfile { name, fmri });
    }
    let mut changes = Vec::new();
    let here = groups_now(repo, fmri)?;
    let inherited =
        if fmri.is_instance() { groups_now(repo, &fmri.service())? } else { Groups::new() };
    for (pg, group) in &level.groups {
        if level.deletes.contains(pg) {
            changes.push(Change::DelPg { fmri: fmri.clone(), pg: pg.clone() });
            continue;
        }
        let known = [here.get(pg), inherited.get(pg)];
        if !here.contains_key(pg) {
            let ty = known[1].unwrap_or(group).ty.clone();
            let pg = pg.clone();
            changes.push(Change::AddPg { fmri: fmri.clone(), pg, ty, persistent: true });
        }
        for (prop, property) in &group.props {
            let untyped = level.untyped.contains(&(pg.clone(), prop.clone()));
            let known = known.iter().flatten().find_map(|group| group.get(prop));
            let Property { ty, values } = match known.filter(|_| untyped) {
                Some(known) => retyped(fmri, pg, prop, property, known)?,
                None => property.clone(),
            };
            let (fmri, pg, prop) = (fmri.clone(), pg.clone(), prop.clone());
            changes.push(Change::SetProp { fmri, pg, prop, ty, values });
        }
    }
    Ok(changes)
}

/// `property` with the type that it has in the repository.
fn retyped(
    fmri: &Fmri,
    pg: &str,
    prop: &str,
    property: &Property,
    known: &Property,
) -> Result<Property, ManifestError> {
    Property::new(known.ty, &property.values).map_err(|source| {
        let (entity, pg, prop) = (fmri.clone(), pg.to_owned(), Some(prop.to_owned()));
        ManifestError::Value { property: PropFmri { entity, pg, prop }.to_string(), source }
    })
}

/// The profile of this machine: which instances are enabled, and what was changed since the last
/// import.
pub fn extract(repo: &Repo) -> Result<Bundle, RepoError> {
    let mut services: BTreeMap<Fmri, Manifest> = BTreeMap::new();
    let instances = repo.instances()?;
    for service in repo.services()? {
        let mut manifest =
            Manifest { service: service.clone(), level: Level::default(), instances: Vec::new() };
        let mut base = None;
        for fmri in instances.iter().filter(|fmri| fmri.service == service.service) {
            let delivered = last_import(repo, fmri)?;
            let now = attached(repo, fmri)?.groups;
            let level = customised(now, delivered.as_ref().map(|snapshot| &snapshot.instance));
            let name = fmri.instance.clone().unwrap_or_default();
            manifest.instances.push(Instance { name, level });
            base = base.or(delivered);
        }
        // A service without instances has no last import to differ from.
        if let Some(base) = base {
            manifest.level = customised(attached(repo, &service)?.groups, Some(&base.service));
        }
        if !manifest.instances.is_empty() {
            services.insert(service, manifest);
        }
    }
    let services = services.into_values().collect();
    Ok(Bundle { kind: BundleKind::Profile, name: "extract".to_owned(), services })
}

/// The properties of `now` that aren't as delivered, and whether it is enabled.
fn customised(now: Groups, delivered: Option<&Groups>) -> Level {
    let mut level = Level::default();
    for (name, group) in now {
        // A profile can't say these.
        if group.ty.starts_with(words::TEMPLATE) || name == words::DEPENDENTS {
            continue;
        }
        let base = delivered.and_then(|groups| groups.get(&name));
        let differs = |prop: &String, property: &Property| {
            let was = base.and_then(|group| group.get(prop));
            was != Some(property) || (name == words::GENERAL && prop == words::ENABLED)
        };
        let mut changed = PropertyGroup::new(&group.ty);
        changed.props = group.props;
        changed.props.retain(|prop, property| differs(prop, property));
        if !changed.props.is_empty() || base.is_none() {
            level.groups.insert(name, changed);
        }
    }
    level
}
