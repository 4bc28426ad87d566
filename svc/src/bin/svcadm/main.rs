//! `svcadm`: changes how services run (svcadm(8)).

mod act;
mod enable;
mod goal;
mod milestone;
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

use act::Asker;
use goal::Awaited;
use options::{Options, Verb};

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

fn run(options: &Options) -> Result<u8, Error> {
    let repo = Repo::connect()?;
    // What happens from here on is looked at when waiting.
    let generation = repo.generation()?;
    let host = Host::load(&repo)?;
    let (awaited, code) = match &options.verb {
        Verb::Milestone { name, at_boot } => {
            (milestone::go(&repo, &host, name, *at_boot, options)?, 0)
        }
        _ => ask(&repo, &host, options),
    };
    let Some(patience) = options.wait else { return Ok(code) };
    let waited = wait::until(&repo, (host, generation), awaited, patience)?;
    Ok(if waited == 0 { code } else { waited })
}

/// Asks for what is wanted of each operand; one that can't be served doesn't hinder the others.
fn ask(repo: &Repo, host: &Host, options: &Options) -> (Vec<Awaited>, u8) {
    let chosen = operands::resolve(&options.operands, options.state, host);
    chosen.complaints.iter().for_each(|line| eprintln!("svcadm: {line}"));
    let mut code = u8::from(!chosen.complaints.is_empty());
    let asker = Asker { repo, host, options };
    let mut awaited = Vec::new();
    for fmri in chosen.instances {
        match asker.ask(&fmri) {
            Ok(()) => awaited.push(goal::of(&options.verb, &host.instances[&fmri], fmri)),
            Err(error) => {
                eprintln!("svcadm: {}", asker.explain(&fmri, error));
                code = 1;
            }
        }
    }
    (awaited, code)
}

/// The instance whose method this process was started by, if it was by one.
pub(crate) fn own_instance() -> Option<Fmri> {
    std::env::var_os("SMF_METHOD")?;
    Fmri::parse(&std::env::var("SMF_FMRI").ok()?).ok()
}
