//! The xenstore wire protocol: message types, headers, error names and payload fields.
//!
//! Numbers and limits are those of `xen/io/xs_wire.h`; payloads are those of the protocol
//! document `docs/misc/xenstore.txt` of the Xen project.

use std::fmt;

/// The longest payload in either direction, in bytes (`XENSTORE_PAYLOAD_MAX`).
pub const PAYLOAD_MAX: usize = 4096;
/// The longest absolute path, in bytes (`XENSTORE_ABS_PATH_MAX`).
pub const ABS_PATH_MAX: usize = 3072;
/// The longest relative path, in bytes (`XENSTORE_REL_PATH_MAX`).
pub const REL_PATH_MAX: usize = 2048;
/// A header on the wire, in bytes (`struct xsd_sockmsg`).
pub const HEADER_LEN: usize = 16;

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident = $number:literal $wire:literal,)*) => {
        /// A message type (`enum xsd_sockmsg_type`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Op { $($(#[$doc])* $name = $number,)* }

        impl Op {
            /// Every type there is.
            pub const ALL: &[Op] = &[$(Op::$name,)*];

            /// The protocol document's name of the type.
            pub fn name(self) -> &'static str {
                match self { $(Op::$name => $wire,)* }
            }

            /// The type with this number.
            pub fn from_number(number: u32) -> Option<Op> {
                match number { $($number => Some(Op::$name),)* _ => None }
            }
        }
    };
}

ops! {
    /// Commands to the daemon itself.
    Control = 0 "CONTROL",
    /// The names of a node's children.
    Directory = 1 "DIRECTORY",
    /// A node's value.
    Read = 2 "READ",
    /// A node's permissions.
    GetPerms = 3 "GET_PERMS",
    /// Ask for events.
    Watch = 4 "WATCH",
    /// Ask for no more events.
    Unwatch = 5 "UNWATCH",
    /// Open a transaction.
    TransactionStart = 6 "TRANSACTION_START",
    /// Commit or drop a transaction.
    TransactionEnd = 7 "TRANSACTION_END",
    /// Talk to a new domain.
    Introduce = 8 "INTRODUCE",
    /// Stop talking to a domain.
    Release = 9 "RELEASE",
    /// A domain's home.
    GetDomainPath = 10 "GET_DOMAIN_PATH",
    /// Set a node's value.
    Write = 11 "WRITE",
    /// Make an empty node.
    Mkdir = 12 "MKDIR",
    /// Remove a node and all below it.
    Rm = 13 "RM",
    /// Set a node's permissions.
    SetPerms = 14 "SET_PERMS",
    /// Something below a watched path changed; only the store sends it.
    WatchEvent = 15 "WATCH_EVENT",
    /// The request failed; only the store sends it.
    Error = 16 "ERROR",
    /// Does the store talk to this domain?
    IsDomainIntroduced = 17 "IS_DOMAIN_INTRODUCED",
    /// A domain that had shut down runs again.
    Resume = 18 "RESUME",
    /// Give one domain another's rights.
    SetTarget = 19 "SET_TARGET",
    /// Drop all watches and transactions of the caller.
    ResetWatches = 21 "RESET_WATCHES",
    /// A piece of a long list of children.
    DirectoryPart = 22 "DIRECTORY_PART",
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident $wire:literal $text:literal,)*) => {
        /// Why the store refuses a request. Errors travel by name (`xsd_errors`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Errno { $($(#[$doc])* $name,)* }

        impl Errno {
            /// Every error that can travel.
            pub const ALL: &[Errno] = &[$(Errno::$name,)*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Errno::$name => $wire,)* }
            }

            /// The error with this name.
            pub fn from_name(name: &str) -> Option<Errno> {
                match name { $($wire => Some(Errno::$name),)* _ => None }
            }

            fn text(self) -> &'static str {
                match self { $(Errno::$name => $text,)* }
            }
        }
    };
}

errnos! {
    /// The request makes no sense.
    Inval "EINVAL" "invalid request",
    /// The node's permissions forbid it.
    Acces "EACCES" "permission denied",
    /// There is one already.
    Exist "EEXIST" "exists already",
    /// A directory where none may be.
    IsDir "EISDIR" "is a directory",
    /// No such node, watch or transaction.
    NoEnt "ENOENT" "no such node",
    /// The store is out of memory.
    NoMem "ENOMEM" "out of memory",
    /// A quota of the domain is used up.
    NoSpc "ENOSPC" "quota exceeded",
    /// The store failed.
    Io "EIO" "input/output error",
    /// The node has children.
    NotEmpty "ENOTEMPTY" "not empty",
    /// The store doesn't know the request.
    NoSys "ENOSYS" "not supported",
    /// The connection may only read.
    Rofs "EROFS" "read-only connection",
    /// The thing is in use, or there are too many.
    Busy "EBUSY" "busy",
    /// The transaction conflicts with another change.
    Again "EAGAIN" "conflict, try again",
    /// Connected already.
    IsConn "EISCONN" "already connected",
    /// The request or its answer is too long.
    TooBig "E2BIG" "too long",
    /// The caller may not do this at all.
    Perm "EPERM" "operation not permitted",
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.name())
    }
}

/// A message header as it is on the wire; nothing in it has been believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// A number of [`Op`], or anything else.
    pub op: u32,
    /// Chosen by the client, echoed in the reply.
    pub req_id: u32,
    /// The transaction, or 0.
    pub tx_id: u32,
    /// Bytes of payload that follow.
    pub len: u32,
}

impl Header {
    /// Reads a header.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self { op: word(0), req_id: word(4), tx_id: word(8), len: word(12) }
    }

    /// Writes a header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let words = [self.op, self.req_id, self.tx_id, self.len];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// A number of [`Op`], or anything else.
    pub op: u32,
    /// Chosen by the client, echoed in the reply.
    pub req_id: u32,
    /// The transaction, or 0.
    pub tx_id: u32,
    /// At most [`PAYLOAD_MAX`] bytes.
    pub payload: Vec<u8>,
}

/// A header announces more than [`PAYLOAD_MAX`] bytes: the stream can't be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payload of {0} bytes, more than {PAYLOAD_MAX}")]
pub struct Oversized(pub u32);

impl Packet {
    /// A message of type `op`.
    pub fn new(op: Op, req_id: u32, tx_id: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { op: op as u32, req_id, tx_id, payload: payload.into() }
    }

    /// Takes the first whole message off `stream`; `None` if it isn't all there yet.
    pub fn take(stream: &mut Vec<u8>) -> Result<Option<Self>, Oversized> {
        let Some(header) = stream.first_chunk::<HEADER_LEN>().map(Header::decode) else {
            return Ok(None);
        };
        let len = header.len as usize;
        if len > PAYLOAD_MAX {
            return Err(Oversized(header.len));
        }
        if stream.len() < HEADER_LEN + len {
            return Ok(None);
        }
        let payload = stream[HEADER_LEN..HEADER_LEN + len].to_vec();
        stream.drain(..HEADER_LEN + len);
        Ok(Some(Self { op: header.op, req_id: header.req_id, tx_id: header.tx_id, payload }))
    }

    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let header = Header {
            op: self.op,
            req_id: self.req_id,
            tx_id: self.tx_id,
            len: self.payload.len() as u32,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// Joins fields, a nul after each.
pub fn fields<I>(fields: I) -> Vec<u8>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut payload = Vec::new();
    for field in fields {
        payload.extend_from_slice(field.as_ref());
        payload.push(0);
    }
    payload
}

/// Splits a payload into its nul-terminated fields; what follows the last nul is a field too.
pub fn split(payload: &[u8]) -> Vec<&[u8]> {
    let mut fields: Vec<_> = payload.split(|&byte| byte == 0).collect();
    if fields.last().is_some_and(|last| last.is_empty()) {
        fields.pop();
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_the_header() {
        assert_eq!(Op::from_number(20), None);
        assert_eq!(Op::from_number(22), Some(Op::DirectoryPart));
        for &op in Op::ALL {
            assert_eq!(Op::from_number(op as u32), Some(op));
        }
        for &errno in Errno::ALL {
            assert_eq!(Errno::from_name(errno.name()), Some(errno));
        }
    }

    #[test]
    fn a_stream_is_cut_into_messages() {
        let first = Packet::new(Op::Write, 7, 3, *b"/a\0value");
        let second = Packet::new(Op::Read, 8, 0, *b"/a\0");
        let bytes = [first.encode(), second.encode()].concat();
        let mut stream = Vec::new();
        let mut seen = Vec::new();
        for byte in bytes {
            stream.push(byte);
            seen.extend(Packet::take(&mut stream).unwrap());
        }
        assert_eq!(seen, [first, second]);
        assert!(stream.is_empty());
    }

    #[test]
    fn an_oversized_payload_is_seen_in_the_header() {
        let header = Header { op: 2, req_id: 0, tx_id: 0, len: PAYLOAD_MAX as u32 + 1 };
        assert_eq!(Packet::take(&mut header.encode().to_vec()), Err(Oversized(4097)));
    }

    #[test]
    fn fields_are_split_where_they_were_joined() {
        assert_eq!(split(&fields(["a", "", "b"])), [&b"a"[..], b"", b"b"]);
        assert_eq!(split(b"a\0b"), [b"a", b"b"]);
        assert!(split(b"").is_empty());
    }
}
