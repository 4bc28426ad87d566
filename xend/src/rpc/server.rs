//! The answering end: one thread for each connection, and a bound on how many there are.

use std::io::{self, BufReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::http::{HttpError, read_message, write_response};
use super::value::{Call, Fault, Value, code};
use super::xml::{decode_call, encode_response};

/// Requests may be this long; a guest with many disks is far below it.
const MAX_REQUEST: u64 = 1 << 20;
/// So many clients are served at the same time.
const MAX_CLIENTS: usize = 64;
/// A client that says nothing for this long is hung up on.
const SILENCE: Duration = Duration::from_secs(300);

/// What carries calls out.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call.
    fn handle(&self, call: &Call) -> Result<Value, Fault>;
}

/// A listening socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    clients: Arc<AtomicUsize>,
}

impl Server {
    /// Listens at `path`, for its owner only. What is left there of a predecessor is replaced:
    /// whoever calls this holds the pid file's lock, so the predecessor is dead.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Bound under another name first: there is no moment when it is there with wrong rights.
        let fresh = path.with_extension("new");
        let _ = std::fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&fresh, path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: Arc::default() })
    }

    /// Takes in the clients that wait, without waiting for any. To be called whenever the
    /// descriptor is readable.
    pub fn accept(&self, handler: &Arc<impl Handler>) {
        while let Ok((stream, _)) = self.listener.accept() {
            let place = Place::take(&self.clients);
            let handler = Arc::clone(handler);
            let serve = move || {
                let held = place;
                let _ = serve(stream, &*handler, held.is_some());
            };
            if let Err(error) = std::thread::Builder::new().name("client".to_owned()).spawn(serve) {
                tracing::warn!("cannot serve a client: {error}");
            }
        }
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// One of the places for clients; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < MAX_CLIENTS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(stream: UnixStream, handler: &impl Handler, place: bool) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut stream = BufReader::new(stream);
    if !place {
        return write_response(stream.get_mut(), 503, "too many clients\n");
    }
    loop {
        let message = match read_message(&mut stream, MAX_REQUEST) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(HttpError::Io(error)) => return Err(error),
            Err(HttpError::Refused { status, reason }) => {
                return write_response(stream.get_mut(), status, &format!("{reason}\n"));
            }
        };
        let mut words = message.start.split(' ');
        if words.next() != Some("POST") {
            return write_response(stream.get_mut(), 405, "XML-RPC is asked by POST\n");
        }
        if !matches!(words.next(), Some("/" | "/RPC2")) {
            return write_response(stream.get_mut(), 404, "XML-RPC is at /RPC2\n");
        }
        write_response(stream.get_mut(), 200, &encode_response(&answer(&message.body, handler)))?;
        if message.closes {
            return Ok(());
        }
    }
}

fn answer(body: &[u8], handler: &impl Handler) -> Result<Value, Fault> {
    let refused = |reason: String| Fault::new(code::GENERIC, format!("not XML-RPC: {reason}"));
    let text = std::str::from_utf8(body).map_err(|error| refused(error.to_string()))?;
    let call = decode_call(text).map_err(refused)?;
    handler.handle(&call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::client::{CallError, Client};
    use std::io::{Read, Write};

    struct Echo;

    impl Handler for Echo {
        fn handle(&self, call: &Call) -> Result<Value, Fault> {
            match call.method.as_str() {
                "echo" => Ok(Value::Array(call.params.clone())),
                other => Err(Fault::new(code::GENERIC, format!("no method {other}"))),
            }
        }
    }

    /// Serves `path` from a thread that lives as long as the test program.
    fn serve_at(path: &Path) {
        let server = Server::bind(path).unwrap();
        let handler = Arc::new(Echo);
        std::thread::spawn(move || {
            loop {
                server.accept(&handler);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    }

    #[test]
    fn calls_and_faults_cross_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/xmlrpc.sock");
        serve_at(&path);
        let mut client = Client::connect(&path).unwrap();
        let params = vec!["a<b".into(), 5.into()];
        assert_eq!(client.call("echo", params.clone()).unwrap(), Value::Array(params));
        match client.call("nonsense", vec![]) {
            Err(CallError::Fault(fault)) => assert_eq!(fault.message, "no method nonsense"),
            other => panic!("{other:?}"),
        }
        drop(client);
        let mut raw = UnixStream::connect(&path).unwrap();
        raw.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        raw.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xmlrpc.sock");
        drop(Server::bind(&path).unwrap());
        let _server = Server::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Client::connect(&path).is_ok());
    }
}
