//! The side that asks: connects to the emulator's end of the port and runs commands.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::frame::{Decoder, Frame};

/// How often a hello is sent while dom0 does not answer yet.
const HELLO_EVERY: Duration = Duration::from_millis(500);
/// How long a cancelled command may take to die.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// Which of the two streams a piece of output belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A connection to `execd`.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    decoder: Decoder,
}

impl Agent {
    /// Connects to the socket at `path` and waits until dom0 answers.
    ///
    /// Fails with `TimedOut` at `deadline`, and with what `alive` says when that fails before (it
    /// is asked about twice a second: is there still somebody who could answer?).
    pub fn connect(
        path: &Path,
        deadline: Instant,
        mut alive: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Self> {
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
            alive()?;
        };
        let mut agent = Self { stream, decoder: Decoder::default() };
        let nonce = nonce();
        while Instant::now() < deadline {
            alive()?;
            agent.send(&Frame::Hello(nonce))?;
            let until = deadline.min(Instant::now() + HELLO_EVERY);
            while let Some(frame) = agent.receive(until)? {
                if frame == Frame::Hello(nonce) {
                    return Ok(agent);
                }
            }
        }
        Err(io::Error::new(ErrorKind::TimedOut, "the exec agent in dom0 does not answer"))
    }

    /// Runs `command` with `/bin/sh -c` in dom0 and gives its exit status (128 + n if signal n
    /// killed it).
    ///
    /// Each piece of output goes to `output` as it comes. After `timeout` the command is killed
    /// and the error is `TimedOut`. A process left behind in the background does not delay the
    /// answer; what it prints later is lost.
    pub fn run(
        &mut self,
        command: &str,
        timeout: Duration,
        mut output: impl FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> io::Result<i32> {
        self.send(&Frame::Run(command.into()))?;
        let deadline = Instant::now() + timeout;
        while let Some(frame) = self.receive(deadline)? {
            match frame {
                Frame::Stdout(bytes) => output(Stream::Stdout, &bytes)?,
                Frame::Stderr(bytes) => output(Stream::Stderr, &bytes)?,
                Frame::Exit(status) => return Ok(status),
                Frame::Failed(reason) => return Err(io::Error::other(reason)),
                // Late answers to hellos that were sent while dom0 booted.
                Frame::Hello(_) | Frame::Run(_) | Frame::Cancel => {}
            }
        }
        self.cancel()?;
        let message = format!("`{command}` still ran after {} s", timeout.as_secs());
        Err(io::Error::new(ErrorKind::TimedOut, message))
    }

    /// Kills the running command and waits for its end, so that the next answer is the next one's.
    fn cancel(&mut self) -> io::Result<()> {
        self.send(&Frame::Cancel)?;
        let deadline = Instant::now() + CANCEL_GRACE;
        while let Some(frame) = self.receive(deadline)? {
            if matches!(frame, Frame::Exit(_) | Frame::Failed(_)) {
                return Ok(());
            }
        }
        Err(io::Error::new(ErrorKind::TimedOut, "a command in dom0 could not be killed"))
    }

    fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.stream.write_all(&frame.encode())
    }

    /// The next frame, or `None` at the deadline.
    fn receive(&mut self, deadline: Instant) -> io::Result<Option<Frame>> {
        let mut bytes = [0; 65536];
        loop {
            if let Some(frame) = self.decoder.next_frame() {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.decoder.feed(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Differs between any two askers of one port: they are two processes, or two moments.
fn nonce() -> [u8; 8] {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    (since.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(40)).to_le_bytes()
}
