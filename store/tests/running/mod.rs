//! A xenstored process with its own run directory.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use store::client::Client;
use store::wire::{HEADER_LEN, Header, Packet};
use tempfile::TempDir;

/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon; it is killed at the end.
pub struct Xenstored {
    pub folder: TempDir,
    daemon: Child,
}

impl Xenstored {
    /// Starts one and waits until it serves.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Self::spawn(&folder);
        let started = Self { folder, daemon };
        started.wait_until_ready();
        started
    }

    /// The command that starts a daemon on `folder`.
    pub fn command(folder: &TempDir) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstored"));
        command.arg("--no-domains").env("XENSTORED_RUNDIR", folder.path());
        command
    }

    fn spawn(folder: &TempDir) -> Child {
        let mut command = Self::command(folder);
        command.args(["--no-fork", "--log-level", "warn"]).spawn().unwrap()
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < deadline, "xenstored doesn't come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the daemon without warning.
    pub fn kill(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }

    /// Starts a daemon after the one that was killed.
    pub fn start_again(&mut self) {
        self.daemon = Self::spawn(&self.folder);
        self.wait_until_ready();
    }

    /// Where tools connect.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::connect_to(&self.socket()).unwrap()
    }

    /// A connection without a client's manners.
    pub fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Runs a program that finds this store.
    pub fn run(&self, program: &str, words: &[&str]) -> Output {
        let output = self.tool(program).args(words).output();
        output.unwrap_or_else(|error| panic!("{program} (package xenstore-utils): {error}"))
    }

    /// A program that finds this store.
    pub fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("XENSTORED_RUNDIR", self.folder.path()).stdin(Stdio::null());
        command
    }
}

impl Drop for Xenstored {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Reads one message.
pub fn receive(stream: &mut UnixStream) -> std::io::Result<Packet> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header)?;
    let mut bytes = header.to_vec();
    bytes.resize(HEADER_LEN + Header::decode(&header).len as usize, 0);
    stream.read_exact(&mut bytes[HEADER_LEN..])?;
    Ok(Packet::take(&mut bytes).unwrap().expect("a whole message"))
}

/// Is the connection ended by the daemon?
pub fn is_ended(stream: &mut UnixStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// What a program printed, if it succeeded.
pub fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}
