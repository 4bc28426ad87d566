//! Unpacked kernels on disk, by the digest of what they were unpacked from: to unpack Debian's takes
//! seconds, and most guests of a host have the same one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// Where xend keeps them.
pub const DIR: &str = "/var/lib/xend/kernels";
/// So many are kept: those that were used last.
const MOST: usize = 4;
/// What a file is called while it is written.
const UNFINISHED: &str = "new";

/// A folder of unpacked kernels. Whatever is wrong with it, kernels are unpacked all the same.
#[derive(Debug)]
pub struct Kernels {
    folder: PathBuf,
    /// Held by who unpacks: others may wait for just that kernel.
    turn: Mutex<()>,
}

impl Kernels {
    /// Keeps them in that folder, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), turn: Mutex::new(()) }
    }

    /// What comes out of `packed`: as it was kept, or by `unpack`.
    pub fn unpacked<E>(
        &self,
        packed: Vec<u8>,
        unpack: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let path = self.folder.join(format!("{:x}", Sha256::digest(&packed)));
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(kept) = read(&path) {
            return Ok(kept);
        }
        let unpacked = unpack(packed)?;
        if let Err(error) = self.keep(&path, &unpacked) {
            tracing::warn!("an unpacked kernel can't be kept as {}: {error}", path.display());
        }
        Ok(unpacked)
    }

    /// A file with a digest's name is whole: it is written under another one.
    fn keep(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        self.make_room()?;
        let new = self.folder.join(UNFINISHED);
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
            // Half of it is of no use.
            let _ = fs::remove_file(&new);
        })
    }

    /// Removes those that weren't used for the longest time.
    fn make_room(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
        kept.sort();
        let spare = (kept.len() + 1).saturating_sub(MOST);
        kept.iter().take(spare).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// Reads a file, and has it count as used just now.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    // If it doesn't, it is only removed sooner.
    let _ =
        File::options().write(true).open(path).and_then(|it| it.set_modified(SystemTime::now()));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn unpack(kernels: &Kernels, packed: u8) -> (Vec<u8>, bool) {
        let mut is_unpacked = false;
        let unpack = |packed: Vec<u8>| -> Result<_, ()> {
            is_unpacked = true;
            Ok([packed, vec![0; 3]].concat())
        };
        let unpacked = kernels.unpacked(vec![packed], unpack).unwrap();
        (unpacked, is_unpacked)
    }

    #[test]
    fn each_is_unpacked_once_while_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kernels = Kernels::new(folder.path().join("kernels"));
        assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], true));
        assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], false));
        assert_eq!(unpack(&kernels, 2), (vec![2, 0, 0, 0], true));
        // An error is kept nowhere.
        assert_eq!(kernels.unpacked(vec![3], |_| Err("damaged")), Err("damaged"));
        assert!(unpack(&kernels, 3).1);
    }

    #[test]
    fn what_was_not_used_for_long_goes() {
        let folder = tempfile::tempdir().unwrap();
        let kernels = Kernels::new(folder.path());
        for packed in 0..MOST as u8 {
            unpack(&kernels, packed);
            for entry in fs::read_dir(folder.path()).unwrap() {
                let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
                let modified = file.metadata().unwrap().modified().unwrap();
                file.set_modified(modified - Duration::from_secs(10)).unwrap();
            }
        }
        // The first was made first, but is used again.
        assert!(!unpack(&kernels, 0).1);
        assert!(unpack(&kernels, 100).1);
        assert!(!unpack(&kernels, 0).1);
        assert!(unpack(&kernels, 1).1, "more are kept than should be");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MOST);
    }

    #[test]
    fn without_a_place_for_them_they_are_unpacked_all_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let kernels = Kernels::new(file.path());
        assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], true));
        assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], true));
    }
}
