//! The daemon: listens, and reads its settings again when it is told to.
//!
//! The main thread waits for clients and signals; `client` says what threads a client has.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use svc_daemon::{LogTo, Options, Ready, Signals};

use crate::server::Server;
use crate::session::Host;
use crate::settings::Settings;
use crate::watch;

/// Where the process id is kept.
const PID_FILE: &str = "/run/virtd.pid";

const TERM: i32 = Signal::SIGTERM as i32;
const INT: i32 = Signal::SIGINT as i32;
const HUP: i32 = Signal::SIGHUP as i32;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// Stay in the foreground.
    pub foreground: bool,
    /// Where the unix sockets and the pid file go, whatever the settings say.
    pub sockets: Option<PathBuf>,
    /// Where xend listens, whatever its settings say.
    pub xend: Option<PathBuf>,
    /// Where guests are defined, instead of where xm has them.
    pub definitions: Option<PathBuf>,
}

/// Runs the daemon. Returns what it could not start for.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let (settings, notes) = settings(arguments);
    let foreground = arguments.foreground;
    let pid_file = arguments.sockets.as_ref().map(|folder| folder.join("virtd.pid"));
    let options = Options {
        name: "virtd",
        pid_file: Some(pid_file.unwrap_or_else(|| PID_FILE.into())),
        foreground,
        log: if foreground { LogTo::Stderr } else { LogTo::File(settings.logfile.clone()) },
        level: settings.loglevel.clone(),
    };
    let ready = svc_daemon::detach(&options).map_err(|error| error.to_string())?;
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    match start(arguments, settings) {
        Ok(daemon) => daemon.serve(ready),
        Err(error) => {
            tracing::error!("{error}");
            ready.fail(1, &error)
        }
    }
}

/// The settings, and what is to be said of them once there is a log.
fn settings(arguments: &Arguments) -> (Settings, Vec<String>) {
    let (mut settings, notes) = Settings::load().unwrap_or_else(|error| {
        let note = format!("no service repository, defaults are used: {error}");
        (Settings::default(), vec![note])
    });
    settings.unix_folder = arguments.sockets.clone().unwrap_or(settings.unix_folder);
    settings.xend = arguments.xend.clone().unwrap_or(settings.xend);
    settings.definitions = arguments.definitions.clone().unwrap_or(settings.definitions);
    (settings, notes)
}

struct Daemon {
    arguments: Arguments,
    server: Server,
    signals: Signals,
    /// What only a restart changes.
    fixed: Fixed,
}

type Fixed = (PathBuf, String, u32, u32, PathBuf, String, PathBuf);

fn fixed(it: &Settings) -> Fixed {
    let perms = (it.unix_rw_perms, it.unix_ro_perms);
    (
        it.unix_folder.clone(),
        it.unix_group.clone(),
        perms.0,
        perms.1,
        it.logfile.clone(),
        it.loglevel.clone(),
        it.xend.clone(),
    )
}

fn start(arguments: &Arguments, settings: Settings) -> Result<Daemon, String> {
    let host = Arc::new(Host::new(&settings));
    let signals = Signals::new(&[TERM, INT, HUP]).map_err(|error| format!("signals: {error}"))?;
    let server = Server::bind(&settings, Arc::clone(&host))?;
    watch::start(host).map_err(|error| format!("cannot start a thread: {error}"))?;
    tracing::info!("listening in {}", settings.unix_folder.display());
    Ok(Daemon { arguments: arguments.clone(), server, signals, fixed: fixed(&settings) })
}

impl Daemon {
    fn serve(mut self, ready: Ready) -> Result<(), String> {
        let _guard = ready.ready();
        loop {
            self.wait()?;
            for signal in self.signals.pending() {
                if signal != HUP {
                    tracing::info!("ends");
                    return Ok(());
                }
                self.refresh();
            }
            self.server.accept();
        }
    }

    fn wait(&self) -> Result<(), String> {
        let descriptors = self.server.descriptors().chain([self.signals.as_fd()]);
        let mut waiting: Vec<PollFd> =
            descriptors.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(format!("poll: {errno}")),
        }
    }

    /// Reads the settings again. Clients that are connected stay.
    fn refresh(&mut self) {
        let (settings, notes) = settings(&self.arguments);
        notes.iter().for_each(|note| tracing::warn!("{note}"));
        if fixed(&settings) != self.fixed {
            tracing::warn!("unix sockets, log and xend's socket change when virtd is restarted");
        }
        match self.server.set(&settings) {
            Ok(()) => tracing::info!("the settings are read again"),
            Err(error) => tracing::error!("{error}"),
        }
    }
}
