//! The poll loop: looks at backends, decides by [`next_step`], acts, and tells the toolstack.
//!
//! Our own steps are short and done in the loop; scripts may take their time and run in a thread
//! each, one at a time for a device.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use store::client::{Client, Tx};
use svc_daemon::Signals;
use tracing::{debug, info, warn};
use xen::abi::xenbus::State;

use crate::device::{Device, Done, Kind, ROOT, Seen, Step, next_step};
use crate::record::{Records, Use};
use crate::{script, vbd, vif};

/// How long the kernel may take to make a network interface, and how often we look.
const INTERFACE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// What came out of preparing a device: nodes for the store.
type Nodes = Vec<(&'static str, String)>;

/// A script that has ended.
struct Ended {
    device: Device,
    setting_up: bool,
    result: Result<(), String>,
}

/// The daemon's state.
pub struct Daemon {
    store: Client,
    records: Records,
    /// Devices that could not be prepared; they are left alone until their nodes are gone.
    failed: BTreeSet<Device>,
    /// Devices whose interface the kernel has yet to make, and until when we wait for it.
    awaited: BTreeMap<Device, Instant>,
    /// Devices whose script runs.
    busy: BTreeMap<Device, PathBuf>,
    ended: Receiver<Ended>,
    end: Sender<Ended>,
    wake: UnixStream,
    waker: UnixStream,
    signals: Signals,
}

impl Daemon {
    /// Connects to the store and takes up what an earlier run left.
    pub fn open(records: PathBuf) -> io::Result<Self> {
        let signals = Signals::new(&[SIGTERM, SIGINT, SIGHUP])?;
        let store = Client::connect().map_err(io::Error::other)?;
        let (end, ended) = channel();
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let records = Records::open(records)?;
        store.watch(ROOT, "backend").map_err(io::Error::other)?;
        let (failed, awaited, busy) = Default::default();
        let mut daemon =
            Self { store, records, failed, awaited, busy, ended, end, wake, waker, signals };
        daemon.take_up()?;
        Ok(daemon)
    }

    /// Devices of the records and of the store, each looked at once.
    fn take_up(&mut self) -> io::Result<()> {
        let unfinished: Vec<Device> = self
            .records
            .iter()
            .filter(|(device, used)| device.kind == Kind::Vbd && vbd::find_again(used).is_none())
            .filter(|(_, used)| !matches!(used, Use::Script { .. }))
            .map(|(device, _)| *device)
            .collect();
        for device in unfinished {
            self.records.remove(&device)?;
        }
        let mut devices: BTreeSet<Device> =
            self.records.iter().map(|(device, _)| *device).collect();
        for kind in [Kind::Vbd, Kind::Vif] {
            for domid in self.list(&format!("{ROOT}/{}", kind.name()))? {
                for devid in self.list(&format!("{ROOT}/{}/{domid}", kind.name()))? {
                    let path = format!("{ROOT}/{}/{domid}/{devid}", kind.name());
                    devices.extend(Device::from_path(&path));
                }
            }
        }
        for device in devices {
            self.look_at(device)?;
        }
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        match self.store.directory(Tx::NONE, path) {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            other => other.map_err(io::Error::other),
        }
    }

    /// Serves until SIGTERM or SIGINT.
    pub fn serve(mut self) -> io::Result<()> {
        loop {
            // Events that came with the answers to our own requests make no descriptor ready.
            self.take_events()?;
            self.wait()?;
            if self.signals.pending().iter().any(|signal| *signal != SIGHUP) {
                info!("stopping; devices stay as they are");
                return Ok(());
            }
            let _ = io::Read::read(&mut self.wake, &mut [0; 64]);
            while let Ok(ended) = self.ended.try_recv() {
                self.script_ended(ended)?;
            }
            for device in self.awaited.keys().copied().collect::<Vec<_>>() {
                self.look_at(device)?;
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = [self.store.as_fd(), self.signals.as_fd(), self.wake.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let timeout = match self.awaited.is_empty() {
            true => PollTimeout::NONE,
            false => PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO),
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take_events(&mut self) -> io::Result<()> {
        while let Some(event) =
            self.store.next_event(Some(Duration::ZERO)).map_err(io::Error::other)?
        {
            debug!("event at {}", event.path);
            match Device::from_path(&event.path) {
                Some(device) => self.look_at(device)?,
                // Something above a device is gone, and the devices in it with it.
                None => self.look_at_all_recorded()?,
            }
        }
        Ok(())
    }

    fn look_at_all_recorded(&mut self) -> io::Result<()> {
        let known: BTreeSet<Device> = self
            .records
            .iter()
            .map(|(device, _)| *device)
            .chain(self.failed.iter().copied())
            .collect();
        known.into_iter().try_for_each(|device| self.look_at(device))
    }

    fn node(&self, device: &Device, name: &str) -> io::Result<Option<String>> {
        let path = format!("{}/{name}", device.path());
        self.store.read_string(Tx::NONE, &path).map_err(io::Error::other)
    }

    /// Decides and acts for one device.
    fn look_at(&mut self, device: Device) -> io::Result<()> {
        if self.busy.contains_key(&device) {
            return Ok(());
        }
        let state = self.node(&device, "state")?;
        let state = state.map(|text| State::from_number(text.parse().unwrap_or(0)));
        let online = self.node(&device, "online")?.as_deref() == Some("1");
        let done = match () {
            () if self.failed.contains(&device) => Done::Failed,
            () if self.records.get(&device).is_some() => Done::Prepared,
            () => Done::Nothing,
        };
        match next_step(Seen { state, online }, done) {
            Step::Wait => {
                self.awaited.remove(&device);
                Ok(())
            }
            Step::Prepare => self.prepare(device),
            Step::PutBack => self.put_back(device),
            Step::Forget => {
                self.failed.remove(&device);
                Ok(())
            }
        }
    }

    fn prepare(&mut self, device: Device) -> io::Result<()> {
        if let Some(script) = script::foreign(self.node(&device, "script")?.as_deref()) {
            self.records.insert(device, Use::Script { path: script.clone() })?;
            self.start_script(device, script, true);
            return Ok(());
        }
        match device.kind {
            Kind::Vbd => {
                let prepared = self.prepare_disk(device)?;
                self.report(device, prepared)
            }
            Kind::Vif => self.prepare_interface(device),
        }
    }

    fn prepare_disk(&mut self, device: Device) -> io::Result<Result<Nodes, String>> {
        let params = self.node(&device, "params")?.unwrap_or_default();
        let mode = self.node(&device, "mode")?.unwrap_or_default();
        let disk = vbd::Wish::new(&params, &mode)
            .and_then(|wish| vbd::prepare(&device, &wish, &mut self.records));
        Ok(disk.map(|disk| {
            vec![
                ("physical-device-path", disk.path.display().to_string()),
                ("physical-device", disk.physical_device),
            ]
        }))
    }

    fn prepare_interface(&mut self, device: Device) -> io::Result<()> {
        let name = self.node(&device, "vifname")?;
        let Some(bridge) = self.node(&device, "bridge")? else {
            return self.report(device, Err("no bridge is named".to_owned()));
        };
        let now = Instant::now();
        let deadline = *self.awaited.entry(device).or_insert(now + INTERFACE);
        if !vif::is_there(&device, name.as_deref()) && now < deadline {
            return Ok(());
        }
        self.awaited.remove(&device);
        let prepared = vif::prepare(&device, &vif::Wish { name, bridge });
        if let Ok(name) = &prepared {
            self.records.insert(device, Use::Interface { name: name.clone() })?;
        }
        self.report(device, prepared.map(|_| Vec::new()))
    }

    /// Tells the toolstack and the kernel what came of it.
    fn report(&mut self, device: Device, prepared: Result<Nodes, String>) -> io::Result<()> {
        let nodes = match prepared {
            Ok(mut nodes) => {
                info!("{device}: connected");
                nodes.push(("hotplug-status", "connected".to_owned()));
                nodes
            }
            Err(reason) => {
                warn!("{device}: {reason}");
                self.failed.insert(device);
                vec![("hotplug-error", reason), ("hotplug-status", "error".to_owned())]
            }
        };
        self.write(device, &nodes)
    }

    /// Writes nodes of a backend, unless it is gone: nothing may be left behind of it.
    fn write(&self, device: Device, nodes: &[(&str, String)]) -> io::Result<()> {
        let path = device.path();
        let written = self.store.transaction(|tx| {
            if self.store.read_string(tx, &format!("{path}/state"))?.is_none() {
                return Ok(());
            }
            nodes.iter().try_for_each(|(name, value)| {
                self.store.write(tx, &format!("{path}/{name}"), value)
            })
        });
        written.map_err(io::Error::other)
    }

    fn put_back(&mut self, device: Device) -> io::Result<()> {
        let Some(used) = self.records.get(&device).cloned() else { return Ok(()) };
        if let Use::Script { path } = used {
            self.start_script(device, path, false);
            return Ok(());
        }
        if let Err(error) = vbd::put_back(&used) {
            warn!("{device}: cannot let go of {used:?}: {error}");
        }
        self.finish_put_back(device)
    }

    /// The last step, by which the toolstack sees that we are done.
    fn finish_put_back(&mut self, device: Device) -> io::Result<()> {
        self.records.remove(&device)?;
        info!("{device}: released");
        for name in ["physical-device", "physical-device-path", "hotplug-status"] {
            match self.store.rm(Tx::NONE, &format!("{}/{name}", device.path())) {
                Err(error) if !error.is_not_found() => return Err(io::Error::other(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn start_script(&mut self, device: Device, path: PathBuf, setting_up: bool) {
        self.busy.insert(device, path.clone());
        let end = self.end.clone();
        let waker = self.waker.try_clone();
        std::thread::spawn(move || {
            let result = script::run(&path, &device, setting_up);
            // The other ends live as long as the daemon does.
            let _ = end.send(Ended { device, setting_up, result });
            if let Ok(mut waker) = waker {
                let _ = io::Write::write(&mut waker, b"!");
            }
        });
    }

    fn script_ended(&mut self, ended: Ended) -> io::Result<()> {
        let Ended { device, setting_up, result } = ended;
        self.busy.remove(&device);
        if setting_up {
            if result.is_err() {
                self.records.remove(&device)?;
            }
            // A script for disks writes physical-device itself.
            self.report(device, result.map(|()| Vec::new()))?;
        } else {
            if let Err(reason) = result {
                warn!("{device}: {reason}");
            }
            self.finish_put_back(device)?;
        }
        // Whatever happened to it meanwhile.
        self.look_at(device)
    }
}
