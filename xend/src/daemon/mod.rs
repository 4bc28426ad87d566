//! The daemon: takes up the domains that are there, listens, and looks after its domains.
//!
//! The main thread waits for clients and signals. Each client has a thread; `minder` is told by
//! the store when a domain stopped; `preparer` does ahead what creating guests takes long for;
//! whatever takes long is done by a thread of its own. xend may be killed at any moment: no guest
//! depends on it, and the next one takes up where it was.

mod control_domain;
mod methods;
mod minder;
mod node;
mod preparer;

use std::os::fd::AsFd;
use std::sync::{Arc, RwLock};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use svc_daemon::{LogTo, Options, Ready, Signals};

use crate::definitions::Definitions;
use crate::domain::{Host, Manager, RECORDS, Records};
use crate::host::kernels::{self, Kernels};
use crate::host::xen::Xen;
use crate::host::xenstore::XenStores;
use crate::rpc::server::Server;
use crate::settings::Settings;
use methods::Methods;
use node::Node;

/// Where the process id is kept.
const PID_FILE: &str = "/run/xend.pid";
/// What tells one boot of the host from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The host's network interfaces.
const NET: &str = "/sys/class/net";

const TERM: i32 = Signal::SIGTERM as i32;
const INT: i32 = Signal::SIGINT as i32;
const HUP: i32 = Signal::SIGHUP as i32;

/// Runs the daemon. Returns what it could not start for.
pub fn run(foreground: bool) -> Result<(), String> {
    let (settings, origin) = settings();
    let options = Options {
        name: "xend",
        pid_file: Some(PID_FILE.into()),
        foreground,
        log: if foreground { LogTo::Stderr } else { LogTo::File(settings.logfile.clone()) },
        level: settings.loglevel.filter().to_owned(),
    };
    let ready = svc_daemon::detach(&options).map_err(|error| error.to_string())?;
    origin.log(&settings);
    match start(settings) {
        Ok(daemon) => daemon.serve(ready),
        Err(error) => {
            tracing::error!("{error}");
            ready.fail(1, &error)
        }
    }
}

/// Where settings came from, to be logged once there is a log.
struct Origin {
    complaints: Vec<String>,
    no_repository: Option<String>,
}

impl Origin {
    fn log(&self, settings: &Settings) {
        match &self.no_repository {
            Some(reason) => tracing::info!("no service repository, defaults are used: {reason}"),
            None => tracing::info!("settings are read from the service repository"),
        }
        self.complaints.iter().for_each(|complaint| tracing::warn!("{complaint}"));
        settings.without_effect().iter().for_each(|note| tracing::warn!("{note}"));
        for (name, value) in settings.list() {
            tracing::debug!("{name} = {value:?}");
        }
    }
}

fn settings() -> (Settings, Origin) {
    match Settings::load() {
        Ok((settings, complaints)) => (settings, Origin { complaints, no_repository: None }),
        Err(error) => {
            let no_repository = Some(error.to_string());
            (Settings::default(), Origin { complaints: Vec::new(), no_repository })
        }
    }
}

struct Daemon {
    manager: Arc<Manager>,
    kernels: Arc<Kernels>,
    server: Server,
    methods: Arc<Methods>,
    signals: Signals,
}

fn start(settings: Settings) -> Result<Daemon, String> {
    let boot_id =
        std::fs::read_to_string(BOOT_ID).map_err(|error| format!("{BOOT_ID}: {error}"))?;
    let socket = settings.socket.clone();
    let kernels = Arc::new(Kernels::new(kernels::DIR));
    let xen = Xen::open(Arc::clone(&kernels)).map_err(|error| error.to_string())?;
    let manager = Arc::new(Manager::new(Host {
        hypervisor: Box::new(xen),
        stores: Box::new(XenStores),
        records: Records::new(RECORDS),
        definitions: Definitions::default(),
        settings: RwLock::new(Arc::new(settings)),
        boot_id: boot_id.trim().to_owned(),
        net: NET.into(),
    }));
    let node = Node::open().map_err(|error| error.to_string())?;
    control_domain::announce(&manager).map_err(|error| error.to_string())?;
    manager.take_up().map_err(|error| error.to_string())?;
    let server = Server::bind(&socket).map_err(|error| format!("{}: {error}", socket.display()))?;
    let signals = Signals::new(&[TERM, INT, HUP]).map_err(|error| format!("signals: {error}"))?;
    minder::start(Arc::clone(&manager))
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    let methods = Arc::new(Methods::new(Arc::clone(&manager), node));
    tracing::info!("listening on {}", socket.display());
    Ok(Daemon { manager, kernels, server, methods, signals })
}

impl Daemon {
    fn serve(mut self, ready: Ready) -> Result<(), String> {
        let _guard = ready.ready();
        self.prepare();
        loop {
            let mut waiting = [
                PollFd::new(self.server.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut waiting, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(format!("poll: {errno}")),
            }
            for signal in self.signals.pending() {
                if signal == HUP {
                    self.refresh();
                } else {
                    return self.leave();
                }
            }
            self.server.accept(&self.methods);
        }
    }

    /// Begins to prepare kernels, which nobody has to wait for.
    fn prepare(&self) {
        if self.manager.host().settings().prepare_kernels {
            let started = preparer::start(Arc::clone(&self.manager), Arc::clone(&self.kernels));
            if let Err(error) = started {
                tracing::warn!("cannot start a thread: {error}");
            }
        }
    }

    /// Reads the settings again. Some are settled at xend's start.
    fn refresh(&self) {
        let old = self.manager.host().settings();
        let (new, origin) = settings();
        origin.log(&new);
        let fixed = |it: &Settings| {
            (it.socket.clone(), it.logfile.clone(), it.loglevel, it.prepare_kernels)
        };
        if fixed(&old) != fixed(&new) {
            tracing::warn!(
                "xend-unix-path, logfile, loglevel and prepare-kernels take effect when xend is \
                 restarted"
            );
        }
        self.manager.host().set_settings(new);
    }

    /// Goes without a word to the guests. What is under way is taken up by the next xend.
    fn leave(&self) -> Result<(), String> {
        let socket = &self.manager.host().settings().socket;
        let _ = std::fs::remove_file(socket);
        tracing::info!("xend ends; {} guests go on", self.manager.known().len());
        Ok(())
    }
}
