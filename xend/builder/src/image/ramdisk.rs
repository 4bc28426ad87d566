//! A ramdisk: never looked into, and read only when it goes to its domain.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// An open ramdisk. The kernel unpacks it, so that it is passed on as it is.
#[derive(Debug)]
pub(crate) struct Ramdisk {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Ramdisk {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        match super::open(&path) {
            Ok((file, len)) => Ok(Self { path, file, len }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Bytes it had when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads bytes from an offset on; fails if it has become shorter.
    pub(crate) fn read(&self, part: &mut [u8], at: u64) -> Result<(), Error> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        self.file.read_exact_at(part, at).map_err(failed)
    }
}
