//! One guest's console: ring, event channel, terminal, log.
//!
//! Whatever the guest prints is taken out of its ring at once, so a guest never waits for a
//! client; one that prints too much waits for the others.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::PollFd;
use store::client::{Client, Tx};
use tracing::{info, warn};
use xen::abi::grant::RESERVED_CONSOLE;
use xen::sys::{DomId, Evtchn, Gntdev, Mapping, Port, Privcmd};

use crate::log::{Log, safe_name};
use crate::ring::{BadIndexes, Ring};
use crate::terminal::{Seen, Terminal, Watcher};

/// A guest may print this much in [`WINDOW`]; then others come first.
const WINDOW_BYTES: usize = 64 << 10;
const WINDOW: Duration = Duration::from_millis(200);
/// What is kept for a late client where the toolstack sets no limit, in bytes.
const BACKLOG: usize = 1 << 20;
/// However much the toolstack wants kept.
const MOST_BACKLOG: usize = 64 << 20;
/// How long the last words of a guest wait for a client to read them.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
        let backlog = match number("limit")? {
            // As in the historic daemon 0 sets no limit of its own.
            None | Some(0) => BACKLOG,
            Some(limit) => usize::try_from(limit).unwrap_or(MOST_BACKLOG).min(MOST_BACKLOG),
        };
        Ok(u32::try_from(port).ok().map(|port| Self { frame, port, backlog }))
    }
}

/// The devices that a console is opened with.
#[derive(Debug)]
pub(crate) struct Devices {
    pub(crate) evtchn: Evtchn,
    pub(crate) watcher: Watcher,
    privcmd: Privcmd,
    /// Kernels can be built without.
    gntdev: Option<Gntdev>,
}

impl Devices {
    pub(crate) fn open() -> io::Result<Self> {
        let gntdev = Gntdev::open().inspect_err(|error| info!("{error}; frames are mapped")).ok();
        let (evtchn, privcmd) = (Evtchn::open()?, Privcmd::open()?);
        Ok(Self { evtchn, watcher: Watcher::open()?, privcmd, gntdev })
    }

    /// The ring's page: by the grant that builders leave for us, else as the frame itself.
    fn ring(&self, domid: DomId, frame: u64) -> xen::sys::Result<Mapping> {
        let granted = self.gntdev.as_ref().map(|dev| dev.map(domid, RESERVED_CONSOLE, true));
        match granted {
            Some(Ok(page)) => Ok(page),
            _ => self.privcmd.map_foreign(domid, &[frame], true),
        }
    }
}

/// One guest's console.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) port: Port,
    pub(crate) nodes: Nodes,
    domid: DomId,
    name: String,
    ring: Ring<Mapping>,
    terminal: Terminal,
    log: Option<Log>,
    /// The log could not be written, and that has been said.
    log_fails: bool,
    /// When the window began, and what was printed in it.
    window: (Instant, usize),
    /// Until then its output stays in the ring, and its event channel masked.
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
        let path = format!("/local/domain/{domid}/name");
        let name = store.read_string(Tx::NONE, &path).map_err(io::Error::other)?;
        let name = name.unwrap_or_else(|| format!("domain-{domid}"));
        let ring = Ring::new(devices.ring(domid, nodes.frame)?);
        let terminal = Terminal::open(&devices.watcher, nodes.backlog)?;
        let log = logs.map(|(folder, limit)| open_log(folder, &name, limit)).transpose()?;
        let port = devices.evtchn.bind_interdomain(domid, nodes.port)?;
        let tty = terminal.path().display().to_string();
        // The node's permissions are those of its folder: the guest may read it.
        if let Err(error) = store.write(Tx::NONE, &tty_node(domid), &tty) {
            let _ = devices.evtchn.unbind(port);
            return Err(io::Error::other(error));
        }
        info!("{name}: console of domain {domid} is {tty}");
        let window = (Instant::now(), 0);
        let (log_fails, throttled) = (false, None);
        Ok(Self { port, nodes, domid, name, ring, terminal, log, log_fails, window, throttled })
    }

    /// What to wait for at the terminal. What the guest has no room for stays there.
    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        self.terminal.poll_fd(self.ring.room().is_ok_and(|room| room > 0))
    }

    /// Moves everything that can be moved. An error means that the guest broke its ring.
    pub(crate) fn serve(&mut self, evtchn: &Evtchn) -> Result<(), BadIndexes> {
        let printed = self.throttled.is_none() && self.take_output()?;
        let typed = self.give_input()?;
        if printed | typed {
            // It fails only for a guest that is going away, and the store tells us of that.
            let _ = evtchn.notify(self.port);
        }
        self.terminal.flush();
        Ok(())
    }

    fn take_output(&mut self) -> Result<bool, BadIndexes> {
        let bytes = self.ring.take()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        self.count(bytes.len());
        self.write_log(&bytes);
        self.terminal.print(&bytes);
        Ok(true)
    }

    fn write_log(&mut self, bytes: &[u8]) {
        let Some(log) = &mut self.log else { return };
        let result = log.write(bytes);
        if let Err(error) = &result
            && !self.log_fails
        {
            warn!("{}: cannot write its log: {error}", self.name);
        }
        self.log_fails = result.is_err();
    }

    /// Counts what the guest printed, and holds it back when it was too much.
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

    fn give_input(&mut self) -> Result<bool, BadIndexes> {
        let mut typed = vec![0; self.ring.room()?];
        let count = if typed.is_empty() { 0 } else { self.terminal.typed(&mut typed) };
        self.ring.give(&typed[..count])?;
        Ok(count > 0)
    }

    /// Clients came and went.
    pub(crate) fn count_clients(&mut self, seen: &Seen) {
        self.terminal.count_clients(seen);
    }

    /// Takes the last words of a guest that is going away.
    pub(crate) fn close(mut self, evtchn: &Evtchn) -> Departed {
        self.throttled = None;
        let _ = self.serve(evtchn);
        let _ = evtchn.unbind(self.port);
        info!("{}: console of domain {} closed", self.name, self.domid);
        Departed { terminal: self.terminal, until: Instant::now() + LAST_WORDS }
    }

    /// Takes the terminal's name out of the store, which may soon be that of another terminal.
    pub(crate) fn withdraw(&self, store: &Client) {
        let (node, ours) = (tty_node(self.domid), self.terminal.path().display().to_string());
        let withdrawn = store.transaction(|tx| match store.read_string(tx, &node)? {
            Some(tty) if tty == ours => store.write(tx, &node, ""),
            _ => Ok(()),
        });
        if let Err(error) = withdrawn {
            warn!("{}: {error}", self.name);
        }
    }

    /// Begins a new log where somebody moved the old one away.
    pub(crate) fn reopen_log(&mut self, limit: u64) {
        if let Some(log) = &mut self.log
            && let Err(error) = log.reopen(limit)
        {
            warn!("{}: cannot open its log: {error}", self.name);
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// The terminal of a guest that is gone, while a client still reads its last words.
#[derive(Debug)]
pub(crate) struct Departed {
    terminal: Terminal,
    until: Instant,
}

impl Departed {
    /// Whether the terminal need not be kept.
    pub(crate) fn is_over(&mut self, seen: &Seen) -> bool {
        self.terminal.count_clients(seen);
        self.terminal.is_drained() || Instant::now() >= self.until
    }

    pub(crate) fn close(self, watcher: &Watcher) {
        self.terminal.close(watcher);
    }
}

fn tty_node(domid: DomId) -> String {
    format!("/local/domain/{domid}/console/tty")
}

fn open_log(folder: &Path, name: &str, limit: u64) -> io::Result<Log> {
    Log::open(&folder.join(format!("guest-{}.log", safe_name(name))), limit)
}
