//! Snapshots of the selected instance, and making edits take effect.

use svc::fmri::Fmri;
use svc::repo::{Change, View, snapshots};
use svc::value::{Groups, Property};

use super::{Command, words};
use crate::lexer::Token;
use crate::session::{Error, Result, Session, fail};

pub const COMMANDS: &[Command] = &[
    Command { name: "listsnap", run: listsnap },
    Command { name: "refresh", run: refresh },
    Command { name: "revert", run: revert },
    Command { name: "selectsnap", run: selectsnap },
];

fn listsnap(session: &mut Session, args: &[Token]) -> Result<()> {
    words("listsnap", args, 0, 0)?;
    let names = session.repo()?.snapshots(session.selected_instance()?)?;
    session.print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())
}

fn selectsnap(session: &mut Session, args: &[Token]) -> Result<()> {
    let name = words("selectsnap", args, 0, 1)?.first().copied();
    let known = session.repo()?.snapshots(session.selected_instance()?)?;
    match name {
        Some(name) if !known.iter().any(|known| known == name) => {
            fail(format!("No such snapshot \"{name}\"."))
        }
        name => {
            session.snapshot = name.map(str::to_owned);
            Ok(())
        }
    }
}

fn revert(session: &mut Session, args: &[Token]) -> Result<()> {
    let named = words("revert", args, 0, 1)?.first().copied();
    let fmri = session.selected_instance()?.clone();
    let Some(name) = named.or(session.snapshot.as_deref()) else {
        return fail("No snapshot selected.");
    };
    let name = name.to_owned();
    session.edit(|session| {
        let repo = session.repo()?;
        let Some(then) = repo.read_snapshot(&fmri, &name)? else {
            return fail(format!("No such snapshot \"{name}\"."));
        };
        let mut changes =
            vec![Change::Snapshot { fmri: fmri.clone(), name: snapshots::PREVIOUS.to_owned() }];
        for (fmri, then) in [(fmri.clone(), then.instance), (fmri.service(), then.service)] {
            changes.extend(restore(&fmri, &repo.pgs(&fmri, &View::Direct)?, then));
        }
        Ok(changes)
    })?;
    if named.is_none() {
        session.snapshot = None;
    }
    Ok(())
}

/// What makes the persistent groups of `fmri` those of `then`. Whether an instance is enabled is
/// not undone: that is an act, not a setting.
fn restore(fmri: &Fmri, now: &Groups, then: Groups) -> Vec<Change> {
    let mut changes = Vec::new();
    for (pg, _) in now.iter().filter(|(_, group)| group.persistent) {
        changes.push(Change::DelPg { fmri: fmri.clone(), pg: pg.clone() });
    }
    let enabled = now.get("general").and_then(|group| group.get("enabled")).cloned();
    for (pg, mut group) in then {
        if let ("general", Some(enabled)) = (pg.as_str(), &enabled) {
            group.props.insert("enabled".to_owned(), enabled.clone());
        }
        let (fmri, ty) = (fmri.clone(), group.ty);
        changes.push(Change::AddPg { fmri: fmri.clone(), pg: pg.clone(), ty, persistent: true });
        for (prop, Property { ty, values }) in group.props {
            let (fmri, pg) = (fmri.clone(), pg.clone());
            changes.push(Change::SetProp { fmri, pg, prop, ty, values });
        }
    }
    changes
}

fn refresh(session: &mut Session, args: &[Token]) -> Result<()> {
    words("refresh", args, 0, 0)?;
    let (repo, fmri) = (session.repo()?, session.selected_instance()?);
    let done = match session.is_system() {
        true => repo.request_refresh(fmri),
        false => repo.snapshot(fmri, snapshots::RUNNING),
    };
    done.map_err(Error::from)
}
