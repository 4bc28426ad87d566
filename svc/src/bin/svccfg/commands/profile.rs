//! Profiles: apply, extract.

use std::path::Path;

use svc::manifest::{self, BundleKind, Layer, ManifestError};

use super::manifest::{deliver, each_file};
use super::{Command, options, secrets, switches, syntax, words};
use crate::lexer::Token;
use crate::session::{Result, Session};

pub const COMMANDS: &[Command] =
    &[Command { name: "apply", run: apply }, Command { name: "extract", run: extract }];

fn apply(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([dry_run], args) = switches("apply", args, ['n'])?;
    let path = words("apply", args, 1, 1)?;
    each_file("Application", &path, |file| apply_file(session, file, dry_run))
}

fn apply_file(session: &Session, file: &Path, dry_run: bool) -> Result<()> {
    let bundle = manifest::load(file)?;
    bundle.expect(BundleKind::Profile, file)?;
    let done = manifest::apply(session.repo()?, &bundle, dry_run)?;
    for fmri in &done.absent {
        eprintln!("svccfg: {fmri} doesn't exist; what {} says of it is left out", file.display());
    }
    let verb = if dry_run { "would change" } else { "changed" };
    for fmri in &done.applied {
        let line = format!("{fmri} {verb}");
        if dry_run { session.print(&format!("{line}\n"))? } else { session.report(&line) }
    }
    Ok(())
}

fn extract(session: &mut Session, args: &[Token]) -> Result<()> {
    let (options, args) = options("extract", args)?;
    let has = |letter| options.iter().any(|(given, _)| *given == letter);
    let layer = options.iter().rev().find_map(|(_, argument)| argument.as_deref());
    let layer = match layer {
        None | Some("admin") => Layer::Admin,
        Some("manifest") => Layer::Manifest,
        Some("current") => Layer::Current,
        Some(_) => return syntax("extract"),
    };
    let profile = manifest::extract(session.repo()?, layer, secrets(has('a')))?;
    let text = if has('t') {
        manifest::profile_to_toml(&profile)
    } else {
        manifest::to_xml(&profile).map_err(ManifestError::from)?
    };
    deliver(session, "extract", args, &text)
}
