//! `/dev/xen/gntdev`: pages that another domain granted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::NonNull;

use nix::libc;

use super::ioctl::{ioctl, request};
use super::{DomId, Error, Mapping, Result};
use crate::abi::PAGE_SIZE;

#[repr(C)]
struct MapGrantRef {
    count: u32,
    pad: u32,
    index: u64,
    domid: u32,
    gref: u32,
}

#[repr(C)]
struct UnmapGrantRef {
    index: u64,
    count: u32,
    pad: u32,
}

const MAP_GRANT_REF: u64 = request(b'G', 0, size_of::<MapGrantRef>());
const UNMAP_GRANT_REF: u64 = request(b'G', 1, size_of::<UnmapGrantRef>());

/// The grant device.
#[derive(Debug)]
pub struct Gntdev {
    device: File,
}

impl Gntdev {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        let path = "/dev/xen/gntdev";
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        Ok(Self { device })
    }

    /// Maps one granted page.
    pub fn map(&self, domid: DomId, gref: u32, writable: bool) -> Result<Mapping> {
        let doing = || format!("map grant {gref} of domain {domid}");
        let mut map = MapGrantRef { count: 1, pad: 0, index: 0, domid: u32::from(domid), gref };
        // SAFETY: the request's structure, for one grant.
        if unsafe { ioctl(self.device.as_fd(), MAP_GRANT_REF, &mut map) } < 0 {
            return Err(Error::last(doing()));
        }
        let device = self.device.try_clone().ok();
        let undo = move || {
            let mut unmap = UnmapGrantRef { index: map.index, count: 1, pad: 0 };
            if let Some(device) = device {
                // SAFETY: the request's structure; the page is unmapped by now.
                unsafe { ioctl(device.as_fd(), UNMAP_GRANT_REF, &mut unmap) };
            }
        };
        let protection =
            if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a fresh mapping of the page that was just announced.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE_SIZE,
                protection,
                libc::MAP_SHARED,
                self.device.as_raw_fd(),
                map.index as i64,
            )
        };
        if start == libc::MAP_FAILED {
            let error = Error::last(doing());
            undo();
            return Err(error);
        }
        let start = NonNull::new(start.cast()).expect("a mapping is never at address 0");
        // SAFETY: just mapped, and nobody else knows of it.
        Ok(unsafe { Mapping::new(start, PAGE_SIZE, Some(Box::new(undo))) })
    }
}
