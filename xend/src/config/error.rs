//! Where in a guest file something is, and what is wrong there.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a text; both numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// Something is wrong at a place; the name of the text is added by whoever opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, when it is about one place.
    pub at: Option<Pos>,
    /// What, in a sentence without a full stop.
    pub reason: String,
}

impl Problem {
    /// A problem at `at`.
    pub fn at(at: Pos, reason: impl Into<String>) -> Self {
        Self { at: Some(at), reason: reason.into() }
    }

    /// A problem of the text as a whole.
    pub fn general(reason: impl Into<String>) -> Self {
        Self { at: None, reason: reason.into() }
    }

    /// Names the text it was found in.
    pub fn within(self, source: &Source) -> ConfigError {
        ConfigError { source_name: source.clone(), problem: self }
    }
}

/// What a text is called in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The arguments of `xm create`.
    CommandLine,
}

impl Source {
    /// The file's path, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::CommandLine => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// Why a guest can't be read from its file: `FILE, line LINE, column COLUMN: reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Which text.
    pub source_name: Source,
    /// Where and what.
    pub problem: Problem,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source_name)?;
        // A column on the command line would count inside one argument, which helps nobody.
        if let (Some(at), Some(_)) = (self.problem.at, self.source_name.path()) {
            write!(f, ", line {}, column {}", at.line, at.column)?;
        }
        write!(f, ": {}", self.problem.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_file_line_and_column() {
        let at = Pos { line: 3, column: 7 };
        let file = Source::File("/etc/xen/rosaline".into());
        let error = Problem::at(at, "unexpected ')'").within(&file);
        assert_eq!(error.to_string(), "/etc/xen/rosaline, line 3, column 7: unexpected ')'");
        let error = Problem::general("no kernel is named").within(&file);
        assert_eq!(error.to_string(), "/etc/xen/rosaline: no kernel is named");
        let error = Problem::at(at, "not a number").within(&Source::CommandLine);
        assert_eq!(error.to_string(), "command line: not a number");
    }
}
