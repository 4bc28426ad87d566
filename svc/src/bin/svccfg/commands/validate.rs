//! What isn't as its templates say: validate, for files and for instances.

use std::path::Path;

use svc::compose;
use svc::fmri::Fmri;
use svc::manifest::{self, Bundle};
use svc::repo::{Repo, RepoError, View, snapshots};
use svc::template::{self, Templates, Violation};
use svc::value::Groups;

use super::{Command, words};
use crate::lexer::Token;
use crate::session::{Result, Session, fail};

pub const COMMANDS: &[Command] = &[Command { name: "validate", run: validate }];

fn validate(session: &mut Session, args: &[Token]) -> Result<()> {
    let Some(word) = words("validate", args, 0, 1)?.first().copied() else {
        let snapshot = session.snapshot.as_deref();
        return instances(session, &[session.selected_instance()?.clone()], snapshot);
    };
    match file(word) {
        Some(file) => bundle(session, file),
        None => {
            let fmri = session.resolve(word)?;
            instances(session, &all_of(session, &fmri)?, None)
        }
    }
}

/// The file that `word` means. A file goes before a service of that name, unless the word says
/// which it is; no service's name begins as a path does.
fn file(word: &str) -> Option<&Path> {
    if word.starts_with("svc:") {
        return None;
    }
    let path = Path::new(word.strip_prefix("file:").unwrap_or(word));
    let is_path = word.starts_with(['/', '.']) || word.starts_with("file:");
    (is_path || path.exists()).then_some(path)
}

/// Checks what a file delivers.
fn bundle(session: &Session, file: &Path) -> Result<()> {
    let bundle = manifest::load(file)?;
    // A file can be checked where there is no repository, but for what others say of it there.
    let violations = violations(session.repo().ok(), &bundle)?;
    let file = file.display();
    conclude(&file.to_string(), &violations)?;
    for manifest in &bundle.services {
        session.report(&format!("{file} is {} of {}", bundle.kind, manifest.service));
    }
    Ok(())
}

/// The instances of a service, or the instance itself.
fn all_of(session: &Session, fmri: &Fmri) -> Result<Vec<Fmri>> {
    let mut instances = session.repo()?.instances()?;
    instances.retain(|instance| instance == fmri || instance.service() == *fmri);
    Ok(instances)
}

/// Checks instances as they are in a snapshot, `running` if none is named.
fn instances(session: &Session, fmris: &[Fmri], snapshot: Option<&str>) -> Result<()> {
    let repo = session.repo()?;
    let mut violations = Vec::new();
    for fmri in fmris {
        let name = snapshot.unwrap_or(snapshots::RUNNING);
        let (instance, service) = match repo.read_snapshot(fmri, name)? {
            Some(snapshot) => (snapshot.instance, snapshot.service),
            None => (repo.pgs(fmri, &View::Direct)?, repo.pgs(&fmri.service(), &View::Direct)?),
        };
        violations.extend(check(Some(repo), fmri, instance, service)?);
    }
    let what: Vec<String> = fmris.iter().map(ToString::to_string).collect();
    conclude(&what.join(" "), &violations)
}

/// What isn't as its templates say in the instances of a bundle.
pub fn violations(
    repo: Option<&Repo>,
    bundle: &Bundle,
) -> std::result::Result<Vec<Violation>, RepoError> {
    let mut violations = Vec::new();
    for manifest in &bundle.services {
        for instance in &manifest.instances {
            let fmri = manifest.service.with_instance(&instance.name);
            let (instance, service) =
                (instance.level.groups.clone(), manifest.level.groups.clone());
            violations.extend(check(repo, &fmri, instance, service)?);
        }
    }
    Ok(violations)
}

fn check(
    repo: Option<&Repo>,
    fmri: &Fmri,
    instance: Groups,
    service: Groups,
) -> std::result::Result<Vec<Violation>, RepoError> {
    let templates = Templates::of(repo, fmri, &instance, &service)?;
    Ok(template::validate(fmri, &compose::groups(instance, service), &templates))
}

/// Says each of `violations`.
pub fn tell(violations: &[Violation], prefix: &str) {
    violations.iter().for_each(|violation| eprintln!("svccfg: {prefix}{violation}"));
}

fn conclude(what: &str, violations: &[Violation]) -> Result<()> {
    tell(violations, "");
    if violations.is_empty() { Ok(()) } else { fail(format!("Validation of {what} failed.")) }
}
