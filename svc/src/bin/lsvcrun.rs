//! `lsvcrun`: runs an rc.d script that has no manifest, and notes it as a legacy service.
//! `lsvcrun SCRIPT start|stop`; a script that stands for an instance is left alone.

use std::path::Path;
use std::process::ExitCode;

use svc::rc::legacy;
use svc::repo::Repo;

const USAGE: &str = "Usage: lsvcrun SCRIPT start|stop";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [script, verb] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if !matches!(verb.as_str(), "start" | "stop") {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let run = |repo: Repo| legacy::run(&repo, Path::new(script), verb);
    match Repo::connect().map_err(Into::into).and_then(run) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("lsvcrun: {error}");
            ExitCode::FAILURE
        }
    }
}
