//! Profiles, and what concerns files or the repository as a whole: apply, archive, cleanup,
//! extract, inventory.

use std::path::Path;

use svc::manifest::{self, Bundle, BundleKind, ManifestError};
use svc::repo::RepoError;

use super::manifest::deliver;
use super::{Command, syntax, words};
use crate::lexer::Token;
use crate::session::{Result, Session};

/// Where manifests are imported from at boot.
const MANIFESTS: &str = "/lib/svc/manifest";

pub const COMMANDS: &[Command] = &[
    Command { name: "apply", run: apply },
    Command { name: "archive", run: archive },
    Command { name: "cleanup", run: cleanup },
    Command { name: "extract", run: extract },
    Command { name: "inventory", run: inventory },
];

fn apply(session: &mut Session, args: &[Token]) -> Result<()> {
    let (dry_run, file) = match words("apply", args, 1, 2)?.as_slice() {
        ["-n", file] => (true, *file),
        [file] => (false, *file),
        _ => return syntax("apply"),
    };
    let bundle = manifest::load(Path::new(file))?;
    bundle.expect(BundleKind::Profile, Path::new(file))?;
    let done = manifest::apply(session.repo()?, &bundle, dry_run)?;
    for fmri in &done.absent {
        eprintln!("svccfg: {fmri} doesn't exist; what {file} says of it is left out");
    }
    let verb = if dry_run { "would change" } else { "changed" };
    for fmri in &done.applied {
        let line = format!("{fmri} {verb}");
        if dry_run { session.print(&format!("{line}\n"))? } else { session.report(&line) }
    }
    Ok(())
}

fn archive(session: &mut Session, args: &[Token]) -> Result<()> {
    let repo = session.repo()?;
    let services = repo.services()?.into_iter();
    let services = services.map(|service| manifest::from_repo(repo, &service));
    let services = services.collect::<std::result::Result<_, RepoError>>()?;
    let bundle = Bundle { kind: BundleKind::Archive, name: "none".to_owned(), services };
    deliver(session, "archive", args, &manifest::to_xml(&bundle).map_err(ManifestError::from)?)
}

fn extract(session: &mut Session, args: &[Token]) -> Result<()> {
    let (toml, args) = match args {
        [option, rest @ ..] if option.text() == Some("-t") => (true, rest),
        args => (false, args),
    };
    let profile = manifest::extract(session.repo()?)?;
    let text = if toml {
        manifest::profile_to_toml(&profile)
    } else {
        manifest::to_xml(&profile).map_err(ManifestError::from)?
    };
    deliver(session, "extract", args, &text)
}

fn inventory(session: &mut Session, args: &[Token]) -> Result<()> {
    let file = words("inventory", args, 1, 1)?[0];
    let bundle = manifest::load(Path::new(file))?;
    for manifest in &bundle.services {
        for instance in &manifest.instances {
            let fmri = manifest.service.with_instance(&instance.name);
            session.print(&format!("{fmri}\n"))?;
        }
        session.print(&format!("{}\n", manifest.service))?;
    }
    Ok(())
}

fn cleanup(session: &mut Session, args: &[Token]) -> Result<()> {
    words("cleanup", args, 0, 0)?;
    let report = manifest::cleanup(session.repo()?, &svc::root(MANIFESTS))?;
    report.removed.iter().for_each(|fmri| session.report(&format!("{fmri} removed")));
    report.warnings.iter().for_each(|warning| eprintln!("svccfg: {warning}"));
    Ok(())
}
