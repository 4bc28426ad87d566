//! Answers to requests: who may do what, and which query serves whom.

use svc::repo::{Request, Response};

use crate::db::{Db, DbError, Part};
use crate::rights::Rights;

/// What a request leads to.
pub enum Answer {
    /// This, now.
    Now(Response),
    /// This, as soon as the commits are durable that wait for it.
    WhenSynced(Response),
    /// The changes after a generation, when there are any.
    Later {
        /// The last generation that the client knows.
        generation: u64,
        /// How long it waits, in milliseconds.
        timeout_ms: Option<u64>,
    },
}

/// Serves one request of a client with these rights. An error means that the repository
/// is damaged and can't be served any longer.
pub fn answer(db: &mut Db, request: Request, rights: &Rights) -> Result<Answer, DbError> {
    if let Request::Commit { changes } = request {
        let joined = db.join(changes, rights).map(|generation| Response::Committed { generation });
        let response = respond(joined)?;
        let waits = db.is_unsynced();
        return Ok(if waits { Answer::WhenSynced(response) } else { Answer::Now(response) });
    }
    if let Request::ChangesSince { generation, timeout_ms } = request {
        let nothing_yet = generation == db.generation() && timeout_ms != Some(0);
        return if nothing_yet {
            Ok(Answer::Later { generation, timeout_ms })
        } else {
            respond(changes(db, generation)).map(Answer::Now)
        };
    }
    respond(serve(db, request, rights)).map(Answer::Now)
}

/// The answer to a client that waits for what comes after `generation`.
pub fn changes(db: &Db, generation: u64) -> Result<Response, DbError> {
    let changed = db.changes_since(generation)?;
    Ok(Response::Changes { generation: db.generation(), changed })
}

fn respond(result: Result<Response, DbError>) -> Result<Response, DbError> {
    match result {
        Err(error) if error.is_damage() => Err(error),
        Err(error) => Ok(Response::Failed(error.failure())),
        ok => ok,
    }
}

fn serve(db: &mut Db, request: Request, rights: &Rights) -> Result<Response, DbError> {
    Ok(match request {
        Request::Instances => Response::Entities(db.entities(true)?),
        Request::Services => Response::Entities(db.entities(false)?),
        Request::Groups { fmri, view } => Response::Groups(db.groups(&fmri, &view, rights)?),
        Request::Group { fmri, pg, view } => {
            Response::Group(db.group(&fmri, Part::whole(&pg), &view, rights)?)
        }
        Request::Property { fmri, pg, prop, view } => {
            let part = Part { pg: &pg, prop: Some(&prop) };
            Response::Group(db.group(&fmri, part, &view, rights)?)
        }
        Request::GroupOfAll { pg, props, view } => {
            let all = db.group_of_all(&pg, &props, &view, rights)?;
            Response::GroupOfAll(all.into_iter().collect())
        }
        Request::Snapshots { fmri } => Response::Snapshots(db.snapshots(&fmri)?),
        Request::ReadSnapshot { fmri, name } => {
            Response::Snapshot(db.snapshot(&fmri, &name, rights)?)
        }
        Request::Backup { kind } => {
            db.back_up_for(&kind, rights)?;
            Response::BackedUp
        }
        Request::Commit { changes } => {
            let generation = db.join(changes, rights)?;
            db.sync()?;
            Response::Committed { generation }
        }
        Request::ChangesSince { generation, .. } => changes(db, generation)?,
    })
}
