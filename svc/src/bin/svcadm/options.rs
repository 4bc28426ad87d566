//! The command line of svcadm(8).

use std::time::Duration;

use svc::cli::{self, SVCADM};
use svc::getopt;
use svc::state::State;

use crate::milestone::{self, Milestone};
use crate::wait::Patience;

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    Enable { recursive: bool, temporary: bool },
    Disable { temporary: bool, comment: Option<String> },
    Restart { dump: bool },
    Refresh,
    Clear,
    Mark(Mark),
    Milestone { name: Milestone, at_boot: bool },
}

impl Verb {
    /// The subcommand.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Enable { .. } => "enable",
            Self::Disable { .. } => "disable",
            Self::Restart { .. } => "restart",
            Self::Refresh => "refresh",
            Self::Clear => "clear",
            Self::Mark(_) => "mark",
            Self::Milestone { .. } => "milestone",
        }
    }

    /// The property group that it writes.
    pub(crate) fn group(&self) -> &'static str {
        match self {
            Self::Enable { temporary: true, .. } | Self::Disable { temporary: true, .. } => {
                "general_ovr"
            }
            Self::Enable { .. } | Self::Disable { .. } => "general",
            Self::Milestone { .. } => "options_ovr",
            _ => "restarter_actions",
        }
    }
}

/// A state to be marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Maintenance { immediate: bool, temporary: bool },
    Degraded { immediate: bool },
}

impl Mark {
    /// What the restarter is asked for.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Maintenance { immediate: false, temporary: false } => "maint_on",
            Self::Maintenance { immediate: true, temporary: false } => "maint_on_immediate",
            Self::Maintenance { immediate: false, temporary: true } => "maint_on_temporary",
            Self::Maintenance { immediate: true, temporary: true } => "maint_on_immtemp",
            Self::Degraded { immediate: false } => "degraded",
            Self::Degraded { immediate: true } => "degrade_immediate",
        }
    }

    /// The state.
    pub(crate) fn state(self) -> State {
        match self {
            Self::Maintenance { .. } => State::Maintenance,
            Self::Degraded { .. } => State::Degraded,
        }
    }
}

/// Everything that was said.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) verb: Verb,
    pub(crate) wait: Option<Patience>,
    pub(crate) verbose: bool,
    pub(crate) state: Option<State>,
    pub(crate) operands: Vec<String>,
}

/// What was wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misuse {
    #[error("{}", usage())]
    Usage,
    #[error("svcadm: {0}\n{usage}", usage = usage())]
    Wrong(String),
    #[error("svcadm: {0}")]
    Argument(String),
    #[error("{}", milestone::usage())]
    Milestone,
    #[error("\"{0}\" is not a valid major milestone.\n{usage}", usage = milestone::usage())]
    UnknownMilestone(String),
}

fn usage() -> String {
    let naming = cli::naming("svcadm <cmd>");
    format!("{}\n{}", SVCADM.usage(), naming.trim_end())
}

/// Reads the command line.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Options, Misuse> {
    let (given, mut words) = getopt::parse(args, &SVCADM.spec()).map_err(Misuse::Wrong)?;
    let mut verbose = false;
    let mut state = None;
    for (letter, argument) in given {
        match argument {
            None => verbose |= letter == 'v',
            Some(name) => {
                let unknown = |()| Misuse::Argument(format!("Unrecognized state \"{name}\"."));
                state = Some(name.parse::<State>().map_err(unknown)?);
            }
        }
    }
    if words.is_empty() {
        return Err(Misuse::Usage);
    }
    let name = words.remove(0);
    let unknown = || Misuse::Wrong(format!("Unknown command \"{name}\"."));
    let subcommand = SVCADM.subcommand(&name).ok_or_else(unknown)?;
    let (given, mut operands) = getopt::parse(words, &subcommand.spec()).map_err(Misuse::Wrong)?;
    let given = Given(given);
    let verb = verb(subcommand.name, &given, &mut operands)?;
    // A state stands for the operands.
    let is_milestone = matches!(verb, Verb::Milestone { .. });
    if is_milestone && (state.is_some() || !operands.is_empty()) {
        return Err(Misuse::Milestone);
    }
    if !is_milestone && operands.is_empty() == state.is_none() {
        return Err(Misuse::Usage);
    }
    Ok(Options { verb, wait: given.patience()?, verbose, state, operands })
}

/// The options of a subcommand.
struct Given(Vec<(char, Option<String>)>);

impl Given {
    fn has(&self, wanted: char) -> bool {
        self.0.iter().any(|(letter, _)| *letter == wanted)
    }

    fn argument(&self, wanted: char) -> Option<&str> {
        let found = self.0.iter().rev().find(|(letter, _)| *letter == wanted);
        found.and_then(|(_, argument)| argument.as_deref())
    }

    /// Whether to wait, and how long at most.
    fn patience(&self) -> Result<Option<Patience>, Misuse> {
        let Some(text) = self.argument('T') else {
            return Ok(self.has('s').then_some(Patience(None)));
        };
        if !self.has('s') {
            return Err(Misuse::Wrong("-T goes with -s.".to_owned()));
        }
        let bad = |_| Misuse::Argument(format!("\"{text}\" is not a number of seconds."));
        let seconds = text.parse::<u32>().map_err(bad)?;
        Ok(Some(Patience(Some(Duration::from_secs(seconds.into())))))
    }
}

fn verb(name: &str, given: &Given, operands: &mut Vec<String>) -> Result<Verb, Misuse> {
    let temporary = given.has('t');
    Ok(match name {
        "enable" => Verb::Enable { recursive: given.has('r'), temporary },
        "disable" => {
            let comment = given.argument('c').filter(|text| !text.is_empty());
            Verb::Disable { temporary, comment: comment.map(str::to_owned) }
        }
        "restart" => Verb::Restart { dump: given.has('d') },
        "refresh" => Verb::Refresh,
        "clear" => Verb::Clear,
        "mark" => Verb::Mark(mark(given, operands)?),
        _ => {
            let name = first(operands).ok_or(Misuse::Milestone)?;
            let found = Milestone::parse(&name);
            let name = found.ok_or(Misuse::UnknownMilestone(name))?;
            Verb::Milestone { name, at_boot: given.has('d') }
        }
    })
}

fn mark(given: &Given, operands: &mut Vec<String>) -> Result<Mark, Misuse> {
    let (immediate, temporary) = (given.has('I'), given.has('t'));
    match first(operands).as_deref() {
        Some("maintenance") => Ok(Mark::Maintenance { immediate, temporary }),
        Some("degraded") if temporary => {
            Err(Misuse::Argument("-t may not be used with degraded.".to_owned()))
        }
        Some("degraded") => Ok(Mark::Degraded { immediate }),
        _ => Err(Misuse::Usage),
    }
}

fn first(operands: &mut Vec<String>) -> Option<String> {
    (!operands.is_empty()).then(|| operands.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Misuse> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn subcommands_take_their_own_options() {
        let options = parsed("-v enable -rs -t xend store").unwrap();
        let all = Verb::Enable { recursive: true, temporary: true };
        assert_eq!((options.verb, options.verbose), (all, true));
        assert_eq!(options.wait, Some(Patience(None)));
        assert_eq!(options.operands, ["xend", "store"]);
        let clear = parsed("-S maintenance clear").unwrap();
        assert_eq!((clear.verb, clear.state), (Verb::Clear, Some(State::Maintenance)));
        let disable = parsed("disable -c why -sT 5 xend").unwrap();
        let comment = Some("why".to_owned());
        assert_eq!(disable.verb, Verb::Disable { temporary: false, comment });
        assert_eq!(disable.wait, Some(Patience(Some(Duration::from_secs(5)))));
        let milestone = parsed("milestone -d all").unwrap().verb;
        assert_eq!(milestone, Verb::Milestone { name: Milestone::All, at_boot: true });
    }

    #[test]
    fn marks_have_an_action_each() {
        let action = |line: &str| match parsed(line).unwrap().verb {
            Verb::Mark(mark) => mark.action(),
            other => panic!("{other:?}"),
        };
        assert_eq!(action("mark maintenance x"), "maint_on");
        assert_eq!(action("mark -I maintenance x"), "maint_on_immediate");
        assert_eq!(action("mark -t maintenance x"), "maint_on_temporary");
        assert_eq!(action("mark -It maintenance x"), "maint_on_immtemp");
        assert_eq!(action("mark degraded x"), "degraded");
        assert_eq!(action("mark -I degraded x"), "degrade_immediate");
    }

    #[test]
    fn misuse_is_refused() {
        for line in [
            "",
            "enable",
            "disable -r x",
            "restart -t x",
            "restart -T 5 x",
            "restart -sT soon x",
            "mark x",
            "mark maintenance",
            "mark -t degraded x",
            "-S odd clear",
            "-S maintenance clear x",
            "start x",
            "delegate x",
            "-q enable x",
            "milestone",
            "milestone some",
            "milestone all x",
            "-S online milestone all",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        let said = parsed("milestone xvm").unwrap_err().to_string();
        assert!(said.starts_with("\"xvm\" is not a valid major milestone.\nUsage: svcadm "));
    }
}
