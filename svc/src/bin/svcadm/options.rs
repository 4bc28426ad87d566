//! The command line of svcadm(8).

use svc::getopt;
use svc::state::State;

const USAGE: &str = "\
Usage: svcadm [-S <state>] [-v] <command> [args ... ]

\tsvcadm enable [-rst] <service> ...\t- enable and online service(s)
\tsvcadm disable [-st] <service> ...\t- disable and offline service(s)
\tsvcadm restart <service> ...\t\t- restart specified service(s)
\tsvcadm refresh <service> ...\t\t- re-read service configuration
\tsvcadm mark maintenance <service> ...\t- set maintenance state
\tsvcadm clear <service> ...\t\t- clear maintenance or degraded state";

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Enable { recursive: bool, wait: bool, temporary: bool },
    Disable { wait: bool, temporary: bool },
    Restart,
    Refresh,
    MarkMaintenance,
    Clear,
}

/// Everything that was said.
#[derive(Debug)]
pub struct Options {
    pub command: Command,
    pub verbose: bool,
    pub state: Option<State>,
    pub operands: Vec<String>,
}

/// What was wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Misuse {
    #[error("{USAGE}")]
    Usage,
    #[error("svcadm: {0}\n{USAGE}")]
    Wrong(String),
}

/// Reads the command line.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Options, Misuse> {
    let (given, mut words) = getopt::parse(args, "S:v").map_err(Misuse::Wrong)?;
    let mut verbose = false;
    let mut state = None;
    for (letter, argument) in given {
        match argument {
            None => verbose |= letter == 'v',
            Some(name) => {
                let unknown = || Misuse::Wrong(format!("Unrecognized state \"{name}\"."));
                state = Some(name.parse::<State>().map_err(|()| unknown())?);
            }
        }
    }
    if words.is_empty() {
        return Err(Misuse::Usage);
    }
    let name = words.remove(0);
    let spec = match name.as_str() {
        "enable" => "rst",
        "disable" => "st",
        "restart" | "refresh" | "mark" | "clear" => "",
        _ => return Err(Misuse::Wrong(format!("Unknown command \"{name}\"."))),
    };
    let (given, mut operands) = getopt::parse(words, spec).map_err(Misuse::Wrong)?;
    let has = |wanted| given.iter().any(|(letter, _)| *letter == wanted);
    let (wait, temporary) = (has('s'), has('t'));
    let command = match name.as_str() {
        "enable" => Command::Enable { recursive: has('r'), wait, temporary },
        "disable" => Command::Disable { wait, temporary },
        "restart" => Command::Restart,
        "refresh" => Command::Refresh,
        "clear" => Command::Clear,
        _ if operands.first().is_some_and(|state| state == "maintenance") => {
            operands.remove(0);
            Command::MarkMaintenance
        }
        _ => return Err(Misuse::Usage),
    };
    // A state stands for the operands.
    if operands.is_empty() == state.is_none() {
        return Err(Misuse::Usage);
    }
    Ok(Options { command, verbose, state, operands })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Misuse> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn commands_take_their_own_options() {
        let options = parsed("-v enable -rs -t xend store").unwrap();
        let all = Command::Enable { recursive: true, wait: true, temporary: true };
        assert_eq!((options.command, options.verbose), (all, true));
        assert_eq!(options.operands, ["xend", "store"]);
        let mark = parsed("mark maintenance xend").unwrap();
        assert_eq!((mark.command, mark.operands), (Command::MarkMaintenance, vec!["xend".into()]));
        let clear = parsed("-S maintenance clear").unwrap();
        assert_eq!((clear.command, clear.state), (Command::Clear, Some(State::Maintenance)));
    }

    #[test]
    fn misuse_is_refused() {
        for line in [
            "",
            "enable",
            "disable -r x",
            "restart -s x",
            "mark x",
            "mark maintenance",
            "-S odd clear",
            "-S maintenance clear x",
            "start x",
            "-q enable x",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
