//! Messages as they go over a connection: a length, a header, a payload.
//!
//! Facts: libvirt's `virnetprotocol.x` and `virkeepalive.c`.

use std::io::{self, Read};

use crate::error::Error;
use crate::xdr::{Decoder, Xdr, XdrError, to_bytes};
use crate::xdr_struct;

/// The longest message that a client may send, its length word not counted. No call comes near
/// it: a domain's XML is the longest thing there is.
pub const MAX_REQUEST: usize = 4 << 20;
/// The longest message that clients take (`VIR_NET_MESSAGE_MAX`).
pub const MAX_REPLY: usize = 32 << 20;

/// Programs that a message can be for.
pub mod program {
    /// libvirt's calls (`REMOTE_PROGRAM`).
    pub const REMOTE: u32 = 0x2000_8086;
    /// Their version (`REMOTE_PROTOCOL_VERSION`).
    pub const REMOTE_VERSION: u32 = 1;
    /// Who is still there (`KEEPALIVE_PROGRAM`).
    pub const KEEPALIVE: u32 = 0x6b65_6570;
    /// Its version (`KEEPALIVE_PROTOCOL_VERSION`).
    pub const KEEPALIVE_VERSION: u32 = 1;
}

/// What a message is (`virNetMessageType`).
pub mod kind {
    /// A request.
    pub const CALL: u32 = 0;
    /// What it is answered with.
    pub const REPLY: u32 = 1;
    /// A notice.
    pub const MESSAGE: u32 = 2;
    /// A piece of a stream.
    pub const STREAM: u32 = 3;
}

/// How it is with what a message belongs to (`virNetMessageStatus`).
pub mod status {
    /// Done.
    pub const OK: u32 = 0;
    /// Failed; the payload is the error.
    pub const ERROR: u32 = 1;
    /// More of the stream follows.
    pub const CONTINUE: u32 = 2;
}

xdr_struct! {
    /// What every message begins with (`virNetMessageHeader`).
    #[derive(Copy, Eq)]
    Header {
        program: u32,
        version: u32,
        procedure: i32,
        kind: u32,
        /// The caller's number for a call, which its reply bears as well.
        serial: u32,
        status: u32,
    }
}

impl Header {
    /// The header of a notice that this side sends unasked.
    pub fn notice(program: u32, version: u32, procedure: i32) -> Self {
        Self { program, version, procedure, kind: kind::MESSAGE, serial: 0, status: status::OK }
    }

    /// The header of what answers this.
    pub fn reply(self, status: u32) -> Self {
        let kind = if self.kind == kind::STREAM { kind::STREAM } else { kind::REPLY };
        Self { kind, status, ..self }
    }

    /// The header of a piece of the stream that this call opened.
    pub fn stream(self, status: u32) -> Self {
        Self { kind: kind::STREAM, status, ..self }
    }
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// Its header.
    pub header: Header,
    /// What it says.
    pub payload: Vec<u8>,
}

/// Reads one message; `None` when the peer has left between two.
pub fn read(from: &mut impl Read) -> io::Result<Option<Packet>> {
    let mut word = [0; 4];
    if from.read(&mut word[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut word[1..])?;
    let length = u32::from_be_bytes(word) as usize;
    let body = length.checked_sub(4).filter(|body| *body <= MAX_REQUEST);
    let body = body.ok_or_else(|| invalid(format!("a message of {length} bytes")))?;
    // Read as it comes: a length that somebody claims is no reason to set memory aside.
    let mut bytes = Vec::new();
    from.take(body as u64).read_to_end(&mut bytes)?;
    if bytes.len() < body {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut decoder = Decoder::new(&bytes);
    let header = Header::decode(&mut decoder).map_err(|error| invalid(error.to_string()))?;
    let header_length = bytes.len() - decoder.rest().len();
    bytes.drain(..header_length);
    Ok(Some(Packet { header, payload: bytes }))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// A message of which `write` appends the payload.
pub fn message(header: Header, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    header.encode(&mut bytes);
    write(&mut bytes);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// The answer to a call.
pub fn answer(call: Header, result: Result<Vec<u8>, Error>) -> Vec<u8> {
    let too_long = |payload: &Vec<u8>| payload.len() > MAX_REPLY - 64;
    match result {
        Ok(payload) if too_long(&payload) => {
            let error = Error::internal("the answer is longer than a message can be");
            refusal(call, &error)
        }
        Ok(payload) => message(call.reply(status::OK), |out| out.extend_from_slice(&payload)),
        Err(error) => refusal(call, &error),
    }
}

/// The answer to a call, or to a piece of a stream, that can't be carried out.
pub fn refusal(call: Header, error: &Error) -> Vec<u8> {
    message(call.reply(status::ERROR), |out| out.extend_from_slice(&to_bytes(&error.to_wire())))
}

impl From<XdrError> for Error {
    fn from(error: XdrError) -> Self {
        Self::rpc(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CALL: Header = Header {
        program: program::REMOTE,
        version: 1,
        procedure: 1,
        kind: kind::CALL,
        serial: 7,
        status: status::OK,
    };

    #[test]
    fn messages_follow_each_other() {
        let wire = [message(CALL, |out| out.extend([1, 2, 3, 4])), message(CALL, |_| ())].concat();
        assert_eq!(wire[..4], [0, 0, 0, 32]);
        let mut wire = wire.as_slice();
        let first = read(&mut wire).unwrap().unwrap();
        assert_eq!((first.header, first.payload.as_slice()), (CALL, &[1, 2, 3, 4][..]));
        assert!(read(&mut wire).unwrap().unwrap().payload.is_empty());
        assert_eq!(read(&mut wire).unwrap(), None);
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_anything_is_read() {
        for length in [0u32, 3, 4, 27, 5 << 20, u32::MAX] {
            let wire = [&length.to_be_bytes()[..], &[0; 23]].concat();
            assert!(read(&mut wire.as_slice()).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&mut bytes.as_slice());
        }
    }
}
