//! An archive back into the repository (svccfg(8), restore): its services become what it says.

use super::dependents::{delivered, is_external};
use super::import::{groups_now, refresh};
use super::{Bundle, Dependent, Level, ManifestError};
use crate::fmri::Fmri;
use crate::repo::{Change, Repo, RepoError};
use crate::value::{Groups, Property, PropertyGroup};

/// What the backup that is made before is called.
const BACKUP: &str = "restore";

/// Makes the services and instances of `archive` what it says, service by service, each all or
/// nothing; those that it doesn't name stay as they are. Returns the services.
pub fn restore(repo: &Repo, archive: &Bundle) -> Result<Vec<Fmri>, ManifestError> {
    repo.back_up(BACKUP)?;
    for manifest in &archive.services {
        repo.edit(|| -> Result<_, ManifestError> {
            let service = &manifest.service;
            let mut changes = vec![Change::AddService(service.clone())];
            changes.extend(level(repo, service, &manifest.level)?);
            for instance in &manifest.instances {
                let fmri = service.with_instance(&instance.name);
                changes.push(Change::AddInstance(fmri.clone()));
                changes.extend(level(repo, &fmri, &instance.level)?);
            }
            changes.extend(refresh(repo, service)?);
            Ok((changes, ()))
        })?;
    }
    Ok(archive.services.iter().map(|manifest| manifest.service.clone()).collect())
}

/// Makes what is attached to `fmri` what the archive has there. What the manifests of others have
/// put there is theirs: it comes back with them.
fn level(repo: &Repo, fmri: &Fmri, level: &Level) -> Result<Vec<Change>, RepoError> {
    let Level { groups, dependents, .. } = delivered(level);
    let mut now = groups_now(repo, fmri)?;
    now.retain(|_, group| group.persistent && !is_external(group));
    let gone = now.keys().filter(|pg| !groups.contains_key(*pg));
    let mut changes: Vec<Change> =
        gone.map(|pg| Change::DelPg { fmri: fmri.clone(), pg: pg.clone() }).collect();
    for (pg, group) in &groups {
        changes.extend(replace(fmri, pg, now.get(pg), group));
    }
    for (name, Dependent { target, group, .. }) in &dependents {
        changes.push(match target.is_instance() {
            true => Change::AddInstance(target.clone()),
            false => Change::AddService(target.clone()),
        });
        let there: Groups = groups_now(repo, target)?;
        changes.extend(replace(target, name, there.get(name), group));
    }
    Ok(changes)
}

/// Makes group `pg` of `fmri`, which is `now`, the same as `then`.
fn replace(
    fmri: &Fmri,
    pg: &str,
    now: Option<&PropertyGroup>,
    then: &PropertyGroup,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let same_type = now.filter(|now| now.ty == then.ty && now.persistent);
    if now.is_some() && same_type.is_none() {
        changes.push(Change::DelPg { fmri: fmri.clone(), pg: pg.to_owned() });
    }
    let ty = then.ty.clone();
    changes.push(Change::AddPg { fmri: fmri.clone(), pg: pg.to_owned(), ty, persistent: true });
    let gone = same_type.into_iter().flat_map(|now| now.props.keys());
    for prop in gone.filter(|prop| !then.props.contains_key(*prop)) {
        let (fmri, pg, prop) = (fmri.clone(), pg.to_owned(), prop.clone());
        changes.push(Change::DelProp { fmri, pg, prop });
    }
    for (prop, Property { ty, values }) in then.props.clone() {
        let (fmri, pg) = (fmri.clone(), pg.to_owned());
        changes.push(Change::SetProp { fmri, pg, prop, ty, values });
    }
    changes
}
