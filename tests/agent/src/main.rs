//! `execd`: runs commands in dom0 for whoever holds the other end of the virtio-serial port.
//!
//! One thread and one poll loop; a command is a process group that a cancel or a new asker kills.

mod port;
mod running;
mod server;

use std::process::ExitCode;

use svc_daemon::{LogTo, Options};

fn main() -> ExitCode {
    let foreground = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--no-fork") => true,
        Some(_) => {
            eprintln!("usage: execd [--no-fork]");
            return ExitCode::from(2);
        }
    };
    let options = Options {
        name: "execd",
        pid_file: Some("/run/execd.pid".into()),
        foreground,
        log: LogTo::Stderr,
        level: "info".to_owned(),
    };
    let ready = match svc_daemon::detach(&options) {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("execd: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut server = match port::wait().and_then(server::Server::new) {
        Ok(server) => server,
        Err(error) => ready.fail(1, &error.to_string()),
    };
    let _guard = ready.ready();
    match server.serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("execd: {error}");
            ExitCode::FAILURE
        }
    }
}
