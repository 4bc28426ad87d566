//! The asking end.

use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::http::{HttpError, read_message, write_request};
use super::value::{Call, Fault, Value};
use super::xml::{decode_response, encode_call};

/// Answers may be this long; a log is the longest there is.
const MAX_ANSWER: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens, or the connection broke.
    #[error("Unable to connect to xend: {0}")]
    Connection(#[from] io::Error),
    /// What came back is no answer of XML-RPC.
    #[error("xend answered something that is not understood: {0}")]
    Protocol(String),
    /// The answer is a refusal.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A connection to xend.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(UnixStream::connect(path)?) })
    }

    /// Whether xend has hung up on this connection, as it does on those that say nothing for long
    /// and when it ends.
    pub fn is_stale(&self) -> bool {
        let mut waiting = [PollFd::new(self.stream.get_ref().as_fd(), PollFlags::POLLIN)];
        // Nothing is under way, so whatever there is to read is the end.
        !matches!(poll(&mut waiting, PollTimeout::ZERO), Ok(0))
    }

    /// Calls a method and waits for its answer, however long it takes.
    pub fn call(&mut self, method: &str, params: Vec<Value>) -> Result<Value, CallError> {
        let call = Call { method: method.to_owned(), params };
        write_request(self.stream.get_mut(), &encode_call(&call))?;
        let message = match read_message(&mut self.stream, MAX_ANSWER) {
            Ok(Some(message)) => message,
            Ok(None) => {
                let gone = io::Error::new(io::ErrorKind::ConnectionReset, "it hung up");
                return Err(gone.into());
            }
            Err(HttpError::Io(error)) => return Err(error.into()),
            Err(error) => return Err(CallError::Protocol(error.to_string())),
        };
        let body = String::from_utf8_lossy(&message.body);
        if message.start.split(' ').nth(1) != Some("200") {
            return Err(CallError::Protocol(format!("{}: {body}", message.start)));
        }
        Ok(decode_response(&body).map_err(CallError::Protocol)??)
    }
}
