//! Unpacked kernels on disk, by the digest of what they were unpacked from: to unpack Debian's takes
//! seconds, and most guests of a host have the same one. A file that hasn't changed since it was read
//! isn't even read again.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use nix::sys::memfd::{MFdFlags, memfd_create};
use sha2::{Digest, Sha256};

/// Where xend keeps them.
pub const DIR: &str = "/var/lib/xend/kernels";
/// So many are kept: those that were used last.
const MOST: usize = 4;
/// Of so many files is known what they were.
const MOST_KNOWN: usize = 64;
/// What a file is called while it is written.
const UNFINISHED: &str = "new";
/// A file that was changed so shortly before it was read may be changed again in the same tick.
const TICK: Duration = Duration::from_secs(2);

/// A folder of unpacked kernels. Whatever is wrong with it, kernels are unpacked all the same.
#[derive(Debug)]
pub struct Kernels {
    folder: PathBuf,
    /// Where those are kept that came of files. Held by who unpacks: others may wait for just that
    /// kernel.
    known: Mutex<HashMap<Stamp, PathBuf>>,
}

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Nothing if the file is too young for that.
    fn of(file: &Metadata) -> Option<Self> {
        let changed = (file.ctime(), file.ctime_nsec());
        let since = Duration::new(changed.0.try_into().ok()?, changed.1.try_into().ok()?);
        let is_old = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since).ok()? > TICK;
        is_old.then(|| Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed,
        })
    }
}

impl Kernels {
    /// Keeps them in that folder, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), known: Mutex::default() }
    }

    /// What comes out of a file: as it was kept, or by `unpack`.
    pub fn unpacked(
        &self,
        mut packed: File,
        unpack: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, String>,
    ) -> Result<File, String> {
        let text = |error: io::Error| error.to_string();
        let metadata = packed.metadata().map_err(text)?;
        let stamp = Stamp::of(&metadata);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let path = stamp.as_ref().and_then(|stamp| known.get(stamp));
        if let Some(kept) = path.and_then(|path| open(path).ok()) {
            return Ok(kept);
        }
        let mut bytes = Vec::with_capacity(metadata.size().try_into().unwrap_or(0));
        packed.rewind().and_then(|()| packed.read_to_end(&mut bytes)).map_err(text)?;
        let path = self.folder.join(format!("{:x}", Sha256::digest(&bytes)));
        let unpacked = match open(&path) {
            Ok(kept) => kept,
            Err(_) => self.keep(&path, &unpack(bytes)?).map_err(text)?,
        };
        if let Some(stamp) = stamp {
            if known.len() == MOST_KNOWN {
                known.clear();
            }
            known.insert(stamp, path);
        }
        Ok(unpacked)
    }

    /// Writes an unpacked kernel, into memory if it can't be kept.
    fn keep(&self, path: &Path, bytes: &[u8]) -> io::Result<File> {
        match self.write(path, bytes) {
            Ok(()) => open(path),
            Err(error) => {
                let path = path.display();
                tracing::warn!("an unpacked kernel can't be kept as {path}: {error}");
                let mut file = File::from(memfd_create(UNFINISHED, MFdFlags::MFD_CLOEXEC)?);
                file.write_all(bytes)?;
                Ok(file)
            }
        }
    }

    /// A file with a digest's name is whole: it is written under another one.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
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

/// Opens a kept kernel, and has it count as used just now.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    // If it doesn't, it is only removed sooner.
    let _ =
        File::options().write(true).open(path).and_then(|it| it.set_modified(SystemTime::now()));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a packed file that contains one byte, and whether it was unpacked for that.
    fn unpack(kernels: &Kernels, packed: u8) -> (Vec<u8>, bool) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[packed]).unwrap();
        unpack_file(kernels, file)
    }

    fn unpack_file(kernels: &Kernels, file: File) -> (Vec<u8>, bool) {
        let mut is_unpacked = false;
        let unpack = |packed: Vec<u8>| {
            is_unpacked = true;
            Ok([packed, vec![0; 3]].concat())
        };
        let mut file = kernels.unpacked(file, unpack).unwrap();
        let mut unpacked = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut unpacked).unwrap();
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
        let mut third = tempfile::tempfile().unwrap();
        third.write_all(&[3]).unwrap();
        let error = kernels.unpacked(third, |_| Err("damaged".to_owned())).unwrap_err();
        assert_eq!(error, "damaged");
        assert!(unpack(&kernels, 3).1);
    }

    #[test]
    fn a_file_is_known_again_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let kernels = Kernels::new(folder.path().join("kernels"));
        // One that was not changed lately.
        let old = "/etc/passwd";
        let stamp = Stamp::of(&fs::metadata(old).unwrap()).expect("an old file");
        assert!(unpack_file(&kernels, File::open(old).unwrap()).1);
        assert!(!unpack_file(&kernels, File::open(old).unwrap()).1);
        assert!(kernels.known.lock().unwrap().contains_key(&stamp));
        // A young one may change once more without looking different.
        let young = folder.path().join("young");
        fs::write(&young, [1]).unwrap();
        assert_eq!(Stamp::of(&fs::metadata(&young).unwrap()), None);
        // One that is known, and isn't kept any more, is read again.
        fs::remove_dir_all(folder.path().join("kernels")).unwrap();
        assert!(unpack_file(&kernels, File::open(old).unwrap()).1);
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
