//! Where things are on the build host, and files that are made again only when their inputs change.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

/// The workspace's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder for everything that is made, `build/` (or `$ESCALUS_BUILD`).
pub fn build() -> PathBuf {
    match std::env::var_os("ESCALUS_BUILD") {
        Some(folder) => folder.into(),
        None => root().join("build"),
    }
}

/// Keeps other runs out of the build folder until it is dropped.
#[derive(Debug)]
pub struct BuildLock {
    _file: Flock<File>,
}

/// Waits for the build folder's lock.
pub fn lock() -> Result<BuildLock> {
    let build = build();
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;
    let file = File::create(build.join("lock"))?;
    let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    Ok(BuildLock { _file: lock })
}

/// Gives `build/NAME`, made by `make` (which writes the path it gets) unless it was made from the
/// same inputs before. `key` must differ when anything differs that goes into the file.
pub fn cached(name: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = build().join(name);
    let key_file = build().join(format!("{name}.key"));
    if path.exists() && fs::read_to_string(&key_file).is_ok_and(|known| known == key) {
        return Ok(path);
    }
    let new = build().join(format!("{name}.new"));
    remove(&new)?;
    make(&new).with_context(|| format!("cannot make {}", path.display()))?;
    // Without a key the file counts as missing: whoever is killed in between leaves no wrong pair.
    remove(&key_file)?;
    remove(&path)?;
    fs::rename(&new, &path)?;
    fs::write(&key_file, key)?;
    Ok(path)
}

/// A text that differs when a file was written anew: its size and when it was modified.
pub fn stamp(file: &Path) -> Result<String> {
    let data = fs::metadata(file).with_context(|| file.display().to_string())?;
    Ok(format!("{} {} {}\n", data.len(), data.mtime(), data.mtime_nsec()))
}

/// Removes a file or a folder; nothing there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    let result = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), "").unwrap();
        remove(&folder.path().join("a")).unwrap();
        remove(&folder.path().join("a")).unwrap();
        assert!(!folder.path().join("a").exists());
    }
}
