//! The command line of svcs(1).

use svc::cli::{self, SVCS};
use svc::fmri::Fmri;
use svc::getopt;
use svc::host::Wanted;

use crate::columns::{Column, Key, PLAIN, VERBOSE};
use crate::graph::Format;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    List,
    Dependencies,
    Dependents,
    Long,
    Log,
    Explain,
    Graph,
    Watch,
    Help,
}

impl Mode {
    fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'd' => Self::Dependencies,
            'D' => Self::Dependents,
            'l' => Self::Long,
            'L' => Self::Log,
            'x' => Self::Explain,
            'G' => Self::Graph,
            'w' => Self::Watch,
            _ => return None,
        })
    }

    /// The options that go with it.
    fn options(self) -> &'static str {
        match self {
            Self::List => "aHopRsSv",
            Self::Dependencies | Self::Dependents => "HopsSv",
            Self::Long => "pv",
            Self::Log => "fHopv",
            Self::Explain => "v",
            Self::Graph => "Ho",
            Self::Watch => "a",
            Self::Help => "",
        }
    }

    fn needs_operand(self) -> bool {
        matches!(self, Self::Dependencies | Self::Dependents | Self::Long | Self::Log)
    }
}

/// Everything that was said.
#[derive(Debug)]
pub struct Options {
    pub mode: Mode,
    pub all: bool,
    pub follow: bool,
    pub header: bool,
    pub processes: bool,
    pub verbose: bool,
    pub columns: Vec<Column>,
    pub format: Format,
    pub keys: Vec<Key>,
    pub restarters: Vec<Fmri>,
    pub operands: Vec<String>,
}

/// The properties that tell which instances are shown.
const ENABLED: [Wanted; 2] =
    [("general", &["enabled", "restarter"]), ("general_ovr", &["enabled"])];
/// Those that are shown of each, and those that few want to see.
const SHOWN: Wanted = ("restarter", &["state", "next_state", "state_timestamp"]);
const WITH_CONTRACT: Wanted =
    ("restarter", &["state", "next_state", "state_timestamp", "contract"]);
const LOGS: Wanted = ("restarter", &["alt_logfile", "logfile"]);
const NAME: Wanted = ("tm_common_name", &["C"]);

impl Options {
    /// The property groups that a list needs, and the properties.
    pub fn wanted(&self) -> Vec<Wanted> {
        let lists_all = self.all && self.restarters.is_empty();
        let mut wanted = if lists_all { Vec::new() } else { ENABLED.to_vec() };
        let has = |wanted: Column| {
            let mut columns = self.keys.iter().map(|(column, _)| column).chain(&self.columns);
            columns.any(|column| *column == wanted)
        };
        wanted.push(match self.mode {
            Mode::Log => LOGS,
            _ if self.processes || has(Column::Ctid) => WITH_CONTRACT,
            _ => SHOWN,
        });
        wanted.extend(has(Column::Desc).then_some(NAME));
        wanted
    }
}

/// What was wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Misuse {
    #[error("{}", SVCS.usage())]
    Usage,
    #[error("svcs: {0}\n{usage}", usage = SVCS.usage())]
    Option(String),
    #[error("svcs: {0}")]
    Argument(String),
}

impl Misuse {
    /// The exit status.
    pub fn code(&self) -> u8 {
        if matches!(self, Self::Argument(_)) { 1 } else { 2 }
    }
}

/// The usage, as `-?` prints it.
pub fn help() -> String {
    let names: String = Column::names().map(|name| format!("\t{name}\n")).collect();
    let naming = cli::naming("svcs [opts]");
    let columns = "\tColumns for output or sorting can be specified using these names:";
    format!("{}\n\n{}{naming}\n{columns}\n\n{names}", SVCS.usage(), SVCS.help())
}

/// Reads the command line, warning of what has no effect.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Options, Misuse> {
    let (given, operands) = getopt::parse(args, &SVCS.spec()).map_err(Misuse::Option)?;
    let mode = mode(&given)?;
    let mut options = Options {
        mode,
        all: false,
        follow: false,
        header: true,
        processes: false,
        verbose: false,
        columns: Vec::new(),
        format: Format::Text,
        keys: Vec::new(),
        restarters: Vec::new(),
        operands,
    };
    for (letter, argument) in given {
        let argument = argument.unwrap_or_default();
        match letter {
            'a' => options.all = true,
            'f' => options.follow = true,
            'H' => options.header = false,
            'p' => options.processes = true,
            'v' => options.verbose = true,
            'o' if mode == Mode::Graph => options.format = format(&argument)?,
            'o' => options.columns.extend(columns(&argument)?),
            's' => options.keys.push((sort_column(&argument)?, false)),
            'S' => options.keys.push((sort_column(&argument)?, true)),
            'R' => options.restarters.push(restarter(&argument)?),
            _ => {}
        }
    }
    if mode.needs_operand() && options.operands.is_empty() {
        return Err(Misuse::Usage);
    }
    if options.all && !options.operands.is_empty() {
        eprintln!("svcs: -a ignored when used with arguments.");
    }
    if options.columns.is_empty() {
        if options.keys.is_empty() {
            options.keys = PLAIN.map(|column| (column, false)).to_vec();
        }
        options.columns = if options.verbose { VERBOSE.to_vec() } else { PLAIN.to_vec() };
    }
    Ok(options)
}

/// The one mode that was asked for, with options that go with it.
fn mode(given: &[(char, Option<String>)]) -> Result<Mode, Misuse> {
    let mut letters = given.iter().map(|(letter, _)| *letter);
    if letters.clone().any(|letter| letter == '?') {
        return Ok(Mode::Help);
    }
    let mut modes = letters.clone().filter_map(Mode::of);
    let mode = modes.next().unwrap_or(Mode::List);
    let fits = |letter| Mode::of(letter).is_some() || mode.options().contains(letter);
    if modes.next().is_some() || !letters.all(fits) {
        return Err(Misuse::Usage);
    }
    Ok(mode)
}

fn format(name: &str) -> Result<Format, Misuse> {
    let unknown = || Misuse::Argument(format!("Unknown format \"{name}\"; text, dot or svg."));
    Format::parse(name).ok_or_else(unknown)
}

fn columns(names: &str) -> Result<Vec<Column>, Misuse> {
    let unknown = |name: &str| Misuse::Argument(format!("Unknown column \"{name}\"."));
    names.split(',').map(|name| Column::parse(name).ok_or_else(|| unknown(name))).collect()
}

fn sort_column(name: &str) -> Result<Column, Misuse> {
    let unknown = || Misuse::Argument(format!("Unrecognized sort column \"{name}\"."));
    Column::parse(name).ok_or_else(unknown)
}

fn restarter(name: &str) -> Result<Fmri, Misuse> {
    let fmri = Fmri::parse(name)
        .map_err(|_| Misuse::Argument(format!("Restarter FMRI \"{name}\" is invalid.")))?;
    if !fmri.is_instance() {
        let line = format!("Restarter FMRI \"{name}\" does not designate an instance.");
        return Err(Misuse::Argument(line));
    }
    Ok(fmri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options, Misuse> {
        parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn one_thing_is_shown() {
        assert_eq!(parsed(&["-xv"]).unwrap().mode, Mode::Explain);
        assert_eq!(parsed(&["-Hd", "x"]).unwrap().mode, Mode::Dependencies);
        assert_eq!(parsed(&["-a", "-?"]).unwrap().mode, Mode::Help);
        for line in ["-d -D x", "-dd x", "-l", "-d", "-L", "-q", "-o", "-xl x"] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(parsed(&words).unwrap_err().code(), 2, "{line}");
        }
    }

    #[test]
    fn options_must_go_together() {
        for line in ["-ax", "-xp", "-xH", "-x -s fmri", "-lH x", "-l -o fmri x", "-f", "-Df x"] {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(matches!(parsed(&words), Err(Misuse::Usage)), "{line}");
        }
        assert!(matches!(parsed(&["-d", "-R", "svc:/a:b", "x"]), Err(Misuse::Usage)));
        assert!(parsed(&["-Lf", "x"]).unwrap().follow);
    }

    #[test]
    fn bad_arguments_are_named() {
        let said = |words: &[&str]| {
            let error = parsed(words).unwrap_err();
            (error.code(), error.to_string())
        };
        let failed = |line: &str| (1, format!("svcs: {line}"));
        assert_eq!(said(&["-o", "fmri,foo"]), failed("Unknown column \"foo\"."));
        assert_eq!(said(&["-Go", "png"]), failed("Unknown format \"png\"; text, dot or svg."));
        assert_eq!(said(&["-s", "foo"]), failed("Unrecognized sort column \"foo\"."));
        assert_eq!(said(&["-R", "foo"]), failed("Restarter FMRI \"foo\" is invalid."));
        let line = "Restarter FMRI \"svc:/a\" does not designate an instance.";
        assert_eq!(said(&["-R", "svc:/a"]), failed(line));
    }

    #[test]
    fn lists_are_sorted_unless_columns_are_chosen() {
        assert_eq!(parsed(&[]).unwrap().keys.len(), 3);
        assert_eq!(parsed(&["-v"]).unwrap().columns, VERBOSE);
        assert!(parsed(&["-o", "fmri"]).unwrap().keys.is_empty());
        assert_eq!(parsed(&["-s", "fmri", "-S", "state"]).unwrap().keys.len(), 2);
    }
}
