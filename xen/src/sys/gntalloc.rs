//! `/dev/xen/gntalloc`: pages of this domain that another one may use.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::ioctl::{ioctl, open, request};
use super::{DomId, Error, Mapping, Result};
use crate::abi::PAGE_SIZE;

#[repr(C)]
struct AllocGref {
    domid: DomId,
    flags: u16,
    count: u32,
    index: u64,
    gref: u32,
}

#[repr(C)]
struct DeallocGref {
    index: u64,
    count: u32,
}

const ALLOC_GREF: u64 = request(b'G', 5, size_of::<AllocGref>());
const DEALLOC_GREF: u64 = request(b'G', 6, size_of::<DeallocGref>());
const WRITABLE: u16 = 1;

/// The device that makes pages and grants them.
#[derive(Debug)]
pub struct Gntalloc {
    device: File,
}

impl Gntalloc {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        Ok(Self { device: open("/dev/xen/gntalloc")? })
    }

    /// A zero page that `domid` may map and write to, and its grant's number. When the mapping is
    /// dropped the grant ends, or as soon as nobody uses it.
    pub fn grant(&self, domid: DomId) -> Result<(u32, Mapping)> {
        let doing = || format!("grant a page to domain {domid}");
        let mut alloc = AllocGref { domid, flags: WRITABLE, count: 1, index: 0, gref: 0 };
        // SAFETY: the request's structure, for one page.
        if unsafe { ioctl(self.device.as_fd(), ALLOC_GREF, &mut alloc) } < 0 {
            return Err(Error::last(doing()));
        }
        let device = self.device.try_clone().ok();
        let undo = move || {
            let mut dealloc = DeallocGref { index: alloc.index, count: 1 };
            if let Some(device) = device {
                // SAFETY: the request's structure; the page is unmapped by now.
                unsafe { ioctl(device.as_fd(), DEALLOC_GREF, &mut dealloc) };
            }
        };
        match Mapping::of(self.device.as_fd(), alloc.index, PAGE_SIZE, true, doing) {
            Ok(mapping) => Ok((alloc.gref, mapping.and_then_undo(undo))),
            Err(error) => {
                undo();
                Err(error)
            }
        }
    }
}
