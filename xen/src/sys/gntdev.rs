//! `/dev/xen/gntdev`: pages that another domain granted, to be mapped or copied.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::ioctl::{ioctl, open, request};
use super::{DomId, Error, Mapping, Result};
use crate::abi::{PAGE_SIZE, grant};

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

/// A part of a page that is copied (`gntdev_grant_copy_segment`) from a grant to this process.
#[repr(C)]
struct CopySegment {
    gref: u32,
    offset: u16,
    domid: DomId,
    to: u64,
    len: u16,
    flags: u16,
    status: i16,
}

#[repr(C)]
struct Copy {
    count: u32,
    pad: u32,
    segments: u64,
}

const MAP_GRANT_REF: u64 = request(b'G', 0, size_of::<MapGrantRef>());
const UNMAP_GRANT_REF: u64 = request(b'G', 1, size_of::<UnmapGrantRef>());
const GRANT_COPY: u64 = request(b'G', 8, size_of::<Copy>());

/// The grant device.
#[derive(Debug)]
pub struct Gntdev {
    device: File,
}

impl Gntdev {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        Ok(Self { device: open("/dev/xen/gntdev")? })
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
        match Mapping::of(self.device.as_fd(), map.index, PAGE_SIZE, writable, doing) {
            Ok(mapping) => Ok(mapping.and_then_undo(undo)),
            Err(error) => {
                undo();
                Err(error)
            }
        }
    }

    /// Copies the beginnings of granted pages, in that order, until `bytes` is full.
    /// Panics unless there is a page's worth of bytes for each, or less for the last.
    pub fn copy(&self, domid: DomId, grefs: &[u32], bytes: &mut [u8]) -> Result<()> {
        assert_eq!(grefs.len(), bytes.len().div_ceil(PAGE_SIZE));
        let segment = |(gref, part): (&u32, &mut [u8])| CopySegment {
            gref: *gref,
            offset: 0,
            domid,
            to: part.as_mut_ptr() as u64,
            len: part.len() as u16,
            flags: grant::COPY_SOURCE_GREF,
            status: grant::OKAY,
        };
        let mut segments: Vec<_> =
            grefs.iter().zip(bytes.chunks_mut(PAGE_SIZE)).map(segment).collect();
        let doing = || format!("copy {} granted pages of domain {domid}", grefs.len());
        let count = segments.len() as u32;
        let mut copy = Copy { count, pad: 0, segments: segments.as_mut_ptr() as u64 };
        // SAFETY: the request's structure; the segments, and the bytes that they name, outlive it.
        if unsafe { ioctl(self.device.as_fd(), GRANT_COPY, &mut copy) } < 0 {
            return Err(Error::last(doing()));
        }
        match segments.iter().all(|segment| segment.status == grant::OKAY) {
            true => Ok(()),
            false => Err(Error::new(doing(), Errno::EIO)),
        }
    }
}
