//! The journal: a file of changes in the store's run directory, kept before anybody sees their
//! consequences, so that a killed daemon's successor goes on where it was.
//!
//! The file begins with a header that names the boot it belongs to: after a reboot no ring and
//! no domain is what it was. Records follow, each a length, a CRC and changes; the first ones
//! are a snapshot. A record that was cut short is dropped with what follows it: nobody has seen
//! its consequences. A journal that has grown long is replaced by a snapshot in one rename.
//! There is no fsync: a crash of the host takes the domains with it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::change::Change;

const MAGIC: &str = "escalus xenstored journal 1";
/// Bytes before each record: its length and its CRC.
const RECORD_HEADER: usize = 8;
/// A journal shorter than this is never replaced, in bytes.
const WORTH_REPLACING: u64 = 1 << 20;

/// The journal of a running daemon.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    header: String,
    /// None: the last attempt to write failed, and a snapshot has to be taken.
    file: Option<File>,
    len: u64,
    snapshot_len: u64,
}

impl Journal {
    /// Opens the journal at `path` of the boot `boot_id`. Answers it with the changes to go on
    /// from, or none if there is nothing to go on from. Call [`Journal::replace`] before
    /// anything is added.
    pub fn open(path: &Path, boot_id: &str) -> io::Result<(Self, Option<Vec<Change>>)> {
        let header = format!("{MAGIC}\n{boot_id}\n");
        let changes = match fs::read(path) {
            Ok(bytes) => bytes.strip_prefix(header.as_bytes()).map(read_records),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let journal = Self { path: path.to_owned(), header, file: None, len: 0, snapshot_len: 0 };
        Ok((journal, changes))
    }

    /// Adds one record. After a failure nothing is added until [`Journal::replace`] succeeds.
    pub fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("waits for a snapshot"));
        };
        let record = record(changes);
        // One write: a record is whole, or it is the last one.
        if let Err(error) = file.write_all(&record) {
            self.file = None;
            return Err(error);
        }
        self.len += record.len() as u64;
        Ok(())
    }

    /// Is it so long that a snapshot is worth its while, or does it need one?
    pub fn wants_snapshot(&self) -> bool {
        self.file.is_none() || self.len > WORTH_REPLACING.max(4 * self.snapshot_len)
    }

    /// Puts a snapshot in the place of everything so far.
    pub fn replace(&mut self, snapshot: &[Change]) -> io::Result<()> {
        let next = self.path.with_extension("new");
        let mut file = File::create(&next)?;
        let bytes = [self.header.as_bytes(), &record(snapshot)].concat();
        file.write_all(&bytes)?;
        fs::rename(&next, &self.path)?;
        self.file = Some(file);
        self.len = bytes.len() as u64;
        self.snapshot_len = self.len;
        Ok(())
    }
}

fn record(changes: &[Change]) -> Vec<u8> {
    let mut bytes = vec![0; RECORD_HEADER];
    changes.iter().for_each(|change| change.encode(&mut bytes));
    let body = &bytes[RECORD_HEADER..];
    let (len, crc) = ((body.len() as u32).to_le_bytes(), crc32fast::hash(body).to_le_bytes());
    bytes[..4].copy_from_slice(&len);
    bytes[4..RECORD_HEADER].copy_from_slice(&crc);
    bytes
}

fn read_records(mut bytes: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some((mut body, rest)) = next_record(bytes) {
        changes.extend(std::iter::from_fn(|| Change::decode(&mut body)));
        bytes = rest;
    }
    changes
}

/// The body of the first record and what follows it; `None` if it isn't whole.
fn next_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, bytes) = bytes.split_first_chunk()?;
    let (crc, bytes) = bytes.split_first_chunk()?;
    let (body, rest) = bytes.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    (crc32fast::hash(body) == u32::from_le_bytes(*crc)).then_some((body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(numbers: std::ops::Range<u16>) -> Vec<Change> {
        numbers.map(Change::Released).collect()
    }

    fn reopen(path: &Path) -> Option<Vec<Change>> {
        Journal::open(path, "boot 1").unwrap().1
    }

    #[test]
    fn what_was_added_is_found_again_in_this_boot_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, found) = Journal::open(&path, "boot 1").unwrap();
        assert_eq!(found, None);
        assert!(journal.append(&changes(0..1)).is_err());
        journal.replace(&changes(0..3)).unwrap();
        journal.append(&changes(3..5)).unwrap();
        journal.append(&changes(5..6)).unwrap();
        assert_eq!(reopen(&path), Some(changes(0..6)));
        assert_eq!(Journal::open(&path, "boot 2").unwrap().1, None);
    }

    #[test]
    fn a_record_cut_anywhere_is_dropped_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path, "boot 1").unwrap();
        journal.replace(&changes(0..2)).unwrap();
        let kept = fs::read(&path).unwrap().len();
        journal.append(&changes(2..6)).unwrap();
        let whole = fs::read(&path).unwrap();
        for len in kept..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(reopen(&path), Some(changes(0..2)), "{len}");
        }
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        fs::write(&path, &wrong).unwrap();
        assert_eq!(reopen(&path), Some(changes(0..2)));
    }

    #[test]
    fn it_asks_for_a_snapshot_when_it_has_grown() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(&folder.path().join("journal"), "boot").unwrap();
        assert!(journal.wants_snapshot());
        journal.replace(&changes(0..1)).unwrap();
        assert!(!journal.wants_snapshot());
        while !journal.wants_snapshot() {
            journal.append(&changes(0..30_000)).unwrap();
        }
        assert!(journal.len > WORTH_REPLACING);
        journal.replace(&changes(0..1)).unwrap();
        assert!(!journal.wants_snapshot());
    }
}
