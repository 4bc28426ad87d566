//! The unix sockets, and what each peer may do.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::connection::ConnId;
use crate::process::Host;
use crate::store::Store;

/// A client that lets more bytes than this wait is not reading any more.
const BACKLOG: usize = 32 << 20;

/// The sockets that clients come to.
#[derive(Debug)]
pub(super) struct Listeners {
    listeners: Vec<(UnixListener, PathBuf, bool)>,
}

impl Listeners {
    /// Makes `socket`, and `socket_ro` where nobody may change anything, in `folder`.
    ///
    /// Each is made under another name and then renamed: whoever finds it can use it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let make = |(name, mode, may_write): (&str, u32, bool)| {
            let path = folder.join(name);
            let next = folder.join(format!("{name}.new"));
            let failed = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            };
            match fs::remove_file(&next) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => (),
            }
            let listener = UnixListener::bind(&next).map_err(failed)?;
            listener.set_nonblocking(true)?;
            fs::set_permissions(&next, Permissions::from_mode(mode)).map_err(failed)?;
            fs::rename(&next, &path).map_err(failed)?;
            Ok((listener, path, may_write))
        };
        let sockets = [("socket", 0o600, true), ("socket_ro", 0o660, false)];
        let listeners = sockets.into_iter().map(make).collect::<io::Result<_>>()?;
        Ok(Self { listeners })
    }

    /// The listening descriptors.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.iter().map(|(listener, ..)| listener.as_fd())
    }

    /// The next client that waits, and whether it may change anything.
    fn accept(&self) -> Option<(UnixStream, bool)> {
        for (listener, _, may_write) in &self.listeners {
            match listener.accept() {
                Ok((stream, _)) => return Some((stream, *may_write)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(error) => tracing::warn!("cannot accept a client: {error}"),
            }
        }
        None
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for (_, path, _) in &self.listeners {
            let _ = fs::remove_file(path);
        }
    }
}

/// The clients on sockets.
#[derive(Debug, Default)]
pub(super) struct Clients {
    streams: BTreeMap<ConnId, UnixStream>,
}

impl Clients {
    /// Takes in everybody who waits.
    pub(super) fn accept(&mut self, listeners: &Listeners, store: &mut Store) {
        while let Some((stream, may_write)) = listeners.accept() {
            if let Err(error) = stream.set_nonblocking(true) {
                tracing::warn!("cannot use a client's socket: {error}");
                continue;
            }
            let conn = store.connect_socket(may_write && is_trusted(&stream));
            self.streams.insert(conn, stream);
        }
    }

    /// The clients' descriptors.
    pub(super) fn fds(&self) -> impl Iterator<Item = (ConnId, BorrowedFd<'_>)> {
        self.streams.iter().map(|(conn, stream)| (*conn, stream.as_fd()))
    }

    /// Reads what a client sent and answers it; says whether requests are left for another turn.
    pub(super) fn read(&mut self, conn: ConnId, store: &mut Store, host: &mut dyn Host) -> bool {
        let Some(stream) = self.streams.get_mut(&conn) else { return false };
        let mut bytes = [0; 1 << 14];
        match stream.read(&mut bytes) {
            Ok(0) => self.close(conn, store, "closed by the client"),
            Ok(len) => return self.answer(conn, &bytes[..len], store, host),
            Err(error) if is_passing(&error) => (),
            Err(error) => self.close(conn, store, &error.to_string()),
        }
        false
    }

    /// Answers `bytes`, or what was left for this turn.
    pub(super) fn answer(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        store: &mut Store,
        host: &mut dyn Host,
    ) -> bool {
        match store.receive(conn, bytes, host) {
            Ok(more) => more,
            Err(error) => {
                self.close(conn, store, &error.to_string());
                false
            }
        }
    }

    /// Sends every client as much as it takes.
    pub(super) fn flush(&mut self, store: &mut Store) {
        let conns: Vec<_> = self.streams.keys().copied().collect();
        for conn in conns {
            while let Some(outbox) = store.connection(conn).map(|it| &it.outbox) {
                let Some(stream) = self.streams.get_mut(&conn) else { break };
                if outbox.len() > BACKLOG {
                    self.close(conn, store, "it doesn't read what it is sent");
                    break;
                }
                if outbox.is_empty() {
                    break;
                }
                match stream.write(outbox.next()) {
                    Ok(len) => store.sent(conn, len),
                    Err(error) if error.kind() == ErrorKind::Interrupted => (),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => self.close(conn, store, &error.to_string()),
                }
            }
        }
    }

    fn close(&mut self, conn: ConnId, store: &mut Store, reason: &str) {
        tracing::debug!("{conn:?} ends: {reason}");
        self.streams.remove(&conn);
        store.disconnect(conn);
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Is the peer root, or who runs this daemon? Anybody else whom the administrator lets connect
/// may only read.
fn is_trusted(stream: &UnixStream) -> bool {
    let peer = getsockopt(stream, PeerCredentials).map(|peer| peer.uid());
    peer.is_ok_and(|uid| uid == 0 || uid == nix::unistd::geteuid().as_raw())
}
