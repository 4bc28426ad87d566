//! Requests: payloads of the protocol document, read once into types.

use std::sync::Arc;

use crate::path::Path;
use crate::perms::{DomId, Perm, Perms};
use crate::wire::{Errno, Op, split};

/// A well-formed request. Whether the caller may make it is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A command to the daemon: its words.
    Control(Vec<String>),
    /// The names of the children.
    Directory(Path),
    /// The names of the children, from an offset in bytes into the whole list.
    DirectoryPart(Path, usize),
    /// The value.
    Read(Path),
    /// The permissions.
    GetPerms(Path),
    /// Set a watch.
    Watch(WatchKey),
    /// End a watch.
    Unwatch(WatchKey),
    /// Open a transaction.
    TransactionStart,
    /// End a transaction; commit it?
    TransactionEnd(bool),
    /// Talk to a domain through a frame and an event channel port of its.
    Introduce {
        /// The domain.
        domid: DomId,
        /// The frame of its ring page.
        gfn: u64,
        /// Its unbound port.
        port: u32,
    },
    /// Stop talking to a domain.
    Release(DomId),
    /// A domain's home.
    GetDomainPath(DomId),
    /// Set a value.
    Write(Path, Arc<[u8]>),
    /// Make a node.
    Mkdir(Path),
    /// Remove nodes.
    Rm(Path),
    /// Set permissions.
    SetPerms(Path, Arc<Perms>),
    /// Does the store talk to the domain?
    IsDomainIntroduced(DomId),
    /// The domain runs again.
    Resume(DomId),
    /// The first domain gets the rights of the second.
    SetTarget(DomId, DomId),
    /// Drop the caller's watches and transactions.
    ResetWatches,
}

/// What names a watch of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchKey {
    /// Where it was set.
    pub path: Path,
    /// What its events carry.
    pub token: Arc<[u8]>,
    /// Was the path relative to the caller's home? Then its events' paths are too.
    pub relative: bool,
}

impl Request {
    /// Reads a request of a caller whose relative paths start at the home of `home`.
    ///
    /// Fails with ENOSYS for a type that nobody sends, and with EINVAL for a payload that the
    /// protocol document doesn't allow.
    pub fn parse(op: u32, payload: &[u8], home: DomId) -> Result<Self, Errno> {
        let op = Op::from_number(op).ok_or(Errno::NoSys)?;
        let path = |text| Path::parse(text, home);
        let any_path = |text| Path::parse_any(text, home);
        Ok(match op {
            Op::Control => Request::Control(words(payload)?),
            Op::Directory => Request::Directory(path(one(payload)?)?),
            Op::DirectoryPart => {
                let [node, offset] = terminated(payload)?;
                Request::DirectoryPart(path(node)?, number(offset)?)
            }
            Op::Read => Request::Read(path(one(payload)?)?),
            Op::GetPerms => Request::GetPerms(any_path(one(payload)?)?),
            Op::Watch => Request::Watch(watch_key(payload, home)?),
            Op::Unwatch => Request::Unwatch(watch_key(payload, home)?),
            Op::TransactionStart => Request::TransactionStart,
            Op::TransactionEnd => match one(payload)? {
                b"T" => Request::TransactionEnd(true),
                b"F" => Request::TransactionEnd(false),
                _ => return Err(Errno::Inval),
            },
            Op::Introduce => {
                let [domid, gfn, port] = terminated(payload)?;
                let port = number(port)?;
                Request::Introduce { domid: number(domid)?, gfn: frame(gfn)?, port }
            }
            Op::Release => Request::Release(number(one(payload)?)?),
            Op::GetDomainPath => Request::GetDomainPath(number(one(payload)?)?),
            Op::Write => {
                let end = payload.iter().position(|&byte| byte == 0).ok_or(Errno::Inval)?;
                Request::Write(path(&payload[..end])?, payload[end + 1..].into())
            }
            Op::Mkdir => Request::Mkdir(path(one(payload)?)?),
            Op::Rm => Request::Rm(path(one(payload)?)?),
            Op::SetPerms => set_perms(payload, home)?,
            Op::IsDomainIntroduced => Request::IsDomainIntroduced(number(one(payload)?)?),
            Op::Resume => Request::Resume(number(one(payload)?)?),
            Op::SetTarget => {
                let [domid, target] = terminated(payload)?;
                Request::SetTarget(number(domid)?, number(target)?)
            }
            Op::ResetWatches => Request::ResetWatches,
            Op::WatchEvent | Op::Error => return Err(Errno::NoSys),
        })
    }

    /// May it be made on a read-only connection?
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Request::Directory(_)
                | Request::DirectoryPart(..)
                | Request::Read(_)
                | Request::GetPerms(_)
                | Request::Watch(_)
                | Request::Unwatch(_)
                | Request::TransactionStart
                | Request::TransactionEnd(_)
                | Request::GetDomainPath(_)
                | Request::IsDomainIntroduced(_)
                | Request::ResetWatches
        )
    }

    /// Is it for domain 0 alone?
    pub fn is_privileged(&self) -> bool {
        matches!(
            self,
            Request::Control(_)
                | Request::Introduce { .. }
                | Request::Release(_)
                | Request::Resume(_)
                | Request::SetTarget(..)
        )
    }

    /// Does the transaction that its header names mean anything?
    pub fn heeds_transaction(&self) -> bool {
        matches!(
            self,
            Request::Directory(_)
                | Request::DirectoryPart(..)
                | Request::Read(_)
                | Request::GetPerms(_)
                | Request::TransactionStart
                | Request::TransactionEnd(_)
                | Request::Write(..)
                | Request::Mkdir(_)
                | Request::Rm(_)
                | Request::SetPerms(..)
        )
    }
}

/// The payload's only field; it must end with the only nul.
fn one(payload: &[u8]) -> Result<&[u8], Errno> {
    match payload.split_last() {
        Some((0, field)) if !field.contains(&0) => Ok(field),
        _ => Err(Errno::Inval),
    }
}

/// The first fields of a payload whose fields all end with a nul. What follows is reserved.
fn terminated<const FIELDS: usize>(payload: &[u8]) -> Result<[&[u8]; FIELDS], Errno> {
    if payload.last() != Some(&0) {
        return Err(Errno::Inval);
    }
    // Not split(): it takes a trailing empty field for the end.
    let mut fields = payload[..payload.len() - 1].split(|&byte| byte == 0);
    let mut first = [&payload[..0]; FIELDS];
    for field in &mut first {
        *field = fields.next().ok_or(Errno::Inval)?;
    }
    Ok(first)
}

fn words(payload: &[u8]) -> Result<Vec<String>, Errno> {
    let word = |field: &[u8]| String::from_utf8(field.to_vec()).map_err(|_| Errno::Inval);
    split(payload).into_iter().map(word).collect()
}

/// A number in decimal digits, without a sign.
pub(crate) fn number<T: std::str::FromStr>(field: &[u8]) -> Result<T, Errno> {
    let text = str::from_utf8(field).map_err(|_| Errno::Inval)?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Errno::Inval);
    }
    text.parse().map_err(|_| Errno::Inval)
}

/// Frames are sent as signed decimals.
fn frame(field: &[u8]) -> Result<u64, Errno> {
    match field.strip_prefix(b"-") {
        Some(digits) => number(digits).map(u64::wrapping_neg),
        None => number(field),
    }
}

fn watch_key(payload: &[u8], home: DomId) -> Result<WatchKey, Errno> {
    let [path, token] = terminated(payload)?;
    let relative = !path.starts_with(b"/") && !path.starts_with(b"@");
    Ok(WatchKey { path: Path::parse_any(path, home)?, token: token.into(), relative })
}

fn set_perms(payload: &[u8], home: DomId) -> Result<Request, Errno> {
    let [path] = terminated(payload)?;
    let entry = |field: &[u8]| str::from_utf8(field).ok()?.parse::<Perm>().ok();
    let entries: Option<Vec<_>> = split(payload).into_iter().skip(1).map(entry).collect();
    let perms = Perms::new(entries.ok_or(Errno::Inval)?).ok_or(Errno::Inval)?;
    Ok(Request::SetPerms(Path::parse_any(path, home)?, Arc::new(perms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields;
    use proptest::prelude::*;

    fn parse(op: Op, payload: &[u8]) -> Result<Request, Errno> {
        Request::parse(op as u32, payload, 3)
    }

    #[test]
    fn payloads_without_their_nuls_are_refused() {
        for op in [Op::Read, Op::Directory, Op::Mkdir, Op::Rm, Op::Write, Op::Watch, Op::Introduce]
        {
            assert_eq!(parse(op, b"/a"), Err(Errno::Inval), "{op}");
            assert_eq!(parse(op, b""), Err(Errno::Inval), "{op}");
        }
        assert_eq!(parse(Op::Read, b"/a\0b\0"), Err(Errno::Inval));
        assert_eq!(parse(Op::Watch, b"/a\0"), Err(Errno::Inval));
    }

    #[test]
    fn types_that_nobody_sends_are_not_supported() {
        for op in [15, 16, 20, 23, 0xffff] {
            assert_eq!(Request::parse(op, b"/a\0", 0), Err(Errno::NoSys));
        }
    }

    #[test]
    fn values_are_binary_and_frames_are_signed() {
        let write = parse(Op::Write, b"/a\0b\0c").unwrap();
        assert_eq!(write, Request::Write(Path::new("/a").unwrap(), (*b"b\0c").into()));
        let introduce = parse(Op::Introduce, &fields(["7", "-2", "9"]));
        assert_eq!(introduce, Ok(Request::Introduce { domid: 7, gfn: u64::MAX - 1, port: 9 }));
        for bad in [["65536", "1", "1"], ["-1", "1", "1"], ["1", "x", "1"], ["1", "1", "+1"]] {
            assert_eq!(parse(Op::Introduce, &fields(bad)), Err(Errno::Inval));
        }
    }

    #[test]
    fn reserved_fields_are_ignored_and_tokens_may_be_empty() {
        let key = |payload: &[u8]| match parse(Op::Watch, payload) {
            Ok(Request::Watch(key)) => (key.path.to_string(), key.token.to_vec(), key.relative),
            other => panic!("{other:?}"),
        };
        assert_eq!(key(b"a\0\0"), ("/local/domain/3/a".to_owned(), vec![], true));
        assert_eq!(key(&fields(["@x", "t", "0"])), ("@x".to_owned(), b"t".to_vec(), false));
    }

    #[test]
    fn permissions_need_an_owner() {
        assert_eq!(parse(Op::SetPerms, b"/a\0"), Err(Errno::Inval));
        assert_eq!(parse(Op::SetPerms, b"/a\0x1\0"), Err(Errno::Inval));
        assert!(parse(Op::SetPerms, b"/a\0n0\0r3\0").is_ok());
    }

    proptest! {
        #[test]
        fn no_payload_is_too_strange(op in 0u32..30, payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::parse(op, &payload, 1);
        }
    }
}
