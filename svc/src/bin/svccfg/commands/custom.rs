//! What was customised of the selection since its last import: delcust, listcust.

use svc::manifest::Customised;

use super::{Command, switches, words};
use crate::lexer::Token;
use crate::listing::{self, Depth};
use crate::session::{Result, Session};

pub const COMMANDS: &[Command] =
    &[Command { name: "delcust", run: delcust }, Command { name: "listcust", run: listcust }];

fn listcust(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([masked], args) = switches("listcust", args, ['M'])?;
    let pattern = words("listcust", args, 0, 1)?.first().copied();
    let customised = Customised::of(session.repo()?, session.selected()?)?;
    let groups = if masked { customised.masked() } else { customised.changed() };
    session.print(&listing::table(&groups, pattern, Depth::Properties))
}

fn delcust(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([masked], args) = switches("delcust", args, ['M'])?;
    let pattern = words("delcust", args, 0, 1)?.first().copied();
    session.edit(|session| {
        let customised = Customised::of(session.repo()?, session.editable()?)?;
        let groups = if masked { customised.masked() } else { customised.changed() };
        Ok(customised.undo(&listing::matching(&groups, pattern)))
    })
}
