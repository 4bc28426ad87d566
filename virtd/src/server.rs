//! The sockets that clients connect to.
//!
//! Each has its own bound on clients: who fills one, and everybody may connect to the read-only
//! one, keeps nobody from the others.

use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::unistd::{Group, chown};

use crate::client;
use crate::outbox::Outbox;
use crate::session::{Host, Session};
use crate::settings::Settings;
use crate::tls::Tls;

/// Where clients of libvirt's daemons look: the one that can change things, and the one that
/// can't. The others are the names that clients know a hypervisor's own daemon by.
const SOCKETS: [(&str, &str, bool); 2] =
    [("libvirt-sock", "virtxend-sock", false), ("libvirt-sock-ro", "virtxend-sock-ro", true)];

/// Clients of one socket.
#[derive(Debug, Default)]
struct Counts {
    clients: AtomicUsize,
    anonymous: AtomicUsize,
}

/// One of a number of places; given back when dropped.
#[derive(Debug)]
pub struct Place {
    counts: Arc<Counts>,
    which: fn(&Counts) -> &AtomicUsize,
}

impl Place {
    fn take(counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicUsize, most: usize) -> Option<Self> {
        let place = Self { counts: Arc::clone(counts), which };
        (which(counts).fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.which)(&self.counts).fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A socket that listens.
#[derive(Debug)]
struct Listener {
    socket: Socket,
    read_only: bool,
    secure: bool,
    tls: Option<Tls>,
    counts: Arc<Counts>,
}

impl Listener {
    /// One whose clients come from this host.
    fn unix(listener: UnixListener, read_only: bool) -> Self {
        let socket = Socket::Unix(listener);
        Self { socket, read_only, secure: true, tls: None, counts: Arc::default() }
    }

    /// One whose clients come from anywhere, by TLS or as they are.
    fn network(address: SocketAddr, tls: Option<Tls>) -> Result<Self, String> {
        let socket = Socket::Tcp(bind_tcp(address)?);
        let secure = tls.is_some();
        Ok(Self { socket, read_only: false, secure, tls, counts: Arc::default() })
    }

    fn accept(&self) -> io::Result<OwnedFd> {
        Ok(match &self.socket {
            Socket::Unix(listener) => listener.accept()?.0.into(),
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                tracing::info!("a client connects from {peer}");
                stream.set_nodelay(true)?;
                match &self.tls {
                    Some(tls) => tls.accept(stream)?,
                    None => stream.into(),
                }
            }
        })
    }
}

/// All sockets that listen.
#[derive(Debug)]
pub struct Server {
    host: Arc<Host>,
    unix: Vec<Listener>,
    network: Vec<Listener>,
    limits: (usize, usize),
}

impl Server {
    /// Listens as `settings` say.
    pub fn bind(settings: &Settings, host: Arc<Host>) -> Result<Self, String> {
        let unix = bind_unix(settings)?;
        let mut server = Self { host, unix, network: Vec::new(), limits: (0, 0) };
        server.set(settings)?;
        Ok(server)
    }

    /// Listens anew on the network, and takes over the limits. The unix sockets stay.
    pub fn set(&mut self, settings: &Settings) -> Result<(), String> {
        self.limits = (settings.max_clients, settings.max_anonymous_clients);
        self.network.clear();
        let at = |port| SocketAddr::new(settings.listen_addr, port);
        if let Some(port) = settings.tcp_port {
            self.network.push(Listener::network(at(port), None)?);
        }
        if let Some(port) = settings.tls_port {
            self.network.push(Listener::network(at(port), Some(Tls::load(settings)?))?);
        }
        Ok(())
    }

    fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.unix.iter().chain(&self.network)
    }

    /// What to poll; when any is readable, [`accept`](Self::accept) is to be called.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners().map(|listener| match &listener.socket {
            Socket::Unix(listener) => listener.as_fd(),
            Socket::Tcp(listener) => listener.as_fd(),
        })
    }

    /// Takes in the clients that wait, without waiting for any.
    pub fn accept(&self) {
        for listener in self.listeners() {
            while let Ok(socket) = listener.accept() {
                if let Err(error) = self.welcome(listener, socket) {
                    tracing::warn!("a client can't be served: {error}");
                }
            }
        }
    }

    fn welcome(&self, listener: &Listener, socket: OwnedFd) -> io::Result<()> {
        let (most, most_anonymous) = self.limits;
        let place = Place::take(&listener.counts, |counts| &counts.clients, most);
        let anonymous = Place::take(&listener.counts, |counts| &counts.anonymous, most_anonymous);
        let (Some(place), Some(anonymous)) = (place, anonymous) else {
            return Err(io::Error::other("there are too many clients of its socket"));
        };
        let (host, outbox) = (Arc::clone(&self.host), Outbox::new(socket.try_clone()?));
        let session = Session::new(host, outbox, listener.read_only, listener.secure, anonymous);
        let serve = move || {
            let _place = place;
            if let Err(error) = client::serve(socket, session) {
                tracing::info!("a client is hung up on: {error}");
            }
        };
        std::thread::Builder::new().name("client".to_owned()).spawn(serve).map(drop)
    }
}

fn bind_unix(settings: &Settings) -> Result<Vec<Listener>, String> {
    let folder = &settings.unix_folder;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut listeners = Vec::new();
    for (name, alias, read_only) in SOCKETS {
        let path = folder.join(name);
        let mode = if read_only { settings.unix_ro_perms } else { settings.unix_rw_perms };
        let listener = bind_at(&path, &settings.unix_group, mode)
            .and_then(|listener| link(name, &folder.join(alias)).map(|()| listener))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        listeners.push(Listener::unix(listener, read_only));
    }
    Ok(listeners)
}

/// Listens at `path`. What a predecessor left there is replaced: whoever calls this holds the pid
/// file's lock. It is bound under another name first: there is no moment with wrong rights.
fn bind_at(path: &Path, group: &str, mode: u32) -> io::Result<UnixListener> {
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    if !group.is_empty() {
        let unknown = || io::Error::other(format!("there is no group {group}"));
        let gid = Group::from_name(group)?.ok_or_else(unknown)?.gid;
        chown(&fresh, None, Some(gid))?;
    }
    std::fs::set_permissions(&fresh, Permissions::from_mode(mode))?;
    std::fs::rename(&fresh, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn link(target: &str, alias: &Path) -> io::Result<()> {
    let fresh = alias.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    symlink(target, &fresh)?;
    std::fs::rename(&fresh, alias)
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, String> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|error: io::Error| format!("{address}: {error}"))
}
