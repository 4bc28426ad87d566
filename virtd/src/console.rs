//! A guest's console as a stream of one client.
//!
//! The console daemon offers each guest's console as a terminal, and its name is in the store;
//! so this works with any console daemon. One thread reads the terminal for the client.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use uuid::Uuid;

use crate::error::{Code, Error, Result};
use crate::outbox::Outbox;
use crate::packet::{self, Header, status};

/// How long a guest may take to read what is typed, in milliseconds.
const PATIENCE: u16 = 2000;

/// A terminal that a client is attached to.
#[derive(Debug)]
pub struct Console {
    terminal: File,
    over: AtomicBool,
    hung_up: AtomicBool,
    /// Written to wake the thread that reads.
    wake: OwnedFd,
}

impl Console {
    /// Attaches a client to the terminal at `path`, by the stream that `call` opens.
    pub fn open(path: &Path, client: Arc<Outbox>, call: Header) -> io::Result<Arc<Self>> {
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits())
            .open(path)?;
        // A node of the store may name anything.
        if !terminal.is_terminal() {
            return Err(io::Error::other("is not a terminal"));
        }
        let (woken, wake) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let console = Arc::new(Self {
            terminal,
            over: AtomicBool::new(false),
            hung_up: AtomicBool::new(false),
            wake,
        });
        let reader = Arc::clone(&console);
        let read = move || {
            reader.read(&woken, &client, call);
            reader.over.store(true, Ordering::SeqCst);
        };
        std::thread::Builder::new().name("console".to_owned()).spawn(read)?;
        Ok(console)
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Ends it.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = nix::unistd::write(&self.wake, b"x");
    }

    /// Ends it from this side: the client is told.
    fn hang_up(&self) {
        self.hung_up.store(true, Ordering::SeqCst);
        let _ = nix::unistd::write(&self.wake, b"x");
    }

    /// Types `bytes`.
    pub fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.terminal).write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut waiting = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLOUT)];
                    if poll(&mut waiting, PATIENCE)? == 0 {
                        return Err(io::Error::other("the guest does not read its console"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends what the guest prints until the guest, the client or the stream ends.
    fn read(&self, woken: &OwnedFd, client: &Outbox, call: Header) {
        let send = |bytes: &[u8]| {
            client.push(packet::message(call.stream(status::CONTINUE), |out| out.extend(bytes)))
        };
        let mut bytes = vec![0; 16 << 10];
        let ended = || self.is_over() || self.hung_up.load(Ordering::SeqCst);
        while client.wait_for_room() && !ended() {
            match (&self.terminal).read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => {
                    send(&bytes[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut waiting = [
                        PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN),
                        PollFd::new(woken.as_fd(), PollFlags::POLLIN),
                    ];
                    let _ = poll(&mut waiting, PollTimeout::NONE);
                }
                Err(_) => break,
            }
        }
        // Whoever ended it does not wait for its end.
        if !self.is_over() {
            send(&[]);
        }
    }
}

/// Who is attached to which guest's console: one at a time.
#[derive(Debug, Default)]
pub struct Consoles(Mutex<HashMap<Uuid, Arc<Console>>>);

impl Consoles {
    /// Attaches somebody to a guest's console by `open`; who is attached already goes away if
    /// `force`, else it is refused.
    pub fn open(
        &self,
        guest: Uuid,
        force: bool,
        open: impl FnOnce() -> io::Result<Arc<Console>>,
    ) -> Result<Arc<Console>> {
        let mut consoles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        consoles.retain(|_, console| !console.is_over());
        if let Some(old) = consoles.get(&guest) {
            if !force {
                let reason = "Active console session exists for this domain";
                return Err(Error::new(Code::OperationFailed, reason));
            }
            old.hang_up();
        }
        let console = open().map_err(|error| Error::internal(format!("the console: {error}")))?;
        consoles.insert(guest, Arc::clone(&console));
        Ok(console)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Next;
    use crate::packet::{kind, program};
    use nix::pty::openpty;
    use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
    use std::time::Duration;

    fn next(client: &Outbox) -> (u32, Vec<u8>) {
        match client.next(Duration::from_secs(20)) {
            Next::Message(message) => {
                let packet = packet::read(&mut message.as_slice()).unwrap().unwrap();
                assert_eq!((packet.header.kind, packet.header.serial), (kind::STREAM, 9));
                (packet.header.status, packet.payload)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_guest_prints_is_sent_and_what_is_typed_arrives() {
        let pty = openpty(None, None).unwrap();
        let mut raw = tcgetattr(&pty.slave).unwrap();
        cfmakeraw(&mut raw);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &raw).unwrap();
        let path = nix::unistd::ttyname(&pty.slave).unwrap();
        let call = Header {
            program: program::REMOTE,
            version: 1,
            procedure: 201,
            kind: kind::CALL,
            serial: 9,
            status: status::OK,
        };
        let client: Arc<Outbox> = Default::default();
        let console = Console::open(&path, Arc::clone(&client), call).unwrap();
        let mut guest = File::from(pty.master);
        guest.write_all(b"login: ").unwrap();
        assert_eq!(next(&client), (status::CONTINUE, b"login: ".to_vec()));
        console.write(b"root\n").unwrap();
        let mut typed = [0; 5];
        guest.read_exact(&mut typed).unwrap();
        assert_eq!(&typed, b"root\n");
        drop((guest, pty.slave));
        assert_eq!(next(&client), (status::CONTINUE, Vec::new()));
        assert!(Console::open(Path::new("/dev/null"), client, call).is_err());
    }
}
