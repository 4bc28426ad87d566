//! The commands described: one [`Command`] each, from which its usage text, its manual page
//! ([`manual`]), its completion for bash ([`completion`]) and what getopt(3C) accepts are made.
//!
//! To add an option, add an [`Opt`] and name it in a synopsis; `cargo xtask docs` does the rest.
//! A synopsis is what a usage text shows ([`synopsis`]); prose is written as [`prose`] says.

pub mod completion;
pub mod manual;
pub mod prose;
mod rcorder;
mod svcadm;
mod svccfg;
mod svcprop;
mod svcs;
mod synopsis;

pub use rcorder::RCORDER;
pub use svcadm::SVCADM;
pub use svccfg::SVCCFG;
pub use svcprop::SVCPROP;
pub use svcs::SVCS;

/// All commands that are described.
pub static COMMANDS: [&Command; 5] = [&SVCS, &SVCPROP, &SVCADM, &SVCCFG, &RCORDER];

/// A command.
#[derive(Debug)]
pub struct Command {
    /// What it is called.
    pub name: &'static str,
    /// The section of the manual that it is in.
    pub section: u8,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What the usage begins with: `Usage: `, or with a tab.
    pub lead: &'static str,
    /// The ways to call it, without its name.
    pub synopses: &'static [&'static str],
    /// What it does.
    pub description: &'static str,
    /// Its options, in the order in which they are explained.
    pub options: &'static [Opt],
    /// Its subcommands, if it has any.
    pub subcommands: &'static [Subcommand],
    /// What its operands are, if it has no subcommands.
    pub operands: Values,
    /// Other sections of the manual page.
    pub sections: &'static [Section],
    /// What the exit statuses mean.
    pub exit: &'static [Term],
    /// Explanations and lines to be typed.
    pub examples: &'static [Term],
    /// Manual pages to read on, such as `svcs(1)`.
    pub see_also: &'static [&'static str],
}

/// An option.
#[derive(Debug)]
pub struct Opt {
    /// Its letter.
    pub letter: char,
    /// Its argument: name and values.
    pub argument: Option<(&'static str, Values)>,
    /// What it does, in a few words for a list of options; empty where there is no such list.
    pub help: &'static str,
    /// What it does, in the manual.
    pub text: &'static str,
}

/// A subcommand.
#[derive(Debug)]
pub struct Subcommand {
    /// What it is called.
    pub name: &'static str,
    /// The heading that it is explained under, if there are some.
    pub heading: &'static str,
    /// How it is called, its name included.
    pub synopsis: &'static str,
    /// What it does, in a few words for the usage; empty if that doesn't list it.
    pub help: &'static str,
    /// Its options.
    pub options: &'static [Opt],
    /// What the first operand is, if another than the others.
    pub first: Option<Values>,
    /// What its operands are.
    pub operands: Values,
    /// What it does, in the manual.
    pub text: &'static str,
}

/// What completes a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Nothing.
    Any,
    /// Services and their instances.
    Services,
    /// Property groups and properties of the service that the command is about.
    Properties,
    /// Paths.
    Files,
    /// These words.
    Words(&'static [&'static str]),
    /// A list of these words with commas between them.
    List(&'static [&'static str]),
}

/// The usual snapshots of an instance.
const SNAPSHOTS: Values =
    Values::Words(&["initial", "last-import", "previous", "running", "start"]);

/// A section of a manual page.
#[derive(Debug)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// Its text.
    pub text: &'static str,
    /// What it lists after that.
    pub terms: &'static [Term],
}

/// Something and its explanation.
pub type Term = (&'static str, &'static str);

impl Command {
    /// The usage.
    pub fn usage(&self) -> String {
        let indent = if self.lead.ends_with('\t') { "\t" } else { "       " };
        let line = |(number, synopsis): (usize, &&str)| {
            let before = if number == 0 { self.lead } else { indent };
            format!("{before}{} {synopsis}", self.name)
        };
        let mut lines: Vec<String> = self.synopses.iter().enumerate().map(line).collect();
        for (number, subcommand) in self.listed().enumerate() {
            let space = if number == 0 { "\n" } else { "" };
            lines.push(format!("{space}{}", subcommand.usage(self.name)));
        }
        lines.join("\n")
    }

    /// Its subcommands that the usage lists.
    fn listed(&self) -> impl Iterator<Item = &'static Subcommand> {
        self.subcommands.iter().filter(|subcommand| !subcommand.help.is_empty())
    }

    /// Its options, each with a few words.
    pub fn help(&self) -> String {
        let line = |option: &Opt| {
            let help = option.help.replace('\n', "\n\t    ");
            format!("\t-{}  {help}\n", option.letter)
        };
        self.options.iter().filter(|option| !option.help.is_empty()).map(line).collect()
    }

    /// Its options as [`crate::getopt`] reads them.
    pub fn spec(&self) -> String {
        spec(self.options)
    }

    /// Its subcommand of that name.
    pub fn subcommand(&self, name: &str) -> Option<&'static Subcommand> {
        self.subcommands.iter().find(|subcommand| subcommand.name == name)
    }
}

impl Subcommand {
    /// Its options as [`crate::getopt`] reads them.
    pub fn spec(&self) -> String {
        spec(self.options)
    }

    /// Its line of the usage.
    fn usage(&self, command: &str) -> String {
        // Explanations begin below each other, as far as there is room.
        const COLUMN: usize = 40;
        const TAB: usize = 8;
        let call = format!("{command} {}", self.synopsis);
        let tabs = "\t".repeat(COLUMN.saturating_sub(call.len()).div_ceil(TAB));
        let space = if tabs.is_empty() { " " } else { &tabs };
        format!("\t{call}{space}- {}", self.help)
    }
}

/// How services are named, below a usage; `call` is what comes before the name.
pub fn naming(call: &str) -> String {
    let mut text = "\n\tServices can be specified using an FMRI, abbreviation, or fnmatch(5)\n\
                    \tpattern, as shown in these examples for svc:/network/smtp:sendmail\n\n"
        .to_owned();
    for name in [
        "svc:/network/smtp:sendmail",
        "network/smtp:sendmail",
        "network/*mail",
        "network/smtp",
        "smtp:sendmail",
        "smtp",
        "sendmail",
    ] {
        text += &format!("\t{call} {name}\n");
    }
    text
}

fn spec(options: &[Opt]) -> String {
    let one = |option: &Opt| match option.argument {
        Some(_) => format!("{}:", option.letter),
        None => option.letter.to_string(),
    };
    options.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_and_options_are_those_of_the_description() {
        assert_eq!(SVCADM.spec(), "S:v");
        assert_eq!(SVCADM.subcommand("clear").unwrap().spec(), "sT:");
        let usage = SVCADM.usage();
        assert!(usage.starts_with("Usage: svcadm [-S <state>] [-v] [cmd [args ... ]]\n\n\tsvcadm"));
        let line = "\tsvcadm clear [-s] [-T <seconds>] [<service> ...] - clear maintenance or ";
        assert!(usage.contains(line), "{usage}");
    }
}
