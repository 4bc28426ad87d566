//! `svc.configd`: the repository of the service framework. It keeps services, instances and their
//! typed properties in SQLite and serves them on a unix socket; it may be killed at any moment.

mod compose;
mod connection;
mod db;
mod files;
mod log;
mod requests;
mod rights;
mod server;

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use db::Db;
use files::Files;
use nix::sys::signal::{SigHandler, Signal, signal};

const USAGE: &str = "Usage: svc.configd [--ready-fd N]";

fn main() -> ExitCode {
    let ready_fd = match arguments(std::env::args().skip(1)) {
        Ok(ready_fd) => ready_fd,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match run(ready_fd) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("svc.configd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until something breaks.
fn run(ready_fd: Option<i32>) -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    // A file that may not grow is for the writer to deal with, as a full disk is.
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
    let files = Files::system();
    let _lock = files.lock()?;
    let db = Db::open(&files)?;
    let listener = server::listen(&files.socket)?;
    if let Some(fd) = ready_fd {
        say_ready(fd).map_err(|error| format!("cannot write to --ready-fd {fd}: {error}"))?;
    }
    Ok(server::serve(&listener, db)?)
}

fn arguments(mut args: impl Iterator<Item = String>) -> Result<Option<i32>, String> {
    let Some(option) = args.next() else { return Ok(None) };
    let value = args.next().and_then(|value| value.parse().ok());
    match (option.as_str(), value, args.next()) {
        ("--ready-fd", Some(fd), None) if fd > 2 => Ok(Some(fd)),
        _ => Err(USAGE.to_owned()),
    }
}

/// Writes one byte to the inherited descriptor `fd` and closes it.
fn say_ready(fd: i32) -> std::io::Result<()> {
    File::options().write(true).open(format!("/proc/self/fd/{fd}"))?.write_all(b"\n")?;
    Ok(nix::unistd::close(fd)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let parse = |words: &[&str]| arguments(words.iter().map(|&word| word.to_owned()));
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&["--ready-fd", "5"]), Ok(Some(5)));
        for words in [&["--ready-fd"][..], &["--ready-fd", "1"], &["-x"], &["--ready-fd", "5", "6"]]
        {
            assert_eq!(parse(words), Err(USAGE.to_owned()), "{words:?}");
        }
    }
}
