//! One guest's console: ring, event channel, terminal, log.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use store::client::{Client, Tx};
use tracing::{info, warn};
use xen::abi::grant::RESERVED_CONSOLE;
use xen::sys::{DomId, Evtchn, Gntdev, Mapping, Port, Privcmd};

use crate::backlog::Backlog;
use crate::log::{Log, safe_name};
use crate::pty::Pty;
use crate::ring::Ring;

/// A guest may write this much in [`WINDOW`]; then others come first.
const WINDOW_BYTES: usize = 256 << 10;
const WINDOW: Duration = Duration::from_millis(200);
/// What is kept for a late client where the toolstack sets no limit, in bytes.
const BACKLOG: usize = 1 << 20;

/// What the toolstack wrote of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nodes {
    frame: u64,
    port: Port,
    backlog: usize,
}

impl Nodes {
    /// Reads `/local/domain/N/console`; `None` while it isn't complete or when the console is
    /// somebody else's to serve.
    pub(crate) fn read(store: &Client, domid: DomId) -> store::client::Result<Option<Self>> {
        let node = |name: &str| {
            store.read_string(Tx::NONE, &format!("/local/domain/{domid}/console/{name}"))
        };
        if node("type")?.is_some_and(|kind| kind != "xenconsoled") {
            return Ok(None);
        }
        let number = |name: &str| -> store::client::Result<Option<u64>> {
            Ok(node(name)?.and_then(|text| text.parse().ok()))
        };
        let (Some(frame), Some(port)) = (number("ring-ref")?, number("port")?) else {
            return Ok(None);
        };
        let backlog = number("limit")?.map_or(BACKLOG, |limit| (limit as usize).min(BACKLOG));
        Ok(u32::try_from(port).ok().map(|port| Self { frame, port, backlog }))
    }
}

/// The devices that a console is opened with.
#[derive(Debug)]
pub(crate) struct Devices {
    pub(crate) evtchn: Evtchn,
    pub(crate) privcmd: Privcmd,
    pub(crate) gntdev: Gntdev,
}

impl Devices {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { evtchn: Evtchn::open()?, privcmd: Privcmd::open()?, gntdev: Gntdev::open()? })
    }

    /// The ring's page: by the grant that builders leave for us, else as the frame itself.
    fn ring(&self, domid: DomId, frame: u64) -> xen::sys::Result<Mapping> {
        self.gntdev
            .map(domid, RESERVED_CONSOLE, true)
            .or_else(|_| self.privcmd.map_foreign(domid, &[frame], true))
    }
}

/// One guest's console.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) port: Port,
    name: String,
    ring: Ring<Mapping>,
    pty: Pty,
    log: Option<Log>,
    backlog: Backlog,
    /// When the window began, and what was written in it.
    window: (Instant, usize),
    /// The event channel stays masked until then.
    pub(crate) throttled: Option<Instant>,
}

impl Guest {
    /// Takes up a guest's console and tells the store where it is.
    pub(crate) fn open(
        devices: &Devices,
        store: &Client,
        domid: DomId,
        nodes: Nodes,
        logs: Option<(&Path, u64)>,
    ) -> io::Result<Self> {
        let home = format!("/local/domain/{domid}");
        let name =
            store.read_string(Tx::NONE, &format!("{home}/name")).map_err(io::Error::other)?;
        let name = name.unwrap_or_else(|| format!("domain-{domid}"));
        let ring = Ring::new(devices.ring(domid, nodes.frame)?);
        let pty = Pty::open()?;
        let log = logs.map(|(folder, limit)| open_log(folder, &name, limit)).transpose()?;
        let port = devices.evtchn.bind_interdomain(domid, nodes.port)?;
        let tty = format!("{home}/console/tty");
        if let Err(error) = store.write(Tx::NONE, &tty, pty.path().display().to_string()) {
            let _ = devices.evtchn.unbind(port);
            return Err(io::Error::other(error));
        }
        info!("{name}: console of domain {domid} is {}", pty.path().display());
        let window = (Instant::now(), 0);
        let backlog = Backlog::new(nodes.backlog);
        Ok(Self { port, name, ring, pty, log, backlog, window, throttled: None })
    }

    /// What to wait for at the terminal.
    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        // What the guest has no room for stays with the terminal.
        if self.ring.room().is_ok_and(|room| room > 0) {
            flags |= PollFlags::POLLIN;
        }
        if !self.backlog.is_empty() {
            flags |= PollFlags::POLLOUT;
        }
        PollFd::new(self.pty.as_fd(), flags)
    }

    /// Moves everything that can be moved. An error means that the guest broke its ring.
    pub(crate) fn serve(&mut self, evtchn: &Evtchn) -> io::Result<()> {
        let moved = self.take_output()? | self.give_input()?;
        if moved {
            evtchn.notify(self.port)?;
        }
        self.feed_terminal();
        Ok(())
    }

    fn take_output(&mut self) -> io::Result<bool> {
        let bytes = self.ring.take().map_err(io::Error::other)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        self.count(bytes.len());
        if let Some(log) = &mut self.log
            && let Err(error) = log.write(&bytes)
        {
            warn!("{}: cannot write its log: {error}", self.name);
            self.log = None;
        }
        self.backlog.push(&bytes);
        Ok(true)
    }

    /// Counts what the guest wrote, and holds it back when it was too much.
    fn count(&mut self, bytes: usize) {
        let now = Instant::now();
        if now.duration_since(self.window.0) > WINDOW {
            self.window = (now, 0);
        }
        self.window.1 += bytes;
        if self.window.1 > WINDOW_BYTES {
            self.throttled = Some(self.window.0 + WINDOW);
        }
    }

    fn give_input(&mut self) -> io::Result<bool> {
        let room = self.ring.room().map_err(io::Error::other)?;
        let mut typed = vec![0; room];
        let count = if room > 0 { self.pty.read(&mut typed).unwrap_or(0) } else { 0 };
        self.ring.give(&typed[..count]).map_err(io::Error::other)?;
        Ok(count > 0)
    }

    fn feed_terminal(&mut self) {
        while !self.backlog.is_empty() {
            match self.pty.write(self.backlog.front()) {
                Ok(count) if count > 0 => self.backlog.consume(count),
                _ => return,
            }
        }
    }

    /// Takes the last words of a guest that is going away.
    pub(crate) fn close(mut self, evtchn: &Evtchn) {
        let _ = self.serve(evtchn);
        let _ = evtchn.unbind(self.port);
        info!("{}: console closed", self.name);
    }

    /// Begins a new log where somebody moved the old one away.
    pub(crate) fn reopen_log(&mut self, folder: &Path, limit: u64) {
        match open_log(folder, &self.name, limit) {
            Ok(log) => self.log = Some(log),
            Err(error) => warn!("{}: cannot open its log: {error}", self.name),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn open_log(folder: &Path, name: &str, limit: u64) -> io::Result<Log> {
    Log::open(&folder.join(format!("guest-{}.log", safe_name(name))), limit)
}
