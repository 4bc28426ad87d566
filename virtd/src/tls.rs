//! TLS with certificates on both sides, for clients from elsewhere.
//!
//! A client that comes by TLS is served as any other, at one end of a socket pair; a thread passes
//! the bytes on between the other end and TLS. What one side does not take, the other is not asked
//! for: there is never more than a record in between.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use crate::settings::Settings;

/// How long a client may take to prove who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What libvirt's servers say when they have accepted a client's certificate.
const WELCOME: &[u8] = &[1];
/// What is passed on at a time.
const PIECE: usize = 16 << 10;

/// The certificates in use.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads the certificates that the settings name.
    pub fn load(settings: &Settings) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&settings.ca_file)? {
            roots.add(certificate).map_err(|error| named(&settings.ca_file, error))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| named(&settings.ca_file, error))?;
        let key = PrivateKeyDer::from_pem_file(&settings.key_file)
            .map_err(|error| named(&settings.key_file, error))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&settings.cert_file)?, key)
            .map_err(|error| named(&settings.cert_file, error))?;
        // libvirt's clients take whatever comes first for the welcome.
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    /// Takes a client in: returns the socket by which it is to be served.
    pub fn accept(&self, stream: TcpStream) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        let config = Arc::clone(&self.0);
        let pass = move || {
            let peer = stream.peer_addr();
            if let Err(error) = pass(config, stream, theirs) {
                tracing::info!("TLS with {peer:?} ends: {error}");
            }
        };
        std::thread::Builder::new().name("tls".to_owned()).spawn(pass)?;
        Ok(ours.into())
    }
}

fn named(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| named(path, error))?;
    if certificates.is_empty() {
        Err(named(path, "there is no certificate"))
    } else {
        Ok(certificates)
    }
}

fn pass(config: Arc<ServerConfig>, mut tcp: TcpStream, mut inner: UnixStream) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    tcp.set_read_timeout(Some(HANDSHAKE))?;
    tcp.set_write_timeout(Some(HANDSHAKE))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    tls.writer().write_all(WELCOME)?;
    tcp.set_nonblocking(true)?;
    inner.set_nonblocking(true)?;
    let mut to_inner = Vec::new();
    loop {
        wait(&tls, &tcp, &inner, !to_inner.is_empty())?;
        while tls.wants_write() && !would_block(tls.write_tls(&mut tcp))? {}
        if to_inner.is_empty() && !receive(&mut tls, &mut tcp, &mut to_inner)? {
            return Ok(());
        }
        if let Ok(written) = inner.write(&to_inner) {
            to_inner.drain(..written);
        }
        if !tls.wants_write() && !send(&mut tls, &mut inner)? {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut tcp);
            return Ok(());
        }
    }
}

/// Waits until something can be passed on.
fn wait(tls: &ServerConnection, tcp: &TcpStream, inner: &UnixStream, full: bool) -> io::Result<()> {
    let events = |read: bool, write: bool| {
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLIN, read);
        events.set(PollFlags::POLLOUT, write);
        events
    };
    let sending = tls.wants_write();
    let mut waiting = [
        PollFd::new(tcp.as_fd(), events(!full, sending)),
        PollFd::new(inner.as_fd(), events(!sending, full)),
    ];
    poll(&mut waiting, PollTimeout::NONE)?;
    Ok(())
}

/// Whether it would have blocked; other errors are errors.
fn would_block<T>(result: io::Result<T>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// Takes what the client has sent. False at its end.
fn receive(tls: &mut ServerConnection, tcp: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<bool> {
    match tls.read_tls(tcp) {
        Ok(0) => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        _ => {}
    }
    let state = tls.process_new_packets().map_err(io::Error::other)?;
    let start = out.len();
    out.resize(start + state.plaintext_bytes_to_read(), 0);
    tls.reader().read_exact(&mut out[start..])?;
    Ok(!state.peer_has_closed())
}

/// Takes what is to be sent to the client. False at its end.
fn send(tls: &mut ServerConnection, inner: &mut UnixStream) -> io::Result<bool> {
    let mut piece = [0; PIECE];
    match inner.read(&mut piece) {
        Ok(0) => Ok(false),
        Ok(length) => tls.writer().write_all(&piece[..length]).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}
