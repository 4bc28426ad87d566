//! The fork, the readiness pipe and what both sides say on it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stdin, fork, pipe2, setsid};

use crate::log::{self, LogTo};
use crate::pidfile::PidFile;

/// How a daemon wants to be started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The daemon's name, first word of every message.
    pub name: &'static str,
    /// Where the process id is kept; the file is locked while the daemon lives.
    pub pid_file: Option<PathBuf>,
    /// Stay in the foreground (`--no-fork`).
    pub foreground: bool,
    /// Where log lines go.
    pub log: LogTo,
    /// The least severe level that is logged, in the words of `tracing` (`info`, `debug`, ...).
    pub level: String,
}

/// Why a daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The pid file or the log file can't be used.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the pid file's lock.
    #[error("already running as pid {pid} ({path} is locked)")]
    AlreadyRunning {
        /// What the pid file says, or `?`.
        pid: String,
        /// The pid file.
        path: PathBuf,
    },
}

/// The duty to say, exactly once, whether the daemon came up.
///
/// Dropping it without a word makes the waiting parent fail, as a crash does.
#[must_use = "the start method waits until ready() or fail() is called"]
#[derive(Debug)]
pub struct Ready {
    name: &'static str,
    pipe: Option<File>,
    pid_file: Option<PidFile>,
}

/// Becomes a daemon as `options` say. Call it before any thread is made.
///
/// With a fork the calling process never returns from here: it waits for the child and exits.
/// An error is reported in the child, through the parent, as exit status 1.
pub fn detach(options: &Options) -> Result<Ready, Error> {
    let pipe = if options.foreground { None } else { Some(fork_away(options.name)?) };
    let mut ready = Ready { name: options.name, pipe, pid_file: None };
    match prepare(options) {
        Ok(pid_file) => {
            ready.pid_file = pid_file;
            Ok(ready)
        }
        Err(error) if ready.pipe.is_some() => ready.fail(1, &error.to_string()),
        Err(error) => Err(error),
    }
}

fn prepare(options: &Options) -> Result<Option<PidFile>, Error> {
    let pid_file = options.pid_file.as_deref().map(PidFile::acquire).transpose()?;
    log::init(&options.log, &options.level)?;
    Ok(pid_file)
}

/// Forks; returns the pipe's writing end in the child, and never in the parent.
fn fork_away(name: &'static str) -> Result<File, Error> {
    let system = |doing| move |errno: nix::Error| Error::System { doing, source: errno.into() };
    let (read, write) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(system("make a pipe"))?;
    // SAFETY: the contract of detach() is that no other thread exists yet, so the child may do
    // anything that the parent could.
    match unsafe { fork() }.map_err(system("fork"))? {
        ForkResult::Parent { child } => {
            drop(write);
            await_child(name, child, read)
        }
        ForkResult::Child => {
            drop(read);
            setsid().map_err(system("start a session"))?;
            let null = File::open("/dev/null")
                .map_err(|source| Error::File { path: "/dev/null".into(), source })?;
            dup2_stdin(null.as_fd()).map_err(system("replace stdin"))?;
            Ok(File::from(write))
        }
    }
}

/// The parent: passes on what the child says, as output and exit status.
fn await_child(name: &str, child: Pid, pipe: OwnedFd) -> ! {
    let mut word = Vec::new();
    let _ = File::from(pipe).read_to_end(&mut word);
    let status = match word.split_first() {
        Some((0, _)) => 0,
        Some((&status, message)) => {
            eprintln!("{name}: {}", String::from_utf8_lossy(message));
            i32::from(status)
        }
        None => {
            eprintln!("{name}: {}", how_it_ended(waitpid(child, None)));
            1
        }
    };
    std::process::exit(status)
}

fn how_it_ended(status: nix::Result<WaitStatus>) -> String {
    match status {
        Ok(WaitStatus::Exited(_, status)) => {
            format!("exited with status {status} before it was ready")
        }
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("died of {signal} before it was ready"),
        _ => "ended before it was ready".to_owned(),
    }
}

impl Ready {
    /// Says that the daemon is usable. The returned value keeps the pid file locked: hold it for
    /// as long as the daemon lives.
    pub fn ready(mut self) -> PidGuard {
        if let Some(mut pipe) = self.pipe.take() {
            // A parent that was killed in the meantime is no reason not to serve.
            let _ = pipe.write_all(&[0]);
        }
        PidGuard { _file: self.pid_file.take() }
    }

    /// Says that the daemon could not come up, and ends the process with `status` (not 0).
    pub fn fail(mut self, status: u8, message: &str) -> ! {
        let status = status.max(1);
        match self.pipe.take() {
            Some(mut pipe) => {
                let _ = pipe.write_all(&[&[status], message.as_bytes()].concat());
            }
            None => eprintln!("{}: {message}", self.name),
        }
        std::process::exit(i32::from(status))
    }
}

/// Keeps the pid file locked; removes it when the daemon ends in order.
#[derive(Debug)]
pub struct PidGuard {
    _file: Option<PidFile>,
}
