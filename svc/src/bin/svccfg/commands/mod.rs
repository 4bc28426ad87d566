//! The commands: one table for dispatch and help, and what they have in common.

mod describe;
mod edit;
mod entity;
mod environment;
mod manifest;
mod profile;
mod property;
mod snapshot;

use svc::cli::{SVCCFG, Subcommand, prose};

use crate::lexer::Token;
use crate::session::{Error, Result, Session, fail};

/// A command of svccfg.
pub struct Command {
    /// Its first word.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&mut Session, &[Token]) -> Result<()>,
}

/// The commands; `svc::cli::SVCCFG` describes each.
const COMMANDS: [&[Command]; 9] = [
    &[
        Command { name: "end", run: end },
        Command { name: "exit", run: end },
        Command { name: "help", run: help },
        Command { name: "quit", run: end },
    ],
    manifest::COMMANDS,
    profile::COMMANDS,
    entity::COMMANDS,
    snapshot::COMMANDS,
    property::COMMANDS,
    edit::COMMANDS,
    describe::COMMANDS,
    environment::COMMANDS,
];

/// The names of all commands.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.into_iter().flatten().map(|command| command.name)
}

/// The command called `name`.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.into_iter().flatten().find(|command| command.name == name)
}

fn syntax<T>(name: &str) -> Result<T> {
    Err(Error::Syntax(SVCCFG.subcommand(name).map_or("", |command| command.synopsis)))
}

/// The arguments of command `name`: plain words only, between `least` and `most` of them.
fn words<'t>(name: &str, args: &'t [Token], least: usize, most: usize) -> Result<Vec<&'t str>> {
    let words: Option<Vec<&str>> = args.iter().map(Token::text).collect();
    match words {
        Some(words) if (least..=most).contains(&words.len()) => Ok(words),
        _ => syntax(name),
    }
}

fn end(session: &mut Session, args: &[Token]) -> Result<()> {
    words("end", args, 0, 0)?;
    session.ended = true;
    Ok(())
}

fn help(session: &mut Session, args: &[Token]) -> Result<()> {
    let Some(name) = words("help", args, 0, 1)?.first().copied() else {
        return session.print(&all_commands());
    };
    match SVCCFG.subcommand(name) {
        Some(command) => {
            let text = prose::plain(command.text);
            session.print(&format!("{}\n\n{text}\n", command.synopsis))
        }
        None => fail(format!("Unknown command \"{name}\".")),
    }
}

/// The names of all commands under their headings.
fn all_commands() -> String {
    let under_headings = SVCCFG.subcommands.chunk_by(|one, next| one.heading == next.heading);
    let line = |commands: &[Subcommand]| {
        let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
        format!("{:<29}{}\n", format!("{}:", commands[0].heading), names.join(" "))
    };
    under_headings.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_is_described() {
        let described = SVCCFG.subcommands.iter().map(|command| command.name);
        assert!(described.eq(names()), "svc::cli::SVCCFG and COMMANDS differ");
    }
}
