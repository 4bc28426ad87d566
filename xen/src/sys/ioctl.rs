//! The one place where ioctls are issued. Numbers as in Linux's
//! xen/{privcmd,evtchn,gntdev,gntalloc}.h.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// Opens a device to read and write; an error names it.
pub(crate) fn open(path: &str) -> io::Result<File> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

/// `_IOC(_IOC_NONE, kind, number, size)`
pub(crate) const fn request(kind: u8, number: u8, size: usize) -> u64 {
    (size as u64) << 16 | (kind as u64) << 8 | number as u64
}

/// Issues a request whose argument is a structure; the result is the kernel's, or -1.
///
/// # Safety
/// `request` must be one that reads and writes exactly a `T` there, and addresses inside `T` must
/// be valid for what the request does with them.
pub(crate) unsafe fn ioctl<T>(fd: BorrowedFd<'_>, request: u64, argument: &mut T) -> i64 {
    // SAFETY: the caller vouches for the request; the reference is valid for the call.
    i64::from(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) })
}
