//! A new domain's memory: given to it, and written from outside.

use std::borrow::Cow;
use std::ops::Range;

use xen::abi::{PAGE_SHIFT, PAGE_SIZE};
use xen::sys::{DomId, Hypervisor, Mapping};

use crate::error::Error;
use crate::image::Contents;
use crate::width::Width;

/// 2 MiB at a time, as long as the hypervisor has such pieces.
const LARGE: u32 = 9;
/// Pieces asked for at once.
const AT_ONCE: usize = 1024;
/// Bytes mapped at once, whole pages.
const WINDOW: usize = 4 << 20;

/// The memory of one domain; page frame numbers count from 0.
pub(crate) struct GuestMemory<'a> {
    hypervisor: &'a Hypervisor,
    domid: DomId,
    /// Machine frame of each page, as the guest will read it: 8 bytes a page.
    p2m: Vec<u8>,
}

impl<'a> GuestMemory<'a> {
    /// Gives `total` pages to a domain. What is in them is anything: the hypervisor leaves erasing
    /// to the domain that gave them back.
    pub(crate) fn populate(
        hypervisor: &'a Hypervisor,
        domid: DomId,
        total: u64,
    ) -> Result<Self, Error> {
        let mut mfns: Vec<u64> = Vec::new();
        for order in [LARGE, 0] {
            let size = 1_u64 << order;
            while total - mfns.len() as u64 >= size {
                let next = mfns.len() as u64;
                let count = ((total - next) / size).min(AT_ONCE as u64);
                let gfns: Vec<u64> = (0..count).map(|i| next + i * size).collect();
                let given = hypervisor.populate_physmap(domid, &gfns, order)?;
                let complete = given.len() == gfns.len();
                mfns.extend(given.into_iter().flat_map(|mfn| mfn..mfn + size));
                if !complete {
                    break;
                }
            }
        }
        let got = mfns.len() as u64;
        if got < total {
            return Err(Error::NoMemory { wanted: total, got });
        }
        let mut p2m = vec![0; mfns.len() * 8];
        for (entry, mfn) in p2m.chunks_exact_mut(8).zip(mfns) {
            entry.copy_from_slice(&mfn.to_le_bytes());
        }
        Ok(Self { hypervisor, domid, p2m })
    }

    /// The machine frame of a page. Panics if there is no such page.
    pub(crate) fn mfn(&self, pfn: u64) -> u64 {
        let at = pfn as usize * 8;
        u64::from_le_bytes(self.p2m[at..at + 8].try_into().expect("8 bytes"))
    }

    /// The machine frames of all pages, as the guest will read them.
    pub(crate) fn p2m_bytes(&self, width: Width) -> Cow<'_, [u8]> {
        match width {
            Width::Bits64 => (&self.p2m).into(),
            Width::Bits32 => self.p2m.chunks_exact(8).flat_map(|mfn| &mfn[..4]).copied().collect(),
        }
    }

    /// Writes bytes at a physical address of the guest.
    pub(crate) fn write(&self, physical: u64, bytes: &[u8]) -> Result<(), Error> {
        self.windows(physical, bytes.len() as u64, |mapping, offset, range| {
            mapping.write(offset, &bytes[range.start as usize..range.end as usize]);
            Ok(())
        })
    }

    /// Writes zero bytes at a physical address of the guest.
    pub(crate) fn zero(&self, physical: u64, len: u64) -> Result<(), Error> {
        self.windows(physical, len, |mapping, offset, range| {
            mapping.zero(offset, (range.end - range.start) as usize);
            Ok(())
        })
    }

    /// Writes a part of a file at a physical address of the guest.
    pub(crate) fn copy(
        &self,
        physical: u64,
        from: &Contents,
        part: Range<u64>,
    ) -> Result<(), Error> {
        self.windows(physical, part.end - part.start, |mapping, offset, range| {
            let len = (range.end - range.start) as usize;
            let read = mapping.read_file(offset, len, from.file(), part.start + range.start);
            read.map_err(|error| from.failed(error))
        })
    }

    /// Maps `len` bytes at a physical address, a window at a time. `fill` writes a range of them
    /// at an offset of a mapping.
    fn windows(
        &self,
        physical: u64,
        len: u64,
        mut fill: impl FnMut(&Mapping, usize, Range<u64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < len {
            let address = physical + done;
            let offset = address as usize % PAGE_SIZE;
            let end = (done + (WINDOW - offset) as u64).min(len);
            let first = address >> PAGE_SHIFT;
            let last = (physical + end - 1) >> PAGE_SHIFT;
            let mfns: Vec<u64> = (first..=last).map(|pfn| self.mfn(pfn)).collect();
            let mapping = self.hypervisor.map_foreign(self.domid, &mfns, true)?;
            fill(&mapping, offset, done..end)?;
            done = end;
        }
        Ok(())
    }
}
