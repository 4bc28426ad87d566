//! The files that manifests come from: one by one, or a folder at boot, where what has not changed
//! since it was last imported is left alone, and what is gone takes its services with it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::import::{import, import_with, last_import};
use super::{Bundle, BundleKind, ManifestError, parse_bundle, parse_xml, words};
use crate::fmri::Fmri;
use crate::repo::{Change, Repo, RepoError, View};
use crate::value::{Groups, PropType};

/// The service that remembers which manifests were imported.
const REGISTER: &str = "smf/manifest";
/// What a backup before an import is called.
const BACKUP: &str = "manifest_import";
/// What the names of its groups begin with, one for each file.
const PREFIX: &str = "manifest_";

/// What an import of a folder did.
#[derive(Debug, Default)]
pub struct Report {
    /// The services whose manifest was new or had changed.
    pub imported: Vec<Fmri>,
    /// The instances that went with their manifest.
    pub removed: Vec<Fmri>,
    /// What the manifests could not have their way with, a line each.
    pub warnings: Vec<String>,
    /// Manifests that could not be imported; the others were.
    pub failures: Vec<ManifestError>,
}

/// How many files a bundle may consist of, each counted as often as it is included.
const FILES_MAX: usize = 256;

/// Reads the manifest or profile at `path`, XML or TOML, with what it includes.
pub fn load(path: &Path) -> Result<Bundle, ManifestError> {
    read(path).and_then(|text| understand(path, &text))
}

fn read(path: &Path) -> Result<String, ManifestError> {
    let failed = |source| ManifestError::Read { path: path.to_owned(), source };
    fs::read_to_string(path).map_err(failed)
}

fn understand(path: &Path, text: &str) -> Result<Bundle, ManifestError> {
    let mut left = FILES_MAX;
    include(path, parse_text(path, text)?, &mut left)
}

/// Adds what a bundle includes; names are relative to its folder.
fn include(path: &Path, mut bundle: Bundle, left: &mut usize) -> Result<Bundle, ManifestError> {
    for wanted in std::mem::take(&mut bundle.includes) {
        let failed = |why: String| ManifestError::Include {
            path: path.to_owned(),
            href: wanted.href.clone(),
            why,
        };
        *left -= 1;
        if *left == 0 {
            return Err(failed(format!("files include each other, or are more than {FILES_MAX}")));
        }
        let file = included(path, &wanted.href).ok_or_else(|| failed("is no file".to_owned()))?;
        let text = match read(&file) {
            Err(ManifestError::Read { source, .. })
                if wanted.is_optional && source.kind() == io::ErrorKind::NotFound =>
            {
                continue;
            }
            text => text?,
        };
        let inner = include(&file, parse_text(&file, &text)?, left)?;
        if inner.kind != bundle.kind {
            let (found, expected) = (inner.kind, bundle.kind);
            return Err(ManifestError::WrongKind { path: file, found, expected });
        }
        for service in inner.services {
            bundle.add(service).map_err(failed)?;
        }
    }
    Ok(bundle)
}

/// The file that a path or a `file:` URI names; a whole path is one in our root.
fn included(from: &Path, href: &str) -> Option<PathBuf> {
    let name = match href.split_once(':') {
        None => href,
        Some(("file", rest)) => rest.strip_prefix("//localhost").unwrap_or(rest),
        Some(_) => return None,
    };
    match name.starts_with('/') {
        true => Some(crate::root(&format!("/{}", name.trim_start_matches('/')))),
        false => Some(from.with_file_name(name)),
    }
}

/// XML says by its first character what it is.
fn parse_text(path: &Path, text: &str) -> Result<Bundle, ManifestError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_xml = text.trim_start().starts_with('<');
    let parsed = if is_xml { parse_xml(text) } else { parse_bundle(text) };
    parsed.map_err(|source| ManifestError::Syntax { path: path.to_owned(), source })
}

/// Imports the manifests (`*.toml`, `*.xml`) in `folder` that are new or have changed since their
/// last import, and removes the services of those that are gone. Of one that is there in both
/// forms only TOML counts. A bad manifest is reported and keeps none of the others back.
pub fn import_new(repo: &Repo, folder: &Path) -> Result<Report, ManifestError> {
    let mut report = Report::default();
    let files = manifests_in(folder)?;
    let known = remembered(repo)?;
    for path in &files {
        match import_if_new(repo, path, &known, &mut report) {
            Err(ManifestError::Repo(error @ (RepoError::Lost(_) | RepoError::Connect { .. }))) => {
                return Err(error.into());
            }
            Err(error) => report.failures.push(error),
            Ok(()) => {}
        }
    }
    // An empty folder is a file system that isn't mounted rather than a wish.
    if !files.is_empty() {
        remove_gone(repo, folder, &files, &mut report)?;
    }
    Ok(report)
}

/// Removes the services of the manifests that are gone from `folder`.
pub fn cleanup(repo: &Repo, folder: &Path) -> Result<Report, ManifestError> {
    let mut report = Report::default();
    remove_gone(repo, folder, &manifests_in(folder)?, &mut report)?;
    Ok(report)
}

/// The file at `path`, or the manifests in the folder there.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    if path.is_dir() { manifests_in(path) } else { Ok(vec![path.to_owned()]) }
}

/// Forgets that the manifest at `path` was imported, so that the next boot imports it again.
pub fn forget(repo: &Repo, path: &Path) -> Result<(), ManifestError> {
    let pg = register_group(path);
    let file = remembered(repo)?.remove(&pg);
    let file = file.and_then(|group| group.first("manifestfile").map(PathBuf::from));
    if file.is_none_or(|file| file != path) {
        return Err(ManifestError::NotRemembered(path.to_owned()));
    }
    repo.commit(vec![Change::DelPg { fmri: register(), pg }])?;
    Ok(())
}

fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let failed = |source| ManifestError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml" || extension == "xml") {
            paths.push(path);
        }
    }
    let all: BTreeSet<PathBuf> = paths.iter().cloned().collect();
    let counts = |path: &PathBuf| {
        let in_toml = path.with_extension("toml");
        *path == in_toml || !all.contains(&in_toml)
    };
    paths.retain(counts);
    paths.sort();
    Ok(paths)
}

fn register() -> Fmri {
    Fmri { service: REGISTER.to_owned(), instance: None }
}

/// What is remembered of each file.
fn remembered(repo: &Repo) -> Result<Groups, RepoError> {
    match repo.pgs(&register(), &View::Direct) {
        Err(error) if error.is_not_found() => Ok(Groups::new()),
        groups => groups,
    }
}

fn import_if_new(
    repo: &Repo,
    path: &Path,
    known: &Groups,
    report: &mut Report,
) -> Result<(), ManifestError> {
    let text = read(path)?;
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let pg = register_group(path);
    if known.get(&pg).is_some_and(|group| group.first("digest") == Some(&digest)) {
        return Ok(());
    }
    let bundle = understand(path, &text)?;
    bundle.expect(BundleKind::Manifest, path)?;
    if report.imported.is_empty() {
        back_up(repo, report)?;
    }
    let services = bundle.services.iter().map(|manifest| manifest.service.to_string()).collect();
    // With the last, so that a file is done with only when all of its services are there.
    let note = note(path, &pg, digest, services);
    let Some((last, others)) = bundle.services.split_last() else {
        return Ok(repo.commit(note).map(drop)?);
    };
    for manifest in others {
        report.warnings.extend(import(repo, manifest)?);
        report.imported.push(manifest.service.clone());
    }
    report.warnings.extend(import_with(repo, last, &note)?);
    report.imported.push(last.service.clone());
    Ok(())
}

/// Before the first import: one that went wrong can be undone.
fn back_up(repo: &Repo, report: &mut Report) -> Result<(), RepoError> {
    match repo.back_up(BACKUP) {
        // No room for it, say; the import itself is all or nothing.
        Err(RepoError::Refused(failure)) => {
            report.warnings.push(format!("no backup before the import: {failure}"));
            Ok(())
        }
        result => result,
    }
}

fn note(path: &Path, pg: &str, digest: String, services: Vec<String>) -> Vec<Change> {
    let record = |prop: &str, ty, values: Vec<String>| {
        let (fmri, pg, prop) = (register(), pg.to_owned(), prop.to_owned());
        Change::SetProp { fmri, pg, prop, ty, values }
    };
    let ty = words::FRAMEWORK.to_owned();
    vec![
        Change::AddService(register()),
        Change::AddPg { fmri: register(), pg: pg.to_owned(), ty, persistent: true },
        record("manifestfile", PropType::Astring, vec![path.display().to_string()]),
        record("digest", PropType::Opaque, vec![digest]),
        record("services", PropType::Fmri, services),
    ]
}

/// The property group that remembers the manifest at `path`.
fn register_group(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("{PREFIX}{}", name.chars().map(safe).collect::<String>())
}

/// Removes what only files delivered that are no longer in `folder`.
fn remove_gone(
    repo: &Repo,
    folder: &Path,
    files: &[PathBuf],
    report: &mut Report,
) -> Result<(), ManifestError> {
    let of_folder = |group: &str| Path::new(group).parent() == Some(folder);
    let there: BTreeSet<String> = files.iter().map(|path| register_group(path)).collect();
    let (mut kept, mut gone) = (BTreeSet::new(), Vec::new());
    for (pg, group) in remembered(repo)? {
        let services = group.get("services").map(|property| property.values.clone());
        let services = services.unwrap_or_default();
        if there.contains(&pg) || !group.first("manifestfile").is_some_and(of_folder) {
            kept.extend(services);
        } else {
            gone.push((pg, services));
        }
    }
    for (pg, services) in gone {
        let mut settled = true;
        for service in services.iter().filter(|service| !kept.contains(*service)) {
            let Ok(service) = Fmri::parse(service) else { continue };
            settled &= remove(repo, &service, report)?;
        }
        if settled {
            repo.commit(vec![Change::DelPg { fmri: register(), pg }])?;
        }
    }
    Ok(())
}

/// Removes the instances of `service` that an import delivered, and the service with the last one.
/// One that is up is only disabled, and goes at the next boot. Returns whether nothing is left to
/// be done.
fn remove(repo: &Repo, service: &Fmri, report: &mut Report) -> Result<bool, RepoError> {
    let mut instances = repo.instances()?;
    instances.retain(|instance| instance.service == service.service);
    let (mut changes, mut remaining, mut is_up) = (Vec::new(), 0, false);
    for instance in instances {
        if last_import(repo, &instance)?.is_none() {
            remaining += 1;
        } else if up(repo, &instance)? {
            is_up = true;
            remaining += 1;
            changes.push(disable(&instance));
        } else {
            report.removed.push(instance.clone());
            changes.push(Change::Delete(instance));
        }
    }
    if remaining == 0 && repo.services()?.contains(service) {
        changes = vec![Change::Delete(service.clone())];
    }
    if !changes.is_empty() {
        repo.commit(changes)?;
    }
    Ok(!is_up)
}

fn up(repo: &Repo, instance: &Fmri) -> Result<bool, RepoError> {
    let state = repo.pg(instance, "restarter", &View::Direct)?;
    let state = state.as_ref().and_then(|group| group.first("state"));
    Ok(matches!(state, Some("online" | "degraded")))
}

fn disable(instance: &Fmri) -> Change {
    Change::SetProp {
        fmri: instance.clone(),
        pg: words::GENERAL.to_owned(),
        prop: words::ENABLED.to_owned(),
        ty: PropType::Boolean,
        values: vec![false.to_string()],
    }
}
