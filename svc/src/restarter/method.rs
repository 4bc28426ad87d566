//! Methods: tokens in their command lines, what their exit status means (smf_method(7)).

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use super::engine::{Method, Outcome};
use crate::fmri::Fmri;
use crate::value::Groups;

/// The FMRI of the master restarter.
pub(crate) const RESTARTER: &str = "svc:/system/svc/restarter:default";

/// Characters that get a backslash in the value of a property token.
const ESCAPED: &str = ";&()|^<>\n \t\\\"'`";

/// What a method's command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Nothing.
    True,
    /// A signal to the contract.
    Kill(Signal),
    /// A command for the shell.
    Shell(String),
}

impl Command {
    /// Reads a method's `exec`. The error is a line for the log.
    pub(crate) fn parse(
        exec: &str,
        fmri: &Fmri,
        method: &str,
        groups: &Groups,
    ) -> Result<Self, String> {
        let exec = exec.trim();
        if exec == ":true" {
            return Ok(Self::True);
        }
        if let Some(signal) = exec.strip_prefix(":kill") {
            return signal_named(signal.trim()).map(Self::Kill);
        }
        if exec.starts_with(':') {
            return Err(format!("Unknown method token \"{exec}\"."));
        }
        expand(exec, fmri, method, groups).map(Self::Shell)
    }
}

fn signal_named(text: &str) -> Result<Signal, String> {
    let name = text.strip_prefix('-').unwrap_or(text);
    if name.is_empty() {
        return Ok(Signal::SIGTERM);
    }
    let by_number = name.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    let by_name = || {
        let upper = name.to_ascii_uppercase();
        let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        full.parse::<Signal>().ok()
    };
    by_number.or_else(by_name).ok_or_else(|| format!("Unknown signal \"{name}\" in :kill."))
}

fn expand(exec: &str, fmri: &Fmri, method: &str, groups: &Groups) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = exec;
    while let Some((before, after)) = rest.split_once('%') {
        text += before;
        let mut letters = after.chars();
        match letters.next() {
            Some('%') => text.push('%'),
            Some('r') => text += "svc.startd",
            Some('m') => text += method,
            Some('s') => text += &fmri.service,
            Some('i') => text += fmri.instance.as_deref().unwrap_or_default(),
            Some('f') => text += &fmri.to_string(),
            Some('{') => {
                let (name, after) =
                    letters.as_str().split_once('}').ok_or("Unterminated %{ in method.")?;
                text += &property(name, groups)?;
                rest = after;
                continue;
            }
            _ => return Err(format!("Unknown token after % in method \"{exec}\".")),
        }
        rest = letters.as_str();
    }
    Ok(text + rest)
}

/// The values of `PG/PROP`, or of `PROP` in group `application`; a `,` or `:` behind the name
/// says what joins them.
fn property(name: &str, groups: &Groups) -> Result<String, String> {
    let (name, separator) = match name.strip_suffix([',', ':']) {
        Some(shorter) => (shorter, &name[shorter.len()..]),
        None => (name, " "),
    };
    let (group, prop) = name.rsplit_once('/').unwrap_or(("application", name));
    let group = group.rsplit('/').next().unwrap_or(group);
    let property = groups.get(group).and_then(|group| group.get(prop));
    let property = property.ok_or_else(|| format!("No property \"{name}\" for a method token."))?;
    let values: Vec<String> = property.values.iter().map(|value| escaped(value)).collect();
    Ok(values.join(separator))
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if ESCAPED.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// What a method's end means for the instance.
pub(crate) fn outcome(method: Method, status: ExitStatus) -> Outcome {
    let starts = method == Method::Start;
    match status.code() {
        Some(0) => Outcome::Ok,
        Some(94) if starts => Outcome::NoDaemon,
        Some(97 | 98) if starts => Outcome::Degraded,
        Some(95 | 96 | 99 | 100) => Outcome::Fatal,
        Some(101) if starts => Outcome::TempDisable,
        _ => Outcome::Failed,
    }
}

/// The log's line about a method's end.
pub(crate) fn describe(name: &str, status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => format!("Method \"{name}\" exited with status 0."),
        (Some(code), _) => format!("Method \"{name}\" failed with exit status {code}."),
        (_, Some(number)) => {
            let signal = Signal::try_from(number).map_or("?", Signal::as_str);
            format!("Method \"{name}\" failed due to signal {}.", signal.trim_start_matches("SIG"))
        }
        _ => format!("Method \"{name}\" failed."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{PropType, Property, PropertyGroup};

    fn parsed(exec: &str) -> Result<Command, String> {
        let mut groups = Groups::new();
        let mut config = PropertyGroup::new("application");
        let values = vec!["a b".to_owned(), "c;d".to_owned()];
        config.props.insert("x".to_owned(), Property { ty: PropType::Astring, values });
        groups.insert("config".to_owned(), config);
        let fmri = Fmri::parse("svc:/system/xvm/xend:default").unwrap();
        Command::parse(exec, &fmri, "start", &groups)
    }

    #[test]
    fn tokens_are_expanded() {
        let shell = |text: &str| Ok(Command::Shell(text.to_owned()));
        assert_eq!(parsed(":true"), Ok(Command::True));
        assert_eq!(parsed(":kill"), Ok(Command::Kill(Signal::SIGTERM)));
        assert_eq!(parsed(":kill -HUP"), Ok(Command::Kill(Signal::SIGHUP)));
        assert_eq!(parsed(":kill -9"), Ok(Command::Kill(Signal::SIGKILL)));
        assert_eq!(parsed("/x %m %i 100%%"), shell("/x start default 100%"));
        assert_eq!(parsed("/x %s %f"), shell("/x system/xvm/xend svc:/system/xvm/xend:default"));
        assert_eq!(parsed("/x %{config/x,} y"), shell(r"/x a\ b,c\;d y"));
        for bad in ["/x %q", "/x %{config/none}", "/x %{config", ":kill -NONE", ":nothing"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn exit_statuses_mean_what_the_manual_says() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        assert_eq!(outcome(Method::Start, exited(0)), Outcome::Ok);
        assert_eq!(outcome(Method::Start, exited(1)), Outcome::Failed);
        assert_eq!(outcome(Method::Start, exited(96)), Outcome::Fatal);
        assert_eq!(outcome(Method::Start, exited(101)), Outcome::TempDisable);
        assert_eq!(outcome(Method::Stop, exited(101)), Outcome::Failed);
        assert_eq!(outcome(Method::Start, ExitStatus::from_raw(9)), Outcome::Failed);
        assert_eq!(
            describe("stop", ExitStatus::from_raw(9)),
            "Method \"stop\" failed due to signal KILL."
        );
        assert_eq!(describe("start", exited(95)), "Method \"start\" failed with exit status 95.");
    }
}
