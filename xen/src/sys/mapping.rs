//! Pages that somebody else may change at any moment: copied from and to, never borrowed.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc;

use super::{Error, Result};
use crate::abi::Plain;

/// What has to be undone after the pages are unmapped.
pub(crate) type Undo = Box<dyn FnOnce() + Send>;

/// Mapped pages of another domain.
///
/// No reference into them is ever handed out: a guest may write to them while we look.
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    undo: Option<Undo>,
}

// SAFETY: the mapping belongs to this value alone, and its bytes are only ever copied.
unsafe impl Send for Mapping {}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapping({} bytes at {:p})", self.len, self.start)
    }
}

impl Mapping {
    /// Maps `len` bytes of a device at `offset`, shared; nothing has to be undone later.
    pub(crate) fn of(
        device: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        writable: bool,
        doing: impl Fn() -> String,
    ) -> Result<Self> {
        let protection =
            if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let (flags, device) = (libc::MAP_SHARED, device.as_raw_fd());
        // SAFETY: a fresh mapping where nothing is.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, flags, device, offset as i64)
        };
        if start == libc::MAP_FAILED {
            return Err(Error::last(doing()));
        }
        let start = NonNull::new(start.cast()).expect("a mapping is never at address 0");
        Ok(Self { start, len, undo: None })
    }

    /// Has `undo` called after the bytes are unmapped.
    pub(crate) fn and_then_undo(mut self, undo: impl FnOnce() + Send + 'static) -> Self {
        self.undo = Some(Box::new(undo));
        self
    }

    /// Where the first byte is.
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// How many bytes are mapped.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of `len` bytes at `offset`; panics if they are not all inside.
    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        let end = offset.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.len), "{offset}+{len} in {} bytes", self.len);
        // SAFETY: offset is within the mapped bytes, just checked.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// Copies bytes out, each looked at once. Panics if the range is not inside.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.at(offset, bytes.len());
        for (index, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: the range is mapped. Volatile, so that the compiler never comes back for a
            // second look, when a guest may have changed what was checked at the first.
            *byte = unsafe { from.add(index).read_volatile() };
        }
    }

    /// Copies bytes in. Panics if the range is not inside.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: the range is mapped, and a slice of ours is never in it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }

    /// Fills a range with zero bytes. Panics if the range is not inside.
    pub fn zero(&self, offset: usize, len: usize) {
        let to = self.at(offset, len);
        // SAFETY: the range is mapped.
        unsafe { std::ptr::write_bytes(to, 0, len) }
    }

    /// Copies `len` bytes of a file in, from its offset `at` on. Panics if the range is not inside.
    pub fn read_file(&self, offset: usize, len: usize, file: &File, at: u64) -> io::Result<()> {
        let to = self.at(offset, len);
        let mut done = 0;
        while done < len {
            let place = at + done as u64;
            // SAFETY: the range is mapped; the kernel writes to it as any other domain may.
            let count = unsafe {
                libc::pread(file.as_raw_fd(), to.add(done).cast(), len - done, place as i64)
            };
            match count {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                1.. => done += count as usize,
                _ if Errno::last() == Errno::EINTR => (),
                _ => return Err(io::Error::last_os_error()),
            }
        }
        Ok(())
    }

    /// Copies a structure in. Panics if it doesn't fit.
    pub fn write_plain<T: Plain>(&self, offset: usize, value: &T) {
        let to = self.at(offset, size_of::<T>());
        // SAFETY: the range is mapped, and the write needs no alignment.
        unsafe { to.cast::<T>().write_unaligned(*value) }
    }

    /// Reads a shared index once, and before everything that is read after it.
    /// Panics if it isn't inside or not aligned.
    pub fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// Writes a shared index, after everything that was written before it.
    /// Panics if it isn't inside or not aligned.
    pub fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    /// Reads a shared word and puts `value` there, in one step.
    pub fn swap(&self, offset: usize, value: u32) -> u32 {
        self.word(offset).swap(value, Ordering::AcqRel)
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        let address = self.at(offset, 4);
        assert!(offset.is_multiple_of(4), "offset {offset} is not aligned");
        // SAFETY: mapped and aligned (pages are); atomics may be changed by others.
        unsafe { AtomicU32::from_ptr(address.cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `of` mapped the range, and nobody else unmaps it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        if let Some(undo) = self.undo.take() {
            undo();
        }
    }
}
