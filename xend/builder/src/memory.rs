//! A new domain's memory: given to it, and written from outside.

use xen::abi::PAGE_SIZE;
use xen::sys::{DomId, Hypervisor};

use crate::error::Error;
use crate::pages;

/// 2 MiB at a time, as long as the hypervisor has such pieces.
const LARGE: u32 = 9;
/// Pieces asked for at once.
const AT_ONCE: usize = 1024;
/// Pages written through one mapping.
const WINDOW: usize = 1024;

/// The memory of one domain; page frame numbers count from 0.
pub(crate) struct GuestMemory<'a> {
    hypervisor: &'a Hypervisor,
    domid: DomId,
    /// Machine frame of each page, as the guest will read it: 8 bytes a page.
    p2m: Vec<u8>,
}

impl<'a> GuestMemory<'a> {
    /// Gives `total` pages to a domain. They hold zero bytes: the hypervisor scrubs what it gives.
    pub(crate) fn populate(
        hypervisor: &'a Hypervisor,
        domid: DomId,
        total: u64,
    ) -> Result<Self, Error> {
        let mut mfns: Vec<u64> = Vec::with_capacity(total as usize);
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
        let p2m = mfns.iter().flat_map(|mfn| mfn.to_le_bytes()).collect();
        Ok(Self { hypervisor, domid, p2m })
    }

    /// The machine frame of a page. Panics if there is no such page.
    pub(crate) fn mfn(&self, pfn: u64) -> u64 {
        let at = pfn as usize * 8;
        u64::from_le_bytes(self.p2m[at..at + 8].try_into().expect("8 bytes"))
    }

    /// The machine frames of all pages, as the guest will read them.
    pub(crate) fn p2m_bytes(&self) -> &[u8] {
        &self.p2m
    }

    /// Writes bytes from the start of a page on.
    pub(crate) fn write_pages(&self, pfn: u64, bytes: &[u8]) -> Result<(), Error> {
        self.write_at((pfn, 0), bytes)
    }

    /// Writes bytes from an offset in a page on.
    pub(crate) fn write_at(
        &self,
        (mut pfn, mut offset): (u64, usize),
        mut bytes: &[u8],
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            let window = pages((offset + bytes.len()) as u64).min(WINDOW as u64);
            let mfns: Vec<u64> = (pfn..pfn + window).map(|pfn| self.mfn(pfn)).collect();
            let mapping = self.hypervisor.map_foreign(self.domid, &mfns, true)?;
            let count = bytes.len().min(window as usize * PAGE_SIZE - offset);
            mapping.write(offset, &bytes[..count]);
            bytes = &bytes[count..];
            pfn += window;
            offset = 0;
        }
        Ok(())
    }
}
