//! Kernels and ramdisks as files, read only when they go to their domain: of a kernel no more than
//! its headers and notes is looked at before, of a ramdisk nothing.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::source::{Source, cut_off};
use super::{ELF, Kernel, MAX_KERNEL};
use crate::error::Error;

/// Headers and notes are read, which no kernel has more of, in bytes.
const MOST: u64 = 1 << 20;

/// An open file that goes to a domain.
#[derive(Debug)]
pub(crate) struct Contents {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Contents {
    /// Opens a file that is one.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        // Asked before opening: that would wait at a pipe with no other end.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("not a file")));
        }
        Self::of(path, File::open(path).map_err(failed)?).map_err(failed)
    }

    fn of(path: &Path, file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, len })
    }

    /// Bytes it had when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// An error of reading it; also because it has become shorter.
    pub(crate) fn failed(&self, source: io::Error) -> Error {
        Error::Read { path: self.path.clone(), source }
    }
}

/// Whether a kernel's file isn't an ELF image yet.
pub fn is_packed(kernel: &File) -> bool {
    let mut magic = [0; ELF.len()];
    kernel.read_exact_at(&mut magic, 0).is_err() || magic != ELF
}

impl Source for Contents {
    fn bytes(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>, String> {
        self.check(range.clone())?;
        let len = range.end - range.start;
        if len > MOST {
            return Err(format!("damaged ELF file: headers or notes of {len} bytes"));
        }
        let mut bytes = vec![0; len as usize];
        let read = self.file.read_exact_at(&mut bytes, range.start);
        read.map_err(|error| error.to_string())?;
        Ok(bytes.into())
    }

    fn check(&self, range: Range<u64>) -> Result<(), String> {
        if range.start <= range.end && range.end <= self.len { Ok(()) } else { Err(cut_off()) }
    }
}

impl Kernel<Contents> {
    /// A kernel in a file; `unpack` is given one that isn't an ELF image yet, and gives a file that
    /// is.
    pub(crate) fn open(
        path: &Path,
        unpack: impl FnOnce(File) -> Result<File, String>,
    ) -> Result<Self, Error> {
        let contents = Contents::open(path)?;
        if contents.len() > MAX_KERNEL {
            return Err(contents.failed(io::Error::other("larger than 256 MiB")));
        }
        let elf = if is_packed(&contents.file) {
            unpack(contents.file)
                .and_then(|file| Contents::of(path, file).map_err(|error| error.to_string()))
        } else {
            Ok(contents)
        };
        let kernel = elf.and_then(Self::of);
        kernel.map_err(|reason| Error::Kernel { path: path.to_owned(), reason })
    }

    /// The file.
    pub(crate) fn contents(&self) -> &Contents {
        &self.source
    }
}
