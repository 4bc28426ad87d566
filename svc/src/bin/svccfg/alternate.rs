//! Another repository than the system's: a `svc.configd` of our own serves it as long as we want.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use svc::repo::{Repo, RepoError};
use tempfile::TempDir;

use crate::session::{Error, Result, fail};

/// Names the repository that is used from the beginning, as on illumos.
const REPOSITORY: &str = "SVCCFG_REPOSITORY";
/// Names the program that serves it, as on illumos.
const SERVER: &str = "SVCCFG_CONFIGD_PATH";
const DEFAULT_SERVER: &str = "/lib/svc/bin/svc.configd";

/// How long the server may take to be there: it reads the whole file first.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one attempt to connect takes before it is looked whether the server still lives.
const PAUSE: Duration = Duration::from_millis(100);

/// A served repository. It ends with this value, or with this process.
#[derive(Debug)]
pub struct Alternate {
    file: PathBuf,
    server: Child,
    /// Where the socket is.
    _folder: TempDir,
}

/// The repository that the environment says is to be used instead of the system's.
pub fn of_environment() -> Option<PathBuf> {
    env::var_os(REPOSITORY).filter(|file| !file.is_empty()).map(PathBuf::from)
}

impl Alternate {
    /// Serves the repository in `file`, which is made if it isn't there.
    pub fn serve(file: &Path) -> Result<(Self, Repo)> {
        if same(file, &svc::root("/var/svc/repository.db")) {
            return fail(format!("{} is the system's repository.", file.display()));
        }
        let folder = tempfile::Builder::new().prefix("svccfg.").tempdir()?;
        let socket = folder.path().join("repository.sock");
        let program = env::var_os(SERVER).unwrap_or_else(|| DEFAULT_SERVER.into());
        let mut command = Command::new(&program);
        command.arg("-r").arg(file).arg("-d").arg(&socket).stdin(Stdio::piped());
        let server = command.spawn().map_err(|error| {
            Error::Failed(format!("{}: {error}", Path::new(&program).display()))
        })?;
        let mut alternate = Self { file: file.to_owned(), server, _folder: folder };
        let repo = alternate.connect(file, &socket)?;
        Ok((alternate, repo))
    }

    /// Whether it is the repository in `file`.
    pub fn is(&self, file: &Path) -> bool {
        same(&self.file, file)
    }

    fn connect(&mut self, file: &Path, socket: &Path) -> Result<Repo> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match Repo::connect_to(socket, PAUSE) {
                Err(RepoError::Connect { .. })
                    if Instant::now() < give_up && self.server.try_wait()?.is_none() => {}
                // It has said why.
                Err(_) => return fail(format!("Could not open repository {}.", file.display())),
                Ok(repo) => return Ok(repo),
            }
        }
    }
}

fn same(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).ok().is_some_and(|one| fs::canonicalize(other).ok() == Some(one))
}

impl Drop for Alternate {
    fn drop(&mut self) {
        // The end of its input is the end of the server, once all that was committed is in the file.
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}
