//! A log file that does not grow without bound: at its limit it becomes `FILE.1`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A log with a limit.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Log {
    /// Opens a log, going on where it ended; its folder is made if it is missing. A `limit` of
    /// 0 bytes means none.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append_to(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, limit })
    }

    /// Opens the file again, which somebody may have moved away, with a limit that may be new.
    pub fn reopen(&mut self, limit: u64) -> io::Result<()> {
        *self = Self::open(&self.path, limit)?;
        Ok(())
    }

    /// Appends bytes; at the limit the file is put aside first, replacing the one before.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.limit != 0 && self.size > 0 && self.size + bytes.len() as u64 > self.limit {
            self.rotate()?;
        }
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        std::fs::rename(&self.path, self.aside())?;
        self.file = append_to(&self.path)?;
        self.size = 0;
        Ok(())
    }

    fn aside(&self) -> PathBuf {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        aside.into()
    }

    /// The last `count` bytes written, across the file that was put aside; fewer if there are
    /// no more.
    pub fn tail(&self, count: usize) -> io::Result<Vec<u8>> {
        let recent = last_bytes(&self.path, count)?;
        let mut tail = match last_bytes(&self.aside(), count - recent.len()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            older => older?,
        };
        tail.extend(recent);
        Ok(tail)
    }
}

/// What a guest prints may be meant for its administrator alone.
fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn last_bytes(path: &Path, count: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(count as u64)))?;
    let mut bytes = Vec::new();
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The part of a guest's log name that comes from its own name, which may hold anything.
pub fn safe_name(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().take(100).map(keep).collect();
    name.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_limit_holds_and_nothing_recent_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/guest-a.log");
        let mut log = Log::open(&path, 10).unwrap();
        for line in [b"12345\n", b"abcde\n", b"fghij\n"] {
            log.write(line).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"fghij\n");
        assert_eq!(std::fs::read(path.with_extension("log.1")).unwrap(), b"abcde\n");
        drop(log);
        Log::open(&path, 100).unwrap().write(b"again\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"fghij\nagain\n");
    }

    #[test]
    fn a_log_that_was_moved_away_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest-a.log");
        let mut log = Log::open(&path, 0).unwrap();
        log.write(b"before\n").unwrap();
        std::fs::rename(&path, folder.path().join("archive")).unwrap();
        log.reopen(0).unwrap();
        log.write(b"after\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"after\n");
        assert_eq!(std::fs::read(folder.path().join("archive")).unwrap(), b"before\n");
    }

    #[test]
    fn a_guest_can_not_name_another_file() {
        assert_eq!(safe_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(safe_name("ro sa/line\n"), "ro_sa_line_");
    }

    proptest! {
        #[test]
        fn two_files_hold_the_most_recent_bytes(
            limit in 1_u64..200,
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 1..20),
            count in 0_usize..300,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.log");
            let mut written = Vec::new();
            for piece in pieces {
                // Each time as after a SIGKILL.
                Log::open(&path, limit).unwrap().write(&piece).unwrap();
                written.extend(&piece);
                prop_assert!(std::fs::metadata(&path).unwrap().len() <= limit.max(piece.len() as u64));
            }
            let tail = Log::open(&path, limit).unwrap().tail(count).unwrap();
            prop_assert!(written.ends_with(&tail));
            let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len() as usize);
            let kept = size(&path) + size(&path.with_extension("log.1"));
            prop_assert_eq!(tail.len(), kept.min(count));
            // Whatever goes, the file put aside and the piece that had no room fill the limit.
            prop_assert!(kept as u64 > limit || kept == written.len());
        }
    }
}
