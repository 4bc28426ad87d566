//! Services and instances: list, select, add, delete.

use svc::fmri::{self, Fmri};
use svc::glob;
use svc::manifest;
use svc::repo::{Change, View};

use super::{Command, switches, words};
use crate::lexer::Token;
use crate::session::{Result, Session, fail};

pub const COMMANDS: &[Command] = &[
    Command { name: "add", run: add },
    Command { name: "delete", run: delete },
    Command { name: "list", run: list },
    Command { name: "select", run: select },
    Command { name: "unselect", run: unselect },
];

/// What an entity has besides its children.
const NAMESPACES: &str = ":properties\n";

fn list(session: &mut Session, args: &[Token]) -> Result<()> {
    let pattern = words("list", args, 0, 1)?.first().copied();
    let repo = session.repo()?;
    let (mut text, names): (_, Vec<String>) = match &session.selection {
        None => (String::new(), repo.services()?.into_iter().map(|fmri| fmri.service).collect()),
        Some(fmri) if fmri.is_instance() => (NAMESPACES.to_owned(), Vec::new()),
        Some(fmri) => {
            let mut instances = repo.instances()?;
            instances.retain(|instance| instance.service == fmri.service);
            let names = instances.into_iter().filter_map(|instance| instance.instance);
            (NAMESPACES.to_owned(), names.collect())
        }
    };
    let wanted = |name: &&String| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    names.iter().filter(wanted).for_each(|name| text.extend([name.as_str(), "\n"]));
    session.print(&text)
}

fn select(session: &mut Session, args: &[Token]) -> Result<()> {
    let word = words("select", args, 1, 1)?[0];
    session.selection = Some(session.resolve(word)?);
    session.snapshot = None;
    Ok(())
}

fn unselect(session: &mut Session, args: &[Token]) -> Result<()> {
    words("unselect", args, 0, 0)?;
    session.snapshot = None;
    session.selection = match session.selection.take() {
        Some(fmri) if fmri.is_instance() => Some(fmri.service()),
        Some(_) => None,
        None => return fail("Cannot unselect at scope level."),
    };
    Ok(())
}

fn add(session: &mut Session, args: &[Token]) -> Result<()> {
    let name = words("add", args, 1, 1)?[0];
    let repo = session.repo()?;
    match &session.selection {
        Some(fmri) if fmri.is_instance() => fail("Cannot add entities to an instance."),
        Some(service) => {
            let fmri = service.with_instance(name);
            if !fmri::is_name(name) {
                return fail("Invalid name.");
            }
            if repo.instances()?.contains(&fmri) {
                return fail("Instance already exists.");
            }
            session.commit(vec![Change::AddInstance(fmri)])
        }
        None => {
            let fmri = Fmri { service: name.to_owned(), instance: None };
            if !fmri::is_service_name(name) {
                return fail("Invalid name.");
            }
            if repo.services()?.contains(&fmri) {
                return fail("Service already exists.");
            }
            session.commit(vec![Change::AddService(fmri)])
        }
    }
}

fn delete(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([force], args) = switches("delete", args, ['f'])?;
    let doomed = session.resolve(words("delete", args, 1, 1)?[0])?;
    if !force && let Some(fmri) = running_part(session, &doomed)? {
        return fail(format!("Instance {fmri} may be running.  Use delete -f if it is not."));
    }
    let mut changes = manifest::withdraw(session.repo()?, &doomed)?;
    changes.push(Change::Delete(doomed.clone()));
    session.commit(changes)?;
    // Nothing below what is gone stays selected.
    let gone = |fmri: &Fmri| *fmri == doomed || fmri.service() == doomed;
    if session.selection.as_ref().is_some_and(gone) {
        session.snapshot = None;
        session.selection = doomed.is_instance().then(|| doomed.service());
    }
    Ok(())
}

/// An instance of `fmri`, or `fmri` itself, that is up.
fn running_part(session: &Session, fmri: &Fmri) -> Result<Option<Fmri>> {
    let repo = session.repo()?;
    for instance in repo.instances()? {
        let concerned = instance == *fmri || instance.service() == *fmri;
        if !concerned {
            continue;
        }
        let state = repo.pg(&instance, "restarter", &View::Direct)?;
        let state = state.as_ref().and_then(|group| group.first("state"));
        if matches!(state, Some("online" | "degraded")) {
            return Ok(Some(instance));
        }
    }
    Ok(None)
}
