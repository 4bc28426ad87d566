//! The command line of svcs(1).

use svc::getopt;

use crate::columns::{Column, Key, PLAIN, VERBOSE};

const USAGE: &str = "\
Usage: svcs [-aHpv] [-o col[,col ... ]] [-sS col] [<FMRI or pattern> ...]
       svcs -d|-D [-Hpv] [-o col[,col ... ]] [-sS col] <FMRI or pattern> ...
       svcs -l [-pv] <FMRI or pattern> ...
       svcs -L <FMRI or pattern> ...
       svcs -x [-v] [<FMRI or pattern> ...]";

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    List,
    Dependencies,
    Dependents,
    Long,
    Log,
    Explain,
}

/// Everything that was said.
#[derive(Debug)]
pub struct Options {
    pub mode: Mode,
    pub all: bool,
    pub header: bool,
    pub processes: bool,
    pub verbose: bool,
    pub columns: Vec<Column>,
    pub keys: Vec<Key>,
    pub operands: Vec<String>,
}

/// What was wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Misuse {
    #[error("{USAGE}")]
    Usage,
    #[error("svcs: {0}\n{USAGE}")]
    Option(String),
    #[error("svcs: {0}")]
    Column(String),
}

impl Misuse {
    /// The exit status.
    pub fn code(&self) -> u8 {
        if matches!(self, Self::Column(_)) { 1 } else { 2 }
    }
}

/// Reads the command line, warning of what has no effect.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Options, Misuse> {
    let (given, operands) = getopt::parse(args, "aDdHLlo:pS:s:vx").map_err(Misuse::Option)?;
    let mut options = Options {
        mode: Mode::List,
        all: false,
        header: true,
        processes: false,
        verbose: false,
        columns: Vec::new(),
        keys: Vec::new(),
        operands,
    };
    let mut modes = Vec::new();
    for (letter, argument) in given {
        let argument = argument.unwrap_or_default();
        let column = || Column::parse(&argument).map_err(Misuse::Column);
        match letter {
            'a' => options.all = true,
            'H' => options.header = false,
            'p' => options.processes = true,
            'v' => options.verbose = true,
            'o' => options.columns.extend(Column::parse_list(&argument).map_err(Misuse::Column)?),
            's' => options.keys.push((column()?, false)),
            'S' => options.keys.push((column()?, true)),
            'd' => modes.push(Mode::Dependencies),
            'D' => modes.push(Mode::Dependents),
            'l' => modes.push(Mode::Long),
            'L' => modes.push(Mode::Log),
            _ => modes.push(Mode::Explain),
        }
    }
    modes.dedup();
    options.mode = match modes.as_slice() {
        [] => Mode::List,
        [mode] => *mode,
        _ => return Err(Misuse::Usage),
    };
    let needs_operand = !matches!(options.mode, Mode::List | Mode::Explain);
    if needs_operand && options.operands.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options, Misuse> {
        parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn one_thing_is_shown() {
        assert_eq!(parsed(&["-xv"]).unwrap().mode, Mode::Explain);
        assert_eq!(parsed(&["-d", "-d", "x"]).unwrap().mode, Mode::Dependencies);
        for words in [&["-d", "-D", "x"][..], &["-l"], &["-d"], &["-L"], &["-q"], &["-o"]] {
            assert_eq!(parsed(words).unwrap_err().code(), 2, "{words:?}");
        }
        assert_eq!(parsed(&["-o", "foo"]).unwrap_err().code(), 1);
    }

    #[test]
    fn lists_are_sorted_unless_columns_are_chosen() {
        assert_eq!(parsed(&[]).unwrap().keys.len(), 3);
        assert_eq!(parsed(&["-v"]).unwrap().columns, VERBOSE);
        assert!(parsed(&["-o", "fmri"]).unwrap().keys.is_empty());
        assert_eq!(parsed(&["-s", "fmri", "-S", "state"]).unwrap().keys.len(), 2);
    }
}
