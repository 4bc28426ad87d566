//! A log file that does not grow without bound: at its limit it becomes `FILE.1`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
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
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, limit })
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
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        std::fs::rename(&self.path, aside)?;
        self.file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.size = 0;
        Ok(())
    }
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
    fn a_guest_can_not_name_another_file() {
        assert_eq!(safe_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(safe_name("ro sa/line\n"), "ro_sa_line_");
    }
}
