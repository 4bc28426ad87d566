//! Profiles: what one machine or site wants of services that are there (svccfg(8), apply and
//! extract).

use super::custom::{delivered_to, differing};
use super::export::{attached, protect};
use super::import::{groups_now, refresh};
use super::{Bundle, BundleKind, Instance, Level, Manifest, ManifestError, Secrets, words};
use crate::fmri::{Fmri, PropFmri};
use crate::repo::{Change, Repo};
use crate::value::{Groups, Property};

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

/// Which settings a profile is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// What was changed here since the last import, and which instances are enabled.
    Admin,
    /// What the last import delivered.
    Manifest,
    /// Everything as it is edited now.
    Current,
}

/// The profile of this machine. Protected groups are in it without their properties, unless
/// `secrets` are included: a profile takes away the values that it doesn't have.
pub fn extract(repo: &Repo, layer: Layer, secrets: Secrets) -> Result<Bundle, ManifestError> {
    let mut services = Vec::new();
    let instances = repo.instances()?;
    for service in repo.services()? {
        let level = settings(repo, &service, layer, secrets)?;
        let mut manifest = Manifest { service, level, instances: Vec::new() };
        for fmri in instances.iter().filter(|fmri| fmri.service == manifest.service.service) {
            let level = settings(repo, fmri, layer, secrets)?;
            let name = fmri.instance.clone().unwrap_or_default();
            manifest.instances.push(Instance { name, level });
        }
        if !manifest.instances.is_empty() {
            services.push(manifest);
        }
    }
    Ok(Bundle {
        kind: BundleKind::Profile,
        name: "extract".to_owned(),
        services,
        includes: Vec::new(),
    })
}

/// What a profile says of `fmri`.
fn settings(
    repo: &Repo,
    fmri: &Fmri,
    layer: Layer,
    secrets: Secrets,
) -> Result<Level, ManifestError> {
    let (now, base) = (attached(repo, fmri)?.groups, delivered_to(repo, fmri)?);
    let is_enabled = |pg: &str, prop: &str| pg == words::GENERAL && prop == words::ENABLED;
    let mut groups = match (layer, base) {
        // A service without instances has no last import to differ from.
        (Layer::Admin, None) if !fmri.is_instance() => Groups::new(),
        (Layer::Admin, base) => differing(now, &base.unwrap_or_default(), is_enabled),
        (Layer::Manifest, base) => base.unwrap_or_default(),
        (Layer::Current, _) => now,
    };
    // A profile can't say these.
    groups.retain(|pg, group| !group.ty.starts_with(words::TEMPLATE) && pg != words::DEPENDENTS);
    protect(repo, fmri, &mut groups, secrets, |group| group.props.clear())?;
    Ok(Level { groups, ..Level::default() })
}
