//! The commands: one table for dispatch and help, and what they have in common.

mod custom;
mod describe;
mod edit;
mod entity;
mod environment;
mod manifest;
mod profile;
mod property;
mod snapshot;
mod validate;

use std::path::Path;

use svc::cli::{SVCCFG, Subcommand, prose};
use svc::getopt;
use svc::manifest::Secrets;

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
const COMMANDS: [&[Command]; 11] = [
    &[
        Command { name: "end", run: end },
        Command { name: "exit", run: end },
        Command { name: "help", run: help },
        Command { name: "quit", run: end },
        Command { name: "repository", run: repository },
        Command { name: "set", run: set },
    ],
    manifest::COMMANDS,
    validate::COMMANDS,
    profile::COMMANDS,
    entity::COMMANDS,
    snapshot::COMMANDS,
    property::COMMANDS,
    edit::COMMANDS,
    custom::COMMANDS,
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

/// Options with their arguments, and the arguments after them.
type Options<'t> = (Vec<(char, Option<String>)>, &'t [Token]);

/// The options of command `name` at the beginning of its arguments, as [`SVCCFG`] describes them.
fn options<'t>(name: &str, args: &'t [Token]) -> Result<Options<'t>> {
    let Some(command) = SVCCFG.subcommand(name) else { return syntax(name) };
    let words: Vec<String> = args.iter().map_while(Token::text).map(str::to_owned).collect();
    let count = words.len();
    match getopt::parse(words, &command.spec()) {
        Ok((options, operands)) => Ok((options, &args[count - operands.len()..])),
        Err(_) => syntax(name),
    }
}

/// The same for a command whose options are mere switches: whether each of `letters` is on.
fn switches<'t, const N: usize>(
    name: &str,
    args: &'t [Token],
    letters: [char; N],
) -> Result<([bool; N], &'t [Token])> {
    let (options, args) = options(name, args)?;
    Ok((letters.map(|letter| options.iter().any(|(given, _)| *given == letter)), args))
}

/// What `-a` says of secrets.
fn secrets(all: bool) -> Secrets {
    if all { Secrets::Include } else { Secrets::Omit }
}

fn repository(session: &mut Session, args: &[Token]) -> Result<()> {
    let file = words("repository", args, 1, 1)?[0];
    session.use_repository(Path::new(file))
}

fn set(session: &mut Session, args: &[Token]) -> Result<()> {
    let (options, args) = options("set", args)?;
    words("set", args, 0, 0)?;
    match options.last() {
        Some((letter, _)) => session.verbose = *letter == 'v',
        None => session.print(if session.verbose { "verbose\n" } else { "noverbose\n" })?,
    }
    Ok(())
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
            let mut text = format!("{}\n\n{}\n", command.synopsis, prose::plain(command.text));
            for option in command.options {
                text += &format!("  -{}  {}\n", option.letter, prose::plain(option.text));
            }
            session.print(&text)
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
