//! Manifests: import, export, validate.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use svc::manifest::{self, Bundle, BundleKind, Manifest, ManifestError};
use svc::repo::View;

use super::{Command, syntax, words};
use crate::lexer::Token;
use crate::session::{Result, Session, fail};

pub const COMMANDS: &[Command] = &[
    Command { name: "export", run: export },
    Command { name: "import", run: import },
    Command { name: "validate", run: validate },
];

fn validate(session: &mut Session, args: &[Token]) -> Result<()> {
    let file = words("validate", args, 1, 1)?[0];
    let bundle = manifest::load(Path::new(file))?;
    for manifest in &bundle.services {
        session.report(&format!("{file} is {} of {}", bundle.kind, manifest.service));
    }
    Ok(())
}

fn import(session: &mut Session, args: &[Token]) -> Result<()> {
    let file = words("import", args, 1, 1)?[0];
    let bundle = manifest::load(Path::new(file))?;
    bundle.expect(BundleKind::Manifest, Path::new(file))?;
    for manifest in &bundle.services {
        import_service(session, manifest)?;
        session.report(&format!("{} imported from {file}", manifest.service));
    }
    Ok(())
}

fn import_service(session: &Session, manifest: &Manifest) -> Result<()> {
    let repo = session.repo()?;
    for warning in manifest::import(repo, manifest)? {
        eprintln!("svccfg: {warning}");
    }
    for instance in &manifest.instances {
        let fmri = manifest.service.with_instance(&instance.name);
        // Only whom a restarter knows has something to reread.
        if repo.pg(&fmri, "restarter", &View::Direct)?.is_some() {
            repo.request_refresh(&fmri)?;
        }
    }
    Ok(())
}

fn export(session: &mut Session, args: &[Token]) -> Result<()> {
    let (toml, args) = match args {
        [option, rest @ ..] if option.text() == Some("-t") => (true, rest),
        args => (false, args),
    };
    let Some((word, args)) = args.split_first() else { return syntax("export") };
    let Some(word) = word.text() else { return syntax("export") };
    let fmri = session.resolve(word)?;
    if fmri.is_instance() {
        eprintln!("svccfg: {fmri} is an instance; its service is exported");
    }
    let manifest = manifest::from_repo(session.repo()?, &fmri.service())?;
    let text = if toml {
        manifest::to_toml(&manifest)
    } else {
        manifest::to_xml(&Bundle::of(manifest)).map_err(ManifestError::from)?
    };
    deliver(session, "export", args, &text)
}

/// Writes what command `name` made to where the rest of its arguments says: `> file`, or nothing.
pub fn deliver(session: &Session, name: &str, args: &[Token], text: &str) -> Result<()> {
    match args {
        [] => session.print(text),
        [Token::Redirect, file] => {
            let Some(file) = file.text() else { return syntax(name) };
            write_whole(Path::new(file), text).or_else(|error| fail(format!("{file}: {error}")))
        }
        _ => syntax(name),
    }
}

/// Writes a file whole or not at all. What isn't a plain file (a terminal, a pipe) can only be
/// written to.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, text);
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = Path::new(&draft);
    let write = || {
        let mut file = File::create(draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(draft, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(draft);
    })
}
