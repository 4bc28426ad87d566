//! `svc.configd`: the repository of the service framework. It keeps services, instances and their
//! typed properties in SQLite and serves them on a unix socket; it may be killed at any moment.

mod connection;
mod db;
mod files;
mod log;
mod requests;
mod rights;
mod server;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use db::Db;
use files::Files;
use nix::sys::signal::{SigHandler, Signal, signal};

const USAGE: &str = "Usage: svc.configd [--ready-fd N]\n       svc.configd -r file -d socket";

/// Which repository is served.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    /// The system's. That it is ready is said on a descriptor.
    System(Option<i32>),
    /// The one in `file`, on `socket`, until standard input ends.
    Alternate { file: PathBuf, socket: PathBuf },
}

fn main() -> ExitCode {
    let task = match arguments(std::env::args().skip(1)) {
        Ok(task) => task,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match run(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("svc.configd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until something breaks, or nobody needs it any more.
fn run(task: Task) -> Result<(), Box<dyn std::error::Error>> {
    // A file that may not grow is for the writer to deal with, as a full disk is.
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
    let (files, ready_fd, leash) = match task {
        Task::System(ready_fd) => (Files::system(), ready_fd, None),
        Task::Alternate { file, socket } => {
            (Files::alternate(file, socket), None, Some(std::io::stdin()))
        }
    };
    let _lock = files.lock()?;
    let db = Db::open(&files)?;
    let listener = server::listen(&files.socket)?;
    if let Some(fd) = ready_fd {
        say_ready(fd).map_err(|error| format!("cannot write to --ready-fd {fd}: {error}"))?;
    }
    Ok(server::serve(&listener, db, leash)?)
}

fn arguments(args: impl Iterator<Item = String>) -> Result<Task, String> {
    let args: Vec<String> = args.collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Ok(Task::System(None)),
        ["--ready-fd", fd] => {
            let fd = fd.parse().ok().filter(|&fd: &i32| fd > 2);
            fd.map(|fd| Task::System(Some(fd))).ok_or_else(|| USAGE.to_owned())
        }
        ["-r", file, "-d", socket] | ["-d", socket, "-r", file] => {
            Ok(Task::Alternate { file: file.into(), socket: socket.into() })
        }
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
        assert_eq!(parse(&[]), Ok(Task::System(None)));
        assert_eq!(parse(&["--ready-fd", "5"]), Ok(Task::System(Some(5))));
        let alternate = Ok(Task::Alternate { file: "f".into(), socket: "s".into() });
        assert_eq!(parse(&["-r", "f", "-d", "s"]), alternate);
        assert_eq!(parse(&["-d", "s", "-r", "f"]), alternate);
        for words in [
            &["--ready-fd"][..],
            &["--ready-fd", "1"],
            &["-x"],
            &["--ready-fd", "5", "6"],
            &["-r", "f"],
        ] {
            assert_eq!(parse(words), Err(USAGE.to_owned()), "{words:?}");
        }
    }
}
