//! `svc.startd`: the master restarter. It stays in the foreground; `init` looks after it.

use std::process::ExitCode;

use svc::restarter::daemon::Daemon;

fn main() -> ExitCode {
    match Daemon::open().and_then(Daemon::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("svc.startd: {error}");
            ExitCode::FAILURE
        }
    }
}
