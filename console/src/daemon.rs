//! The daemon: one thread, one poll loop, a console for each guest.

use std::collections::{BTreeMap, BTreeSet};
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

use crate::guest::{Departed, Devices, Guest, Nodes};
use crate::hypervisor::HypervisorLog;
use crate::log::Log;
use crate::settings;

/// How often it is looked whether the last words of a guest have been read, in milliseconds.
const DEPARTING: u16 = 50;

/// What to log, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where logs are kept.
    pub log_dir: PathBuf,
    /// The size at which a log is put aside, in bytes; 0: never; `None`: as the service says.
    pub log_limit: Option<u64>,
    /// Keep logs of guests.
    pub log_guests: bool,
    /// Keep a log of the hypervisor.
    pub log_hypervisor: bool,
}

/// The daemon's state.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    log_limit: u64,
    store: Client,
    hypervisor: Hypervisor,
    devices: Devices,
    guests: BTreeMap<DomId, Guest>,
    /// Guests whose nodes are not complete yet, and what is watched for each.
    awaited: BTreeMap<DomId, String>,
    /// Guests that broke their ring; they get no other before they are gone.
    dropped: BTreeSet<DomId>,
    departed: Vec<Departed>,
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
            log_limit: config.log_limit.unwrap_or_else(settings::log_limit),
            config,
            store,
            hypervisor,
            devices,
            guests: BTreeMap::new(),
            awaited: BTreeMap::new(),
            dropped: BTreeSet::new(),
            departed: Vec::new(),
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
        let opened = Log::open(&path, self.log_limit)
            .and_then(|log| HypervisorLog::open(&self.devices.evtchn, &self.hypervisor, log));
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
                    _ => return self.stop(),
                }
            }
            self.count_clients();
            while let Some(port) = self.devices.evtchn.pending()? {
                self.fired(port)?;
            }
            for domid in ready {
                self.serve_guest(domid);
            }
            self.release_throttled()?;
        }
    }

    fn stop(&self) -> io::Result<()> {
        for guest in self.guests.values() {
            guest.withdraw(&self.store);
        }
        info!("stopping; the guests wait until there is a daemon again");
        Ok(())
    }

    /// Waits until something can be done; says whose terminals can move.
    fn wait(&self) -> io::Result<Vec<DomId>> {
        let others = [
            self.signals.as_fd(),
            self.store.as_fd(),
            self.devices.evtchn.fd(),
            self.devices.watcher.as_fd(),
        ];
        let mut fds: Vec<PollFd<'_>> =
            others.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).into_iter().collect();
        fds.extend(self.guests.values().map(Guest::poll_fd));
        match poll(&mut fds, self.timeout()) {
            Ok(_) => {}
            Err(nix::Error::EINTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        let terminals = self.guests.keys().zip(&fds[others.len()..]);
        Ok(terminals.filter(|(_, fd)| is_ready(fd)).map(|(domid, _)| *domid).collect())
    }

    fn timeout(&self) -> PollTimeout {
        if !self.departed.is_empty() {
            return PollTimeout::from(DEPARTING);
        }
        let next = self.guests.values().filter_map(|guest| guest.throttled).min();
        next.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_millis();
            // Rounded up: a millisecond too late is right, a busy loop is not.
            PollTimeout::try_from(left + 1).unwrap_or(PollTimeout::MAX)
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
        let alive: BTreeSet<DomId> = all
            .iter()
            .filter(|info| info.domid != 0 && !info.dying)
            .map(|info| info.domid)
            .collect();
        let served: Vec<DomId> = self.guests.keys().copied().collect();
        for domid in served.into_iter().filter(|domid| !alive.contains(domid)) {
            self.close(domid);
        }
        self.dropped.retain(|domid| alive.contains(domid));
        let awaited: Vec<DomId> = self.awaited.keys().copied().collect();
        for domid in awaited.into_iter().filter(|domid| !alive.contains(domid)) {
            self.stop_awaiting(domid);
        }
        for domid in alive {
            if !self.dropped.contains(&domid) {
                self.take_up(domid);
            }
        }
        Ok(())
    }

    fn close(&mut self, domid: DomId) {
        if let Some(guest) = self.guests.remove(&domid) {
            self.departed.push(guest.close(&self.devices.evtchn));
        }
    }

    /// Begins to serve a guest, unless that is done already.
    fn take_up(&mut self, domid: DomId) {
        let nodes = match Nodes::read(&self.store, domid) {
            Ok(Some(nodes)) => nodes,
            Ok(None) => return self.await_nodes(domid),
            Err(error) => return warn!("domain {domid}: {error}"),
        };
        if self.guests.get(&domid).is_some_and(|guest| guest.nodes == nodes) {
            return;
        }
        // One that was introduced again has another ring.
        self.close(domid);
        let logs = (self.config.log_dir.as_path(), self.log_limit);
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
        let is_known = self.awaited.contains_key(&domid) || self.guests.contains_key(&domid);
        if !is_known && self.store.watch(&path, &path).is_ok() {
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
                warn!("cannot write the log of the hypervisor: {error}");
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
            warn!("{}: domain {domid} gets no console any more: {error}", guest.name());
            guest.withdraw(&self.store);
            self.dropped.insert(domid);
            self.close(domid);
        }
    }

    /// Clients came and went; terminals of guests that are gone are closed when nobody needs
    /// them.
    fn count_clients(&mut self) {
        let seen = self.devices.watcher.take();
        for guest in self.guests.values_mut() {
            guest.count_clients(&seen);
        }
        for mut departed in std::mem::take(&mut self.departed) {
            if departed.is_over(&seen) {
                departed.close(&self.devices.watcher);
            } else {
                self.departed.push(departed);
            }
        }
    }

    /// Lets guests that had written too much go on.
    fn release_throttled(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let mut over = Vec::new();
        for (domid, guest) in &mut self.guests {
            if guest.throttled.is_some_and(|until| until <= now) {
                guest.throttled = None;
                over.push((*domid, guest.port));
            }
        }
        for (domid, port) in over {
            self.serve_guest(domid);
            if self.guests.get(&domid).is_some_and(|guest| guest.throttled.is_none()) {
                self.devices.evtchn.unmask(port)?;
            }
        }
        Ok(())
    }

    /// SIGHUP: somebody moved the logs away, or changed the limit.
    fn reopen_logs(&mut self) {
        self.log_limit = self.config.log_limit.unwrap_or_else(settings::log_limit);
        info!("logs are opened again; their limit is {} bytes", self.log_limit);
        for guest in self.guests.values_mut() {
            guest.reopen_log(self.log_limit);
        }
        if let Some(log) = &mut self.hypervisor_log
            && let Err(error) = log.reopen(self.log_limit)
        {
            warn!("cannot open the log of the hypervisor: {error}");
        }
    }
}
