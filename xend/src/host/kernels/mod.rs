//! Unpacked kernels on disk, by the digest of what they were unpacked from: to unpack Debian's takes
//! seconds, and most guests of a host have the same one. A file that hasn't changed since it was read
//! isn't even read again. A kernel may be unpacked before anybody asks for it.

mod folder;
mod stamp;
mod turns;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nix::sys::memfd::{MFdFlags, memfd_create};
use sha2::{Digest, Sha256};

use super::priority::Thread;
use folder::Folder;
pub use stamp::{Stamp, TICK};
use turns::Turns;

/// Where xend keeps them.
pub const DIR: &str = "/var/lib/xend/kernels";
/// Of so many files is known what they were.
const MOST_KNOWN: usize = 64;

/// A folder of unpacked kernels. Whatever is wrong with it, kernels are unpacked all the same.
#[derive(Debug)]
pub struct Kernels {
    folder: Folder,
    /// Under which names those are kept that came of files.
    known: Mutex<HashMap<Stamp, String>>,
    turns: Turns,
}

impl Kernels {
    /// Keeps them in that folder, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = Folder(folder.into());
        Self { folder, known: Mutex::default(), turns: Turns::default() }
    }

    /// What comes out of a file: as it was kept, or by `unpack`. Waits for nobody who unpacks
    /// another kernel.
    pub fn unpacked(
        &self,
        packed: File,
        unpack: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, String>,
    ) -> Result<File, String> {
        let stamp = old_stamp(&packed)?;
        if let Some(kept) = self.known_as(&stamp).and_then(|name| self.folder.open(&name).ok()) {
            return Ok(kept);
        }
        let (bytes, name) = read(packed)?;
        let turn = self.turns.take(&name);
        let unpacked = match self.folder.open(&name) {
            Ok(kept) => kept,
            Err(_) => self.keep(&name, &unpack(bytes)?).map_err(text)?,
        };
        drop(turn);
        self.remember(stamp, name);
        Ok(unpacked)
    }

    /// Has what comes out of a file kept, as if it were never used, by the time that it is asked for.
    /// No other goes for that, and other threads go first until somebody asks.
    pub fn prepare(
        &self,
        packed: File,
        unpack: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, String>,
    ) -> Result<(), String> {
        let stamp = old_stamp(&packed)?;
        if self.known_as(&stamp).is_some_and(|name| self.folder.has(&name)) {
            return Ok(());
        }
        let (bytes, name) = {
            let _idle = Thread::this().idle();
            read(packed)?
        };
        // Who has the turn does it.
        let Some(turn) = self.turns.try_take(&name) else { return Ok(()) };
        if !self.folder.has(&name) {
            if !self.folder.has_room(&self.turns.names()).map_err(text)? {
                return Err("there is no room for another unpacked kernel".to_owned());
            }
            turn.unhurried(|| {
                let unpacked = unpack(bytes)?;
                self.folder.write(&name, &unpacked, SystemTime::UNIX_EPOCH).map_err(text)
            })?;
        }
        self.remember(stamp, name);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Stamp, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under which name that is kept that came of a file.
    fn known_as(&self, stamp: &Option<Stamp>) -> Option<String> {
        self.known().get(stamp.as_ref()?).cloned()
    }

    fn remember(&self, stamp: Option<Stamp>, name: String) {
        let Some(stamp) = stamp else { return };
        let mut known = self.known();
        if known.len() == MOST_KNOWN {
            known.clear();
        }
        known.insert(stamp, name);
    }

    /// Writes an unpacked kernel, into memory if it can't be kept.
    fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let room = self.folder.make_room(&self.turns.names());
        let written = room.and_then(|()| self.folder.write(name, bytes, SystemTime::now()));
        match written {
            Ok(()) => self.folder.open(name),
            Err(error) => {
                let folder = self.folder.0.display();
                tracing::warn!("an unpacked kernel can't be kept in {folder}: {error}");
                let mut file = File::from(memfd_create("kernel", MFdFlags::MFD_CLOEXEC)?);
                file.write_all(bytes)?;
                Ok(file)
            }
        }
    }
}

/// What will tell that a file hasn't changed since now; nothing if it is too young for that.
fn old_stamp(file: &File) -> Result<Option<Stamp>, String> {
    let stamp = Stamp::of(&file.metadata().map_err(text)?);
    Ok(Some(stamp).filter(Stamp::is_old))
}

/// What is in a file, and what that is kept as when it is unpacked.
fn read(mut packed: File) -> Result<(Vec<u8>, String), String> {
    let size = packed.metadata().map_err(text)?.len();
    let mut bytes = Vec::with_capacity(size.try_into().unwrap_or(0));
    packed.rewind().map_err(text)?;
    // Not what is added to it meanwhile.
    packed.take(size).read_to_end(&mut bytes).map_err(text)?;
    let name = format!("{:x}", Sha256::digest(&bytes));
    Ok((bytes, name))
}

fn text(error: io::Error) -> String {
    error.to_string()
}
