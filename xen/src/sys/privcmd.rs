//! `/dev/xen/privcmd`: hypercalls and mappings of other domains' pages.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::buffer::Buffer;
use super::ioctl::{ioctl, open, request};
use super::{DomId, Error, Mapping, Result};
use crate::abi::{PAGE_SIZE, Plain};

#[repr(C)]
struct HypercallRequest {
    op: u64,
    args: [u64; 5],
}

#[repr(C)]
struct MmapBatchV2 {
    num: u32,
    dom: DomId,
    pad: u16,
    addr: u64,
    arr: u64,
    err: u64,
}

const HYPERCALL: u64 = request(b'P', 0, size_of::<HypercallRequest>());
const MMAPBATCH_V2: u64 = request(b'P', 4, size_of::<MmapBatchV2>());

/// The way to the hypervisor; only the control domain has it.
#[derive(Debug)]
pub struct Privcmd {
    calls: File,
    buffers: File,
}

impl Privcmd {
    /// Opens the devices. Fails where there is no hypervisor, or without the right.
    pub fn open() -> io::Result<Self> {
        Ok(Self { calls: open("/dev/xen/privcmd")?, buffers: open("/dev/xen/hypercall")? })
    }

    /// Issues hypercall `op`. Addresses among `args` must be those of a [`Buffer`].
    pub(crate) fn hypercall(&self, doing: &str, op: u64, args: [u64; 5]) -> Result<u64> {
        let mut call = HypercallRequest { op, args };
        // SAFETY: the request's structure; memory that the hypervisor writes to is a Buffer's,
        // which callers in this module keep alive over the call.
        let result = unsafe { ioctl(self.calls.as_fd(), HYPERCALL, &mut call) };
        match u64::try_from(result) {
            Ok(value) => Ok(value),
            Err(_) => Err(Error::last(doing)),
        }
    }

    pub(crate) fn buffer(&self, len: usize) -> Result<Buffer> {
        Buffer::new(self.buffers.as_fd(), len)
    }

    /// A buffer that holds `values`.
    pub(crate) fn buffer_of<T: Plain>(&self, values: &[T]) -> Result<Buffer> {
        let mut buffer = self.buffer(size_of_val(values))?;
        buffer.write(values);
        Ok(buffer)
    }

    /// Maps frames of a domain, in the given order; fails if any of them can't be mapped.
    pub fn map_foreign(&self, domid: DomId, frames: &[u64], writable: bool) -> Result<Mapping> {
        let doing = || format!("map {} frames of domain {domid}", frames.len());
        let len = frames.len() * PAGE_SIZE;
        let mapping = Mapping::of(self.calls.as_fd(), 0, len, writable, doing)?;
        let mut errors = vec![0_i32; frames.len()];
        let mut batch = MmapBatchV2 {
            num: frames.len() as u32,
            dom: domid,
            pad: 0,
            addr: mapping.address(),
            arr: frames.as_ptr() as u64,
            err: errors.as_mut_ptr() as u64,
        };
        // SAFETY: the request's structure; both arrays have `num` elements and outlive the call.
        if unsafe { ioctl(self.calls.as_fd(), MMAPBATCH_V2, &mut batch) } < 0 {
            return Err(Error::last(doing()));
        }
        match errors.iter().find(|error| **error != 0) {
            None => Ok(mapping),
            Some(error) => Err(Error::new(doing(), Errno::from_raw(error.abs()))),
        }
    }
}
