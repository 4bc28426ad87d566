//! The commands: one table for dispatch and help, and what they have in common.

mod describe;
mod edit;
mod entity;
mod environment;
mod manifest;
mod profile;
mod property;
mod snapshot;

use crate::lexer::Token;
use crate::session::{Error, Result, Session, fail};

/// A command of svccfg.
pub struct Command {
    /// Its first word.
    pub name: &'static str,
    /// How it is typed.
    pub usage: &'static str,
    help: &'static str,
    /// What it does.
    pub run: fn(&mut Session, &[Token]) -> Result<()>,
}

/// The commands under the headings that `help` shows.
const COMMANDS: [(&str, &[Command]); 9] = [
    (
        "General commands",
        &[
            Command {
                name: "end",
                usage: "end",
                help: "Ends the session; exit and quit do the same.",
                run: end,
            },
            Command { name: "exit", usage: "exit", help: "Ends the session.", run: end },
            Command {
                name: "help",
                usage: "help [command]",
                help: "Lists the commands, or explains one.",
                run: help,
            },
            Command { name: "quit", usage: "quit", help: "Ends the session.", run: end },
        ],
    ),
    ("Manifest commands", manifest::COMMANDS),
    ("Profile commands", profile::COMMANDS),
    ("Entity commands", entity::COMMANDS),
    ("Snapshot commands", snapshot::COMMANDS),
    ("Property commands", property::COMMANDS),
    ("Editing commands", edit::COMMANDS),
    ("Template commands", describe::COMMANDS),
    ("Method environment commands", environment::COMMANDS),
];

/// The names of all commands.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().flat_map(|(_, commands)| *commands).map(|command| command.name)
}

/// The command called `name`.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().flat_map(|(_, commands)| *commands).find(|command| command.name == name)
}

fn syntax<T>(name: &str) -> Result<T> {
    Err(Error::Syntax(find(name).map_or("", |command| command.usage)))
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
    match words("help", args, 0, 1)?.first() {
        Some(name) => match find(name) {
            Some(command) => session.print(&format!("{}\n\n{}\n", command.usage, command.help)),
            None => fail(format!("Unknown command \"{name}\".")),
        },
        None => {
            let mut text = String::new();
            for (heading, commands) in COMMANDS {
                let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
                text.push_str(&format!("{:<29}{}\n", format!("{heading}:"), names.join(" ")));
            }
            session.print(&text)
        }
    }
}
