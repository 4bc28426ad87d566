//! Manifests into the repository: one commit per manifest, with the snapshots that it entails.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::merge::merge;
use super::{Manifest, ManifestError, parse, words};
use crate::fmri::Fmri;
use crate::repo::snapshots::{INITIAL, LAST_IMPORT, PREVIOUS, RUNNING};
use crate::repo::{Change, Repo, RepoError, Snapshot, View};
use crate::value::{Groups, PropType};

/// The service that remembers which manifests were imported.
const REGISTER: &str = "smf/manifest";

/// What an import of a folder did.
#[derive(Debug, Default)]
pub struct Report {
    /// The services whose manifest was new or had changed.
    pub imported: Vec<Fmri>,
    /// What the manifests could not have their way with, a line each.
    pub warnings: Vec<String>,
    /// Manifests that could not be imported; the others were.
    pub failures: Vec<ManifestError>,
}

/// Reads the manifest at `path`.
pub fn load(path: &Path) -> Result<Manifest, ManifestError> {
    read(path).and_then(|text| understand(path, &text))
}

fn read(path: &Path) -> Result<String, ManifestError> {
    let failed = |source| ManifestError::Read { path: path.to_owned(), source };
    fs::read_to_string(path).map_err(failed)
}

fn understand(path: &Path, text: &str) -> Result<Manifest, ManifestError> {
    parse(text).map_err(|source| ManifestError::Syntax { path: path.to_owned(), source })
}

/// Imports the manifests (`*.toml`) in `folder` that are new or have changed since their last
/// import. A bad manifest is reported and keeps none of the others back.
pub fn import_new(repo: &Repo, folder: &Path) -> Result<Report, ManifestError> {
    let mut report = Report::default();
    for path in manifests_in(folder)? {
        match import_if_new(repo, &path) {
            Ok(None) => {}
            Ok(Some((service, warnings))) => {
                report.imported.push(service);
                report.warnings.extend(warnings);
            }
            Err(ManifestError::Repo(error @ (RepoError::Lost(_) | RepoError::Connect { .. }))) => {
                return Err(error.into());
            }
            Err(error) => report.failures.push(error),
        }
    }
    Ok(report)
}

fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let failed = |source| ManifestError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn import_if_new(repo: &Repo, path: &Path) -> Result<Option<(Fmri, Vec<String>)>, ManifestError> {
    let text = read(path)?;
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let register = Fmri { service: REGISTER.to_owned(), instance: None };
    let pg = register_group(path);
    let known = match repo.pg(&register, &pg, &View::Direct) {
        Err(error) if error.is_not_found() => None,
        known => known?,
    };
    if known.is_some_and(|group| group.first("digest") == Some(&digest)) {
        return Ok(None);
    }
    let manifest = understand(path, &text)?;
    let record = |prop: &str, ty, value: String| Change::SetProp {
        fmri: register.clone(),
        pg: pg.clone(),
        prop: prop.to_owned(),
        ty,
        values: vec![value],
    };
    let note = vec![
        Change::AddService(register.clone()),
        Change::AddPg {
            fmri: register.clone(),
            pg: pg.clone(),
            ty: words::FRAMEWORK.to_owned(),
            persistent: true,
        },
        record("manifestfile", PropType::Astring, path.display().to_string()),
        record("digest", PropType::Opaque, digest),
    ];
    let warnings = import_with(repo, &manifest, note)?;
    Ok(Some((manifest.service, warnings)))
}

/// The property group that remembers the manifest at `path`.
fn register_group(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("manifest_{}", name.chars().map(safe).collect::<String>())
}

/// Imports `manifest`, all or nothing. Returns a line for each thing that was changed both here
/// and in the manifest, and was left as it is.
pub fn import(repo: &Repo, manifest: &Manifest) -> Result<Vec<String>, RepoError> {
    import_with(repo, manifest, Vec::new())
}

fn import_with(
    repo: &Repo,
    manifest: &Manifest,
    extra: Vec<Change>,
) -> Result<Vec<String>, RepoError> {
    let service = &manifest.service;
    let mut instances = Vec::new();
    for instance in &manifest.instances {
        let fmri = service.with_instance(&instance.name);
        let delivered = match repo.read_snapshot(&fmri, LAST_IMPORT) {
            Err(error) if error.is_not_found() => None,
            delivered => delivered?,
        };
        instances.push((fmri, instance, delivered));
    }
    let base =
        instances.iter().find_map(|(_, _, delivered)| Some(delivered.as_ref()?.service.clone()));
    let mut merged =
        merge(service, &base.unwrap_or_default(), &groups_now(repo, service)?, &manifest.level);
    let mut changes = extra;
    changes.push(Change::AddService(service.clone()));
    let mut after = Vec::new();
    for (fmri, instance, delivered) in instances {
        if delivered.is_some() {
            changes.push(snapshot(&fmri, PREVIOUS));
        }
        changes.push(Change::AddInstance(fmri.clone()));
        let is_new = delivered.is_none();
        let base = delivered.unwrap_or_default().instance;
        let of_instance = merge(&fmri, &base, &groups_now(repo, &fmri)?, &instance.level);
        merged.changes.extend(of_instance.changes);
        merged.conflicts.extend(of_instance.conflicts);
        let content = Snapshot {
            instance: instance.level.groups.clone(),
            service: manifest.level.groups.clone(),
        };
        if is_new {
            after.push(put(&fmri, INITIAL, content.clone()));
        }
        after.push(put(&fmri, LAST_IMPORT, content));
        after.push(snapshot(&fmri, RUNNING));
    }
    changes.extend(merged.changes);
    changes.extend(after);
    repo.commit(changes)?;
    Ok(merged.conflicts)
}

fn groups_now(repo: &Repo, fmri: &Fmri) -> Result<Groups, RepoError> {
    match repo.pgs(fmri, &View::Direct) {
        Err(error) if error.is_not_found() => Ok(Groups::new()),
        groups => groups,
    }
}

fn snapshot(fmri: &Fmri, name: &str) -> Change {
    Change::Snapshot { fmri: fmri.clone(), name: name.to_owned() }
}

fn put(fmri: &Fmri, name: &str, content: Snapshot) -> Change {
    Change::PutSnapshot { fmri: fmri.clone(), name: name.to_owned(), content }
}
