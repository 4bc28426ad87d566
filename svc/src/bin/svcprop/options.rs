//! The command line of svcprop(1).

use std::fmt;

use svc::cli::SVCPROP;
use svc::fmri::is_name;
use svc::getopt;
use svc::repo::View;

/// Everything that was said, but for the operands.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) view: View,
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) types: bool,
    pub(crate) full_names: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) wait: bool,
}

/// What `-p` selects: of a service or an instance a property group, or one of its properties; of a
/// property group one of its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) first: String,
    pub(crate) second: Option<String>,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        self.second.iter().try_for_each(|second| write!(f, "/{second}"))
    }
}

/// What was wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misuse {
    #[error("{}", SVCPROP.usage())]
    Usage,
    #[error("svcprop: {0}\n{usage}", usage = SVCPROP.usage())]
    Wrong(String),
    #[error("svcprop: {0}")]
    Argument(String),
}

/// Reads the command line; returns the operands, too.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<(Options, Vec<String>), Misuse> {
    let (given, operands) = getopt::parse(args, &SVCPROP.spec()).map_err(Misuse::Wrong)?;
    let letters: Vec<char> = given.iter().map(|(letter, _)| *letter).collect();
    let has = |letter| letters.contains(&letter);
    if "Ccsw".chars().filter(|letter| has(*letter)).count() > 1 || operands.is_empty() {
        return Err(Misuse::Usage);
    }
    let mut view = if has('C') || has('w') { View::Direct } else { View::Running };
    let mut wanted = Vec::new();
    for (letter, argument) in given {
        match (letter, argument) {
            ('c', _) => view = View::Composed,
            ('s', Some(name)) if is_name(&name) => view = View::Snapshot(name),
            ('s', _) => return Err(Misuse::Argument("Invalid snapshot name.".to_owned())),
            ('p', Some(name)) => wanted.push(self::wanted(&name)?),
            _ => {}
        }
    }
    if has('w') && (wanted.len() > 1 || operands.len() > 1) {
        return Err(Misuse::Usage);
    }
    // Groups are printed with names and types, so single properties beside them are, too.
    let is_mixed = wanted.windows(2).any(|two| two[0].second.is_some() != two[1].second.is_some());
    let options = Options {
        view,
        types: has('t') || has('f') || is_mixed,
        full_names: has('f'),
        quiet: has('q'),
        verbose: has('v'),
        wait: has('w'),
        wanted,
    };
    Ok((options, operands))
}

fn wanted(text: &str) -> Result<Wanted, Misuse> {
    let parts: Vec<&str> = text.split('/').collect();
    if let Some(part) = parts.iter().find(|part| !is_name(part)) {
        return Err(Misuse::Argument(format!("Invalid component name `{part}'.")));
    }
    match parts.as_slice() {
        [first] => Ok(Wanted { first: (*first).to_owned(), second: None }),
        [first, second] => {
            Ok(Wanted { first: (*first).to_owned(), second: Some((*second).to_owned()) })
        }
        _ => Err(Misuse::Wrong(format!("-p argument `{text}' has too many components."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Options, Vec<String>), Misuse> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn one_view_is_chosen() {
        assert_eq!(parsed("x").unwrap().0.view, View::Running);
        assert_eq!(parsed("-c x").unwrap().0.view, View::Composed);
        assert_eq!(parsed("-w -p a x").unwrap().0.view, View::Direct);
        assert_eq!(parsed("-s start x").unwrap().0.view, View::Snapshot("start".to_owned()));
        for line in ["-c -C x", "-w -c x", "-C -s start x", "-s // x", "-a x", "-p", ""] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn names_have_one_or_two_parts() {
        let (options, operands) = parsed("-p a/b -p c x y").unwrap();
        assert_eq!(options.wanted.iter().map(Wanted::to_string).collect::<Vec<_>>(), ["a/b", "c"]);
        assert_eq!(operands, ["x", "y"]);
        assert!(options.types, "groups and properties");
        assert!(!parsed("-p a/b -p c/d x").unwrap().0.types);
        for line in ["-p a/b/c x", "-p a/ x", "-p 1 x", "-w -p a -p b x", "-w -p a x y"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
