//! A domain that the toolstack made gets its kernel, over hypercalls.

use std::fs::File;
use std::path::Path;

use xen::abi::PAGE_SIZE;
use xen::sys::{DomId, Hypervisor, Port};

use crate::error::Error;
use crate::image::{Contents, Kernel};
use crate::layout::Layout;
use crate::memory::GuestMemory;
use crate::width::Width;
use crate::{narrow, physical, start, tables};

/// The domain to build in, made by the toolstack: it has its vcpus and its two event channels,
/// and no memory yet.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Which domain.
    pub domid: DomId,
    /// The kernel's command line.
    pub cmdline: String,
    /// How many pages it gets.
    pub memory_pages: u64,
    /// Its end of the store's event channel.
    pub store_evtchn: Port,
    /// Its end of the console's event channel.
    pub console_evtchn: Port,
}

/// What the toolstack has to know of a built domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Machine frame of the store's ring.
    pub store_mfn: u64,
    /// Machine frame of the console's ring.
    pub console_mfn: u64,
}

/// A kernel, read and checked, and its ramdisk.
#[derive(Debug)]
pub struct Guest {
    kernel: Kernel<Contents>,
    ramdisk: Option<Contents>,
}

impl Guest {
    /// Opens the kernel and the ramdisk. A kernel that is packed goes through `unpack`, which gives a
    /// file with what [`crate::unpack`] makes of it. Nothing is asked of the hypervisor.
    pub fn load(
        kernel: &Path,
        ramdisk: Option<&Path>,
        unpack: impl FnOnce(File) -> Result<File, String>,
    ) -> Result<Self, Error> {
        let kernel = Kernel::open(kernel, unpack)?;
        let ramdisk = ramdisk.map(Contents::open).transpose()?;
        Ok(Self { kernel, ramdisk })
    }

    /// How wide the kernel's addresses are.
    pub fn width(&self) -> Width {
        self.kernel.needs.width
    }

    /// Where everything goes in a domain of that many pages; fails if it is too small, or the
    /// command line too long.
    pub fn layout(&self, memory_pages: u64, cmdline: &str) -> Result<Layout, Error> {
        if cmdline.len() >= xen::abi::start_info::MAX_GUEST_CMDLINE {
            return Err(Error::CommandLine { len: cmdline.len() });
        }
        Layout::new(&self.kernel.needs, self.ramdisk_len(), memory_pages)
    }

    /// Builds the domain; it is left paused, as it was.
    pub fn build(&self, hypervisor: &Hypervisor, spec: &Spec) -> Result<Built, Error> {
        let layout = self.layout(spec.memory_pages, &spec.cmdline)?;
        if layout.width == Width::Bits32 {
            hypervisor.set_address_size(spec.domid, 32)?;
        }
        let memory = GuestMemory::populate(hypervisor, spec.domid, spec.memory_pages)?;
        for segment in self.kernel.segments() {
            let len = segment.image.end - segment.image.start;
            memory.copy(segment.physical, self.kernel.contents(), segment.image.clone())?;
            memory.zero(segment.physical + len, segment.zeros)?;
        }
        if let Some(ramdisk) = &self.ramdisk {
            memory.copy(physical(layout.ramdisk.start), ramdisk, 0..ramdisk.len())?;
        }
        memory.write(physical(layout.p2m.start), &memory.p2m_bytes(layout.width))?;
        for (pfn, table) in tables::make(&layout, |pfn| memory.mfn(pfn)) {
            memory.write(physical(pfn), &table)?;
        }
        for page in [layout.start_info, layout.store, layout.console] {
            memory.zero(physical(page), PAGE_SIZE as u64)?;
        }
        start::write_start_info(hypervisor, &memory, &layout, spec, self.ramdisk_len())?;
        start::write_shared_info(hypervisor, spec)?;
        if let Some(page) = layout.hypercall_page {
            hypervisor.hypercall_init(spec.domid, memory.mfn(page))?;
        }
        let built =
            Built { store_mfn: memory.mfn(layout.store), console_mfn: memory.mfn(layout.console) };
        let top = memory.mfn(layout.tables.start);
        hypervisor.pin_table(spec.domid, top, layout.width.levels())?;
        hypervisor.seed_grants(spec.domid, built.console_mfn, built.store_mfn)?;
        match layout.width {
            Width::Bits64 => {
                let context = start::first_vcpu(&layout, top);
                hypervisor.set_vcpu_context(spec.domid, 0, &context)?;
            }
            Width::Bits32 => {
                let context = narrow::first_vcpu(&layout, top);
                hypervisor.set_vcpu_context(spec.domid, 0, &context)?;
            }
        }
        Ok(built)
    }

    fn ramdisk_len(&self) -> u64 {
        self.ramdisk.as_ref().map_or(0, Contents::len)
    }
}
