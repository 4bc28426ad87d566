//! Where the repository's files are, and the lock that keeps a second `svc.configd` away.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// The paths of one repository.
#[derive(Debug, Clone)]
pub struct Files {
    /// What survives a boot.
    pub persistent: PathBuf,
    /// Where its backups are, if it is backed up, and replaced by a backup when it is damaged.
    pub backups: Option<PathBuf>,
    /// What became of it, for administrators.
    pub log: PathBuf,
    /// What a boot empties.
    pub volatile: PathBuf,
    /// Where clients connect.
    pub socket: PathBuf,
    lock: PathBuf,
}

/// A file or folder can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct FileError {
    /// Which one.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

impl Files {
    /// The system's repository, below `$SVC_ROOT` if that is set.
    pub fn system() -> Self {
        Self::below(svc::root("/var/svc"), svc::root("/run/svc"), svc::repo::socket_path())
    }

    /// Those of a repository that isn't the system's, which is all in `file`. What lasts no longer
    /// than this process is beside `socket`.
    pub fn alternate(file: PathBuf, socket: PathBuf) -> Self {
        let folder = socket.parent().unwrap_or(Path::new(".")).to_owned();
        Self {
            log: folder.join("svc.configd.log"),
            backups: None,
            volatile: folder.join("nonpersist.db"),
            lock: file.clone(),
            persistent: file,
            socket,
        }
    }

    fn below(var: PathBuf, run: PathBuf, socket: PathBuf) -> Self {
        Self {
            persistent: var.join("repository.db"),
            log: var.join("log/svc.configd.log"),
            backups: Some(var),
            volatile: run.join("nonpersist.db"),
            lock: run.join("configd.lock"),
            socket,
        }
    }

    /// Makes the folders and takes the lock, which lasts as long as the returned value.
    pub fn lock(&self) -> Result<Flock<File>, FileError> {
        for file in [&self.persistent, &self.volatile] {
            let folder = file.parent().unwrap_or(Path::new("/"));
            let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
            made.map_err(FileError::at(folder))?;
        }
        let file = open_private(&self.lock)?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            let busy = io::Error::other("another svc.configd is running");
            let source = if errno == nix::Error::EWOULDBLOCK { busy } else { errno.into() };
            FileError::at(&self.lock)(source)
        })
    }

    /// The files of a repository in `folder`.
    #[cfg(test)]
    pub fn in_folder(folder: &Path) -> Self {
        Self::below(folder.to_owned(), folder.to_owned(), folder.join("sock"))
    }
}

/// `path` with `suffix` appended to its name: SQLite's `-wal` and `-shm`, our own `.damaged`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a file that nobody else may read: some properties are secrets. SQLite takes an empty one
/// for a new database, and gives what it keeps beside it the same mode.
pub fn open_private(path: &Path) -> Result<File, FileError> {
    let file = File::options().create(true).append(true).mode(0o600).open(path);
    file.map_err(FileError::at(path))
}

/// Makes what happened in the folder of `path` durable.
pub fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::at(folder))
}

/// Removes a database with what SQLite keeps beside it.
pub fn remove_database(path: &Path) -> Result<(), FileError> {
    remove_beside(path)?;
    remove_if_there(path)
}

/// Removes what SQLite keeps beside a database.
pub fn remove_beside(path: &Path) -> Result<(), FileError> {
    ["-wal", "-shm", "-journal"].iter().try_for_each(|end| remove_if_there(&with_suffix(path, end)))
}

/// Removes a file; that it isn't there is no error.
pub fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::in_folder(folder.path());
        let first = files.lock().unwrap();
        let error = files.lock().unwrap_err().to_string();
        assert!(error.contains("another svc.configd is running"), "{error}");
        drop(first);
        files.lock().unwrap();
    }
}
