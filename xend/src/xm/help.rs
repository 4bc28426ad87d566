//! What xm says about itself.

use std::fmt::Write as _;

use super::getopt::Parsed;
use super::{COMMANDS, Command, Outcome, Xend, XmError, lookup};

pub(super) const HELP: Command = Command {
    name: "help",
    arguments: "[subcommand]",
    help: "Display this message, or a subcommand's.",
    options: &[],
    words: (0, 1),
    run: run_help,
};

fn run_help(_: &mut Xend, parsed: &Parsed) -> Outcome {
    let text = match parsed.words.first() {
        None => long(),
        Some(name) => {
            let command = lookup(name);
            let unknown = || XmError::Usage(format!("Subcommand {name} not found!"));
            of(command.ok_or_else(unknown)?)
        }
    };
    print!("{text}");
    Ok(())
}

const HEAD: &str =
    "Usage: xm <subcommand> [args]\n\nControl, list, and manipulate Xen guest instances.\n";

/// What xm without a subcommand prints.
pub(super) fn short() -> String {
    format!("{HEAD}\nFor a list of subcommands run 'xm help'.\n")
}

/// All subcommands.
pub(super) fn long() -> String {
    let mut text = format!("{HEAD}\nxm full list of subcommands:\n\n");
    for command in COMMANDS {
        let _ = writeln!(text, " {:<20} {}", command.name, command.help);
    }
    text.push_str(
        "\n<Domain> can either be the Domain Name or Id.\n\
         For more help on 'xm' see the xm(1) man page.\n\
         For more help on 'xm create' see the xmdomain.cfg(5) man page.\n",
    );
    text
}

/// One subcommand.
pub(super) fn of(command: &Command) -> String {
    let usage = format!("Usage: xm {} {}", command.name, command.arguments);
    let mut text = format!("{}\n\n{}\n", usage.trim_end(), command.help);
    for option in command.options {
        let value = option.value.map(|value| format!("={value}")).unwrap_or_default();
        let long = format!("--{}{value}", option.long);
        let names = match option.short {
            Some(letter) => format!("-{letter}, {long}"),
            None => long,
        };
        let _ = writeln!(text, "  {names:<30} {}", option.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_and_explained() {
        let text = long();
        for command in COMMANDS {
            assert!(text.contains(&format!(" {:<20} ", command.name)), "{}", command.name);
            assert!(of(command).contains(command.help));
        }
    }
}
