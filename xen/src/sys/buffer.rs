//! Memory that a hypercall may use: it stays where it is while the hypervisor looks at it.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use nix::libc;

use super::{Error, Result};
use crate::abi::{PAGE_SIZE, Plain};

/// Pages of `/dev/xen/hypercall`, which the kernel neither moves nor copies on write.
pub(crate) struct Buffer {
    start: NonNull<u8>,
    len: usize,
}

impl Buffer {
    /// At least `len` zero bytes.
    pub(crate) fn new(device: BorrowedFd<'_>, len: usize) -> Result<Self> {
        let len = len.max(1).next_multiple_of(PAGE_SIZE);
        // SAFETY: a fresh mapping of a device that allocates pages for it.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                device.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Error::last("get memory for a hypercall"));
        }
        let start = NonNull::new(start.cast()).expect("a mapping is never at address 0");
        Ok(Self { start, len })
    }

    /// The address to give to the hypervisor.
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// Copies values in. Panics if they don't fit.
    pub(crate) fn write<T: Plain>(&mut self, values: &[T]) {
        assert!(size_of_val(values) <= self.len);
        // SAFETY: the pages are ours, aligned, and large enough.
        unsafe {
            std::ptr::copy_nonoverlapping(
                values.as_ptr(),
                self.start.as_ptr().cast(),
                values.len(),
            );
        }
    }

    /// Copies `count` values out. Panics if there aren't as many.
    pub(crate) fn read<T: Plain>(&self, count: usize) -> Vec<T> {
        assert!(count * size_of::<T>() <= self.len);
        let first: *const T = self.start.as_ptr().cast();
        // SAFETY: in the pages, aligned, and any bytes are a value of T.
        (0..count).map(|i| unsafe { first.add(i).read_volatile() }).collect()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: mapped by new(), and nobody else's.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
