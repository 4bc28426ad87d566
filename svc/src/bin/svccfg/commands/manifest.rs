//! Manifests and archives of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{self, Path};

use svc::manifest::{self, Bundle, BundleKind, Manifest, ManifestError};
use svc::repo::View;

use super::validate::{tell, violations};
use super::{Command, secrets, switches, syntax, words};
use crate::lexer::Token;
use crate::session::{Error, Result, Session, fail};

/// Where manifests are imported from at boot.
const MANIFESTS: &str = "/lib/svc/manifest";

pub const COMMANDS: &[Command] = &[
    Command { name: "archive", run: archive },
    Command { name: "cleanup", run: cleanup },
    Command { name: "delhash", run: delhash },
    Command { name: "export", run: export },
    Command { name: "import", run: import },
    Command { name: "inventory", run: inventory },
    Command { name: "restore", run: restore },
];

fn archive(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([all], args) = switches("archive", args, ['a'])?;
    let repo = session.repo()?;
    let services = repo.services()?.into_iter();
    let services = services.map(|service| manifest::from_repo(repo, &service, secrets(all)));
    let services = services.collect::<std::result::Result<_, ManifestError>>()?;
    let (name, includes) = ("none".to_owned(), Vec::new());
    let bundle = Bundle { kind: BundleKind::Archive, name, services, includes };
    deliver(session, "archive", args, &manifest::to_xml(&bundle).map_err(ManifestError::from)?)
}

fn restore(session: &mut Session, args: &[Token]) -> Result<()> {
    let file = Path::new(words("restore", args, 1, 1)?[0]);
    let bundle = manifest::load(file)?;
    bundle.expect(BundleKind::Archive, file)?;
    for service in manifest::restore(session.repo()?, &bundle)? {
        session.report(&format!("{service} restored from {}", file.display()));
    }
    Ok(())
}

fn import(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([strict], args) = switches("import", args, ['V'])?;
    let paths = words("import", args, 1, usize::MAX)?;
    let strict = strict || session.interactive;
    each_file("Import", &paths, |file| import_file(session, file, strict))
}

/// Does `work` with each file of `paths`, which may be folders. Of several, one that fails keeps
/// none of the others back.
pub fn each_file(
    what: &str,
    paths: &[&str],
    mut work: impl FnMut(&Path) -> Result<()>,
) -> Result<()> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(manifest::files(Path::new(path))?);
    }
    if let [file] = files.as_slice() {
        return work(file);
    }
    let mut failed = 0;
    for file in &files {
        if let Err(error) = work(file) {
            eprintln!("svccfg: {error}");
            failed += 1;
        }
    }
    if failed == 0 {
        Ok(())
    } else {
        fail(format!("{what} of {failed} of {} files failed.", files.len()))
    }
}

/// Imports a file; if that has to be `strict`, only one that is as its templates say.
fn import_file(session: &Session, file: &Path, strict: bool) -> Result<()> {
    let bundle = manifest::load(file)?;
    bundle.expect(BundleKind::Manifest, file)?;
    let violations = violations(Some(session.repo()?), &bundle)?;
    tell(&violations, if strict { "" } else { "Warning: " });
    if strict && !violations.is_empty() {
        return fail(format!("Import of {} failed.", file.display()));
    }
    for manifest in &bundle.services {
        import_service(session, manifest)?;
        session.report(&format!("{} imported from {}", manifest.service, file.display()));
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
    let ([all, toml], args) = switches("export", args, ['a', 't'])?;
    let Some((word, args)) = args.split_first() else { return syntax("export") };
    let Some(word) = word.text() else { return syntax("export") };
    let fmri = session.resolve(word)?;
    if fmri.is_instance() && !word.starts_with("svc:") {
        return fail(format!("\"{word}\" is instance {fmri}; a service is expected."));
    }
    if fmri.is_instance() {
        eprintln!("svccfg: {fmri} is an instance; its service is exported");
    }
    let manifest = manifest::from_repo(session.repo()?, &fmri.service(), secrets(all))?;
    let text = if toml {
        manifest::to_toml(&manifest)
    } else {
        manifest::to_xml(&Bundle::of(manifest)).map_err(ManifestError::from)?
    };
    deliver(session, "export", args, &text)
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

fn delhash(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([absent], args) = switches("delhash", args, ['d'])?;
    let file = Path::new(words("delhash", args, 1, 1)?[0]);
    let failed = |error| Error::Failed(format!("{}: {error}", file.display()));
    let file =
        if absent { path::absolute(file) } else { fs::canonicalize(file) }.map_err(failed)?;
    Ok(manifest::forget(session.repo()?, &file)?)
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
