//! Kernels and ramdisks as files: a ramdisk is never looked into, and read only when it goes to
//! its domain.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{ELF, Kernel, MAX_KERNEL};
use crate::error::Error;

/// Opens a file that is one; its length.
fn open(path: &Path) -> io::Result<(File, u64)> {
    // Asked before opening: that would wait at a pipe with no other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_KERNEL + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KERNEL {
        return Err(io::Error::other("larger than 256 MiB"));
    }
    Ok(bytes)
}

impl Kernel<'static> {
    /// Reads a kernel from a file; `unpack` is given one that isn't an ELF image yet.
    pub fn load(
        path: &Path,
        unpack: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, String>,
    ) -> Result<Self, Error> {
        let file = read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let elf = if file.starts_with(ELF) { Ok(file) } else { unpack(file) };
        let kernel = elf.and_then(Self::parse);
        kernel.map_err(|reason| Error::Kernel { path: path.to_owned(), reason })
    }
}

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
        match open(&path) {
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
