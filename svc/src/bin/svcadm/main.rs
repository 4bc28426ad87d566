//! `svcadm`: changes how services run (svcadm(8)).

mod changes;
mod enable;
mod operands;
mod options;
#[cfg(test)]
#[path = "../../../tests/common/sample.rs"]
mod sample;
mod wait;

use std::process::ExitCode;

use svc::fmri::Fmri;
use svc::host::Host;
use svc::repo::{Repo, RepoError};
use svc::state::State;

use options::{Command, Options};
use wait::Goal;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Repo(#[from] RepoError),
}

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(misuse) => {
            eprintln!("{misuse}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("svcadm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what is asked for each operand; one that can't be served doesn't hinder the others.
fn run(options: &Options) -> Result<u8, Error> {
    let repo = Repo::connect()?;
    // What happens from here on is looked at when waiting.
    let generation = repo.generation()?;
    let host = Host::load(&repo)?;
    let chosen = operands::resolve(&options.operands, options.state, &host);
    let mut code = u8::from(!chosen.complaints.is_empty());
    chosen.complaints.iter().for_each(|line| eprintln!("svcadm: {line}"));
    let mut done = Vec::new();
    for fmri in chosen.instances {
        match act(&repo, &host, &fmri, options) {
            Ok(()) => done.push(fmri),
            Err(error) => {
                eprintln!("svcadm: {}", explain(&fmri, error));
                code = 1;
            }
        }
    }
    let goal = match options.command {
        Command::Enable { wait: true, .. } => Goal::Running,
        Command::Disable { wait: true, .. } => Goal::Disabled,
        _ => return Ok(code),
    };
    let waited = wait::until(&repo, &host, generation, done, goal)?;
    Ok(if waited == 0 { code } else { waited })
}

fn act(repo: &Repo, host: &Host, fmri: &Fmri, options: &Options) -> Result<(), Error> {
    let say = |line: String| {
        if options.verbose {
            println!("{line}");
        }
    };
    let request = |action: &str| -> Result<(), Error> {
        repo.request(fmri, action)?;
        say(format!("Action {action} set for {fmri}."));
        Ok(())
    };
    match options.command {
        Command::Enable { recursive, temporary, .. } => {
            let plan = match recursive {
                true => enable::with_dependencies(host, fmri).map_err(Error::Failed)?,
                false => vec![fmri.clone()],
            };
            plan.iter().try_for_each(|fmri| switch(repo, fmri, true, temporary, &say))
        }
        Command::Disable { temporary, .. } => switch(repo, fmri, false, temporary, &say),
        Command::Restart => request("restart"),
        Command::Refresh => {
            repo.request_refresh(fmri)?;
            say(format!("Action refresh set for {fmri}."));
            Ok(())
        }
        Command::MarkMaintenance => request("maint_on"),
        Command::Clear => match host.instances[fmri].state() {
            Some(State::Maintenance) => request("maint_off"),
            Some(State::Degraded) => request("restore"),
            _ => Err(Error::Failed(format!(
                "Instance \"{fmri}\" is not in a maintenance or degraded state."
            ))),
        },
    }
}

fn switch(
    repo: &Repo,
    fmri: &Fmri,
    enabled: bool,
    temporary: bool,
    say: &dyn Fn(String),
) -> Result<(), Error> {
    repo.commit(changes::switch(fmri, enabled, temporary))?;
    if !temporary {
        // rc.conf says the same, where it says anything.
        svc::rc::note_enabled(fmri, enabled).map_err(|error| Error::Failed(error.to_string()))?;
    }
    let how = if temporary { "temporarily " } else { "" };
    let what = if enabled { "enabled" } else { "disabled" };
    say(format!("{fmri} {how}{what}."));
    Ok(())
}

fn explain(fmri: &Fmri, error: Error) -> String {
    match error {
        Error::Repo(error) if error.is_denied() => format!("{fmri}: Permission denied."),
        Error::Repo(error) if error.is_not_found() => format!("No such instance \"{fmri}\"."),
        Error::Repo(error) => format!("{fmri}: {error}"),
        Error::Failed(line) => line,
    }
}
