//! The daemon: one thread, one poll loop, a console for each guest.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use store::client::Client;
use svc_daemon::Signals;
use tracing::{info, warn};
use xen::sys::{DomId, Hypervisor, Port};

use crate::guest::{Devices, Guest, Nodes};
use crate::hypervisor::HypervisorLog;
use crate::log::Log;

/// What to log, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where logs are kept.
    pub log_dir: PathBuf,
    /// The size at which a log is put aside, in bytes; 0: never.
    pub log_limit: u64,
    /// Keep logs of guests.
    pub log_guests: bool,
    /// Keep a log of the hypervisor.
    pub log_hypervisor: bool,
}

/// The daemon's state.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    store: Client,
    hypervisor: Hypervisor,
    devices: Devices,
    guests: BTreeMap<DomId, Guest>,
    /// Guests whose nodes are not complete yet.
    awaited: BTreeMap<DomId, String>,
    /// Guests that broke their ring; they get no other before they are gone.
    dropped: Vec<DomId>,
    hypervisor_log: Option<HypervisorLog>,
    signals: Signals,
}

impl Daemon {
    /// Opens everything and takes up all guests there are.
    pub fn open(config: Config) -> io::Result<Self> {
        let signals = Signals::new(&[SIGTERM, SIGINT, SIGHUP])?;
        let store = Client::connect().map_err(io::Error::other)?;
        let hypervisor = Hypervisor::open()?;
        let devices = Devices::open()?;
        for path in ["@introduceDomain", "@releaseDomain"] {
            store.watch(path, path).map_err(io::Error::other)?;
        }
        let mut daemon = Self {
            config,
            store,
            hypervisor,
            devices,
            guests: BTreeMap::new(),
            awaited: BTreeMap::new(),
            dropped: Vec::new(),
            hypervisor_log: None,
            signals,
        };
        if daemon.config.log_hypervisor {
            daemon.follow_hypervisor();
        }
        daemon.scan()?;
        Ok(daemon)
    }

    /// A host whose hypervisor log can't be had still has consoles.
    fn follow_hypervisor(&mut self) {
        let path = self.config.log_dir.join("hypervisor.log");
        let opened = Log::open(&path, self.config.log_limit)
            .and_then(|log| HypervisorLog::open(&self.devices.evtchn, log))
            .and_then(|mut log| log.serve(&self.hypervisor).map(|()| log));
        match opened {
            Ok(log) => self.hypervisor_log = Some(log),
            Err(error) => warn!("no log of the hypervisor: {error}"),
        }
    }

    /// Serves until SIGTERM or SIGINT.
    pub fn serve(mut self) -> io::Result<()> {
        loop {
            // Events that came with the answers to our own requests make no descriptor ready.
            while self.store_changed()? {
                self.scan()?;
            }
            let ready = self.wait()?;
            for signal in self.signals.pending() {
                match signal {
                    SIGHUP => self.reopen_logs(),
                    _ => {
                        info!("stopping; the guests wait until there is a daemon again");
                        return Ok(());
                    }
                }
            }
            while let Some(port) = self.devices.evtchn.pending()? {
                self.fired(port)?;
            }
            for domid in ready {
                self.serve_guest(domid);
            }
            self.release_throttled()?;
        }
    }

    /// Waits until something can be done; says whose terminals can move.
    fn wait(&self) -> io::Result<Vec<DomId>> {
        let domids: Vec<DomId> = self.guests.keys().copied().collect();
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.devices.evtchn.fd(), PollFlags::POLLIN),
            PollFd::new(self.store.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.guests.values().map(Guest::poll_fd));
        match poll(&mut fds, self.timeout()) {
            Ok(_) => {}
            Err(nix::Error::EINTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        let ready = domids.into_iter().zip(&fds[3..]).filter(|(_, fd)| is_ready(fd));
        Ok(ready.map(|(domid, _)| domid).collect())
    }

    fn timeout(&self) -> PollTimeout {
        let next = self.guests.values().filter_map(|guest| guest.throttled).min();
        next.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_millis() as u16;
            PollTimeout::from(left + 1)
        })
    }

    /// Takes the store's events; says whether any came.
    fn store_changed(&self) -> io::Result<bool> {
        let mut any = false;
        while self.store.next_event(Some(Duration::ZERO)).map_err(io::Error::other)?.is_some() {
            any = true;
        }
        Ok(any)
    }

    /// Compares the guests we serve with those there are.
    fn scan(&mut self) -> io::Result<()> {
        let all = self.hypervisor.domain_list()?;
        let alive: Vec<DomId> = all
            .iter()
            .filter(|info| info.domid != 0 && !info.dying)
            .map(|info| info.domid)
            .collect();
        let gone: Vec<DomId> =
            self.guests.keys().copied().filter(|domid| !alive.contains(domid)).collect();
        for domid in gone {
            if let Some(guest) = self.guests.remove(&domid) {
                guest.close(&self.devices.evtchn);
            }
        }
        self.dropped.retain(|domid| alive.contains(domid));
        let done: Vec<DomId> =
            self.awaited.keys().copied().filter(|domid| !alive.contains(domid)).collect();
        for domid in done {
            self.stop_awaiting(domid);
        }
        for domid in alive {
            if !self.guests.contains_key(&domid) && !self.dropped.contains(&domid) {
                self.take_up(domid);
            }
        }
        Ok(())
    }

    fn take_up(&mut self, domid: DomId) {
        let nodes = match Nodes::read(&self.store, domid) {
            Ok(Some(nodes)) => nodes,
            Ok(None) => return self.await_nodes(domid),
            Err(error) => return warn!("domain {domid}: {error}"),
        };
        let logs = (self.config.log_dir.as_path(), self.config.log_limit);
        let logs = self.config.log_guests.then_some(logs);
        match Guest::open(&self.devices, &self.store, domid, nodes, logs) {
            Ok(guest) => {
                self.stop_awaiting(domid);
                self.guests.insert(domid, guest);
                self.serve_guest(domid);
            }
            // A guest that is just being built is tried again when its nodes change.
            Err(error) => {
                warn!("domain {domid}: {error}");
                self.await_nodes(domid);
            }
        }
    }

    /// Watches the nodes of a guest until they are complete.
    fn await_nodes(&mut self, domid: DomId) {
        let path = format!("/local/domain/{domid}/console");
        if !self.awaited.contains_key(&domid) && self.store.watch(&path, &path).is_ok() {
            self.awaited.insert(domid, path);
        }
    }

    fn stop_awaiting(&mut self, domid: DomId) {
        if let Some(path) = self.awaited.remove(&domid) {
            let _ = self.store.unwatch(&path, &path);
        }
    }

    fn fired(&mut self, port: Port) -> io::Result<()> {
        if let Some(log) = self.hypervisor_log.as_mut().filter(|log| log.port == port) {
            if let Err(error) = log.serve(&self.hypervisor) {
                warn!("no more log of the hypervisor: {error}");
                self.hypervisor_log = None;
            }
            return self.devices.evtchn.unmask(port);
        }
        let guest = self.guests.iter().find(|(_, guest)| guest.port == port);
        let Some(domid) = guest.map(|(domid, _)| *domid) else { return Ok(()) };
        self.serve_guest(domid);
        match self.guests.get(&domid) {
            Some(guest) if guest.throttled.is_none() => self.devices.evtchn.unmask(port),
            _ => Ok(()),
        }
    }

    fn serve_guest(&mut self, domid: DomId) {
        let Some(guest) = self.guests.get_mut(&domid) else { return };
        if let Err(error) = guest.serve(&self.devices.evtchn) {
            warn!("{}: its console is dropped: {error}", guest.name());
            self.dropped.push(domid);
            if let Some(guest) = self.guests.remove(&domid) {
                let _ = self.devices.evtchn.unbind(guest.port);
            }
        }
    }

    /// Lets guests that had written too much go on.
    fn release_throttled(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_over = |guest: &Guest| guest.throttled.is_some_and(|until| until <= now);
        let over: Vec<DomId> = self
            .guests
            .iter()
            .filter(|(_, guest)| is_over(guest))
            .map(|(domid, _)| *domid)
            .collect();
        for domid in over {
            if let Some(guest) = self.guests.get_mut(&domid) {
                guest.throttled = None;
                self.devices.evtchn.unmask(guest.port)?;
            }
            self.serve_guest(domid);
        }
        Ok(())
    }

    /// SIGHUP: somebody moved the logs away.
    fn reopen_logs(&mut self) {
        if !self.config.log_guests {
            return;
        }
        for guest in self.guests.values_mut() {
            guest.reopen_log(&self.config.log_dir, self.config.log_limit);
        }
    }
}
