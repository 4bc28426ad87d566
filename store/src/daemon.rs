//! The daemon: one thread, one poll loop. Each round answers what came, keeps the changes in
//! the journal, and only then lets anybody see what follows from them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::SystemTime;

use nix::errno::Errno as SysErrno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use svc_daemon::Signals;

use crate::connection::ConnId;
use crate::journal::Journal;
use crate::perms::DomId;
use crate::process::Host;
use crate::store::Store;
use crate::wire::Errno;

mod domains;
mod sockets;
use domains::Domains;
use sockets::{Clients, Listeners};

/// Without a hypervisor there are no domains to talk to.
impl Host for Option<Domains> {
    fn introduce(&mut self, domid: DomId, gfn: u64, port: u32) -> Result<(), Errno> {
        self.as_mut().ok_or(Errno::NoSys)?.introduce(domid, gfn, port)
    }

    fn release(&mut self, domid: DomId) {
        if let Some(domains) = self {
            domains.release(domid);
        }
    }
}

/// A daemon that is ready to serve.
pub struct Daemon {
    store: Store,
    journal: Journal,
    listeners: Listeners,
    clients: Clients,
    domains: Option<Domains>,
    /// Connections with requests that wait for their turn, or for room in the outbox.
    waiting: BTreeSet<ConnId>,
    /// The journal could not be written, and that has been said.
    unkept: bool,
    _lock: Flock<File>,
}

/// What is ready after a poll.
#[derive(Default)]
struct Ready {
    clients: Vec<ConnId>,
    newcomers: bool,
    domains: bool,
    signals: bool,
}

impl Daemon {
    /// Takes over the run directory `folder`: what an earlier daemon of this boot left, and the
    /// domains that it talked to. `with_domains`: false leaves all domains alone.
    pub fn start(folder: &Path, with_domains: bool) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(named)?;
        let lock = lock(&folder.join("lock"))?;
        let (journal, changes) =
            Journal::open(&folder.join("journal"), &boot_id()?).map_err(named)?;
        let mut store = match changes {
            Some(changes) => {
                tracing::info!("going on from {} changes in the journal", changes.len());
                Store::recover(generation(), changes)
            }
            None => Store::new(generation()),
        };
        let mut domains = if with_domains { Some(Domains::open()?) } else { None };
        if let Some(domains) = &mut domains {
            domains.start(&mut store)?;
        }
        let waiting = domains.iter().flat_map(Domains::domids).map(ConnId::Domain).collect();
        let mut daemon = Self {
            store,
            journal,
            listeners: Listeners::open(folder)?,
            clients: Clients::default(),
            domains,
            waiting,
            unkept: false,
            _lock: lock,
        };
        daemon.keep();
        Ok(daemon)
    }

    /// Serves until a signal comes.
    pub fn run(&mut self, signals: &mut Signals) -> io::Result<()> {
        loop {
            let ready = self.poll(signals)?;
            if ready.signals && !signals.pending().is_empty() {
                return Ok(());
            }
            self.answer(&ready)?;
            self.keep();
            self.clients.flush(&mut self.store);
            if let Some(domains) = &mut self.domains {
                let more = domains.flush(&mut self.store);
                self.waiting.extend(more.into_iter().map(ConnId::Domain));
            }
        }
    }

    fn poll(&self, signals: &Signals) -> io::Result<Ready> {
        let read = PollFlags::POLLIN;
        let clients: Vec<_> = self.clients.fds().collect();
        let listeners: Vec<_> = self.listeners.fds().collect();
        let domains = self.domains.as_ref().map(Domains::fd);
        let mut fds: Vec<_> = clients
            .iter()
            .map(|(conn, fd)| PollFd::new(*fd, self.interest(*conn)))
            .chain(listeners.iter().map(|fd| PollFd::new(*fd, read)))
            .collect();
        fds.push(PollFd::new(signals.as_fd(), read));
        fds.extend(domains.map(|fd| PollFd::new(fd, read)));
        let runnable = self.waiting.iter().any(|conn| !self.store.is_congested(*conn));
        let timeout = if runnable { PollTimeout::ZERO } else { PollTimeout::NONE };
        match poll(&mut fds, timeout) {
            Ok(_) => (),
            Err(SysErrno::EINTR) => return Ok(Ready { signals: true, ..Ready::default() }),
            Err(error) => return Err(error.into()),
        }
        let fired = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        let (of_clients, rest) = fds.split_at(clients.len());
        let (of_listeners, rest) = rest.split_at(listeners.len());
        let came = clients.iter().zip(of_clients).filter(|(_, fd)| fired(fd));
        Ok(Ready {
            clients: came.map(|((conn, _), _)| *conn).collect(),
            newcomers: of_listeners.iter().any(fired),
            signals: fired(&rest[0]),
            domains: rest.get(1).is_some_and(fired),
        })
    }

    /// A client that has much to read is not listened to before it did.
    fn interest(&self, conn: ConnId) -> PollFlags {
        let outbox = self.store.connection(conn).map(|connection| &connection.outbox);
        let write = outbox.is_some_and(|outbox| !outbox.is_empty());
        let read = !self.store.is_congested(conn) && !self.waiting.contains(&conn);
        let flags = [(read, PollFlags::POLLIN), (write, PollFlags::POLLOUT)];
        flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).collect()
    }

    fn answer(&mut self, ready: &Ready) -> io::Result<()> {
        if ready.newcomers {
            self.clients.accept(&self.listeners, &mut self.store);
        }
        if let Some(domains) = self.domains.as_mut().filter(|_| ready.domains) {
            let fired = domains.fired(&mut self.store)?;
            self.waiting.extend(fired.into_iter().map(ConnId::Domain));
        }
        for conn in &ready.clients {
            let listen = self.interest(*conn).contains(PollFlags::POLLIN);
            if listen && self.clients.read(*conn, &mut self.store, &mut self.domains) {
                self.waiting.insert(*conn);
            }
        }
        for conn in std::mem::take(&mut self.waiting) {
            if self.turn(conn) {
                self.waiting.insert(conn);
            }
        }
        Ok(())
    }

    /// Lets a connection that waits go on; says whether it has to wait again.
    fn turn(&mut self, conn: ConnId) -> bool {
        match (conn, &mut self.domains) {
            (ConnId::Domain(domid), Some(domains)) => domains.read(domid, &mut self.store),
            _ => self.clients.answer(conn, &[], &mut self.store, &mut self.domains),
        }
    }

    /// Keeps the changes of this round. A journal that can't be written doesn't stop the
    /// service; it is tried anew every round.
    fn keep(&mut self) {
        let changes = self.store.take_changes();
        let kept = match (changes.is_empty(), self.journal.wants_snapshot()) {
            (_, true) => self.journal.replace(&self.store.snapshot()),
            (false, false) => self.journal.append(&changes),
            (true, false) => Ok(()),
        };
        match kept {
            Ok(()) => self.unkept = false,
            Err(_) if self.unkept => (),
            Err(error) => {
                tracing::error!("the journal can't be written: {error}; a restart would lose data");
                self.unkept = true;
            }
        }
    }
}

fn lock(path: &Path) -> io::Result<Flock<File>> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = File::create(path).map_err(named)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        SysErrno::EWOULDBLOCK => {
            let message = format!("another xenstored is running ({} is locked)", path.display());
            io::Error::new(io::ErrorKind::AddrInUse, message)
        }
        errno => named(errno.into()),
    })
}

fn boot_id() -> io::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    Ok(text.trim().to_owned())
}

/// Where this daemon's generations begin: after all that an earlier one can have given out.
fn generation() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(0, |time| time.as_nanos() as u64)
}
