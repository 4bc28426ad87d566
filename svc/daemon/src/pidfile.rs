//! A pid file that can't lie: it is locked for as long as its process lives, SIGKILL included.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::detach::Error;

#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PidFile {
    /// Locks `path` and writes this process's id into it.
    pub(crate) fn acquire(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(mut file, _)| already_running(&mut file, path))?;
        lock.set_len(0).map_err(failed)?;
        lock.rewind().map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

fn already_running(file: &mut File, path: &Path) -> Error {
    let mut pid = String::new();
    let _ = file.take(16).read_to_string(&mut pid);
    let pid = if pid.trim().is_empty() { "?" } else { pid.trim() };
    Error::AlreadyRunning { pid: pid.to_owned(), path: path.to_owned() }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_the_pid() {
        let path = std::env::temp_dir().join(format!("svc-daemon-{}.pid", std::process::id()));
        let first = PidFile::acquire(&path).unwrap();
        let error = PidFile::acquire(&path).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        drop(PidFile::acquire(&path).unwrap());
        assert!(!path.exists());
    }
}
