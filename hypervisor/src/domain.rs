//! A domain: its vcpus, its memory's rules, its event channels; and the table of all domains.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hypervisor::paging::Rules;
use hypervisor::paging::page::Owner;
use spin::{Mutex, Once};
use xen::abi::errno::{EINVAL, ENOMEM, Errno};

use crate::arch::memory::{self, OF_DOMAIN};
use crate::events::Channels;
use crate::frames;
use crate::host::Host;
use crate::vcpu::Vcpu;

/// The most vcpus of a domain; more need no other structure, only larger windows.
pub const MAX_VCPUS: usize = 32;
/// Bytes of a vcpu's window: 16 pages for the GDT, 16 for the LDT.
const WINDOW: u64 = 32 << 12;

/// A domain.
pub struct Domain {
    /// Its number.
    pub number: u16,
    /// Its place in the table, which frames name as their owner.
    pub owner: Owner,
    /// It controls the host.
    pub is_privileged: bool,
    vcpus: [Once<Box<Vcpu>>; MAX_VCPUS],
    /// Frame of the page that it shares with the hypervisor.
    pub shared_info: u64,
    /// Page tables change under this lock only.
    pub tables: Mutex<()>,
    /// The table of level 3 of what is the domain's own in the hypervisor's space.
    of_domain: u64,
    /// Its event channels.
    pub channels: Mutex<Channels>,
    /// How many frames it has.
    pub frames: AtomicU64,
    /// How many it may have.
    pub max_frames: AtomicU64,
    /// What it asked the hypervisor to do for it (VMASST_TYPE_*, xen.h).
    pub assists: AtomicU64,
    /// It has crashed or ended.
    pub is_over: AtomicBool,
}

static DOMAINS: Mutex<[Option<Arc<Domain>>; 256]> = Mutex::new([const { None }; 256]);

/// The domain with that number.
pub fn find(number: u16) -> Option<Arc<Domain>> {
    DOMAINS.lock().iter().flatten().find(|domain| domain.number == number).cloned()
}

/// The domain at that place of the table.
pub fn at(owner: Owner) -> Option<Arc<Domain>> {
    DOMAINS.lock()[usize::from(owner)].clone()
}

/// Does something for every domain.
pub fn for_each(mut act: impl FnMut(&Domain)) {
    let mut owner = 0;
    loop {
        // The table is not locked meanwhile.
        let domain = DOMAINS.lock()[owner].clone();
        domain.iter().for_each(|domain| act(domain));
        owner += 1;
        if owner == 256 {
            return;
        }
    }
}

impl Domain {
    /// Makes a domain without memory and adds it to the table.
    pub fn create(number: u16, is_privileged: bool) -> Option<Arc<Self>> {
        let shared_info = crate::frames::take()?;
        let of_domain = crate::frames::take()?;
        memory::clear(shared_info);
        memory::clear(of_domain);
        let mut domains = DOMAINS.lock();
        let place = domains.iter().position(Option::is_none)?;
        let domain = Arc::new(Self {
            number,
            owner: place as Owner,
            is_privileged,
            vcpus: [const { Once::new() }; MAX_VCPUS],
            shared_info,
            tables: Mutex::new(()),
            of_domain,
            channels: Mutex::new(Channels::default()),
            frames: AtomicU64::new(0),
            max_frames: AtomicU64::new(0),
            assists: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        crate::host::set_privileged(domain.owner, is_privileged);
        crate::frames::page(shared_info)?.share(domain.owner);
        domains[place] = Some(domain.clone());
        Some(domain)
    }

    /// Adds a vcpu.
    pub fn add_vcpu(&self, number: usize) -> &Vcpu {
        self.vcpus[number].call_once(|| {
            let info = (self.shared_info << 12) + 64 * number as u64;
            Vcpu::new(self, number, info)
        })
    }

    /// A vcpu.
    pub fn vcpu(&self, number: usize) -> Option<&Vcpu> {
        self.vcpus.get(number)?.get().map(Box::as_ref)
    }

    /// All vcpus.
    pub fn vcpus(&self) -> impl Iterator<Item = &Vcpu> {
        self.vcpus.iter().filter_map(Once::get).map(Box::as_ref)
    }

    /// The rules for its page tables; the caller holds the lock.
    pub fn rules(&self) -> Rules<'static, Host> {
        Rules { machine: &Host, owner: self.owner, caching: self.is_privileged }
    }

    /// Gives a table of level 4 the hypervisor's slots.
    pub fn complete_table(&self, mfn: u64) {
        memory::complete(mfn, self.of_domain);
    }

    /// Where a vcpu's GDT is; the LDT is 64 KiB behind.
    pub fn window(&self, vcpu: usize) -> u64 {
        OF_DOMAIN + WINDOW * vcpu as u64
    }

    /// Maps a frame, or a page of zeros, in a vcpu's window; `page` 0 to 13 are the GDT's, 14 the
    /// processor's, 16 to 31 the LDT's.
    pub fn set_window(&self, vcpu: usize, page: usize, mfn: Option<u64>) {
        let address = self.window(vcpu) + ((page as u64) << 12);
        memory::map_of_domain(self.of_domain, address, mfn.unwrap_or_else(memory::zeros));
        memory::flush_one(address);
    }

    /// Whether the guest asked for an assist (VMASST_TYPE_*).
    pub fn assists(&self, kind: u32) -> bool {
        self.assists.load(Ordering::Relaxed) & 1 << kind != 0
    }

    /// Gives the domain frames in a row, cleared; `pfn` is where it wants the first.
    pub fn take_frames(&self, count: u64, pfn: Option<u64>) -> Result<u64, Errno> {
        let has = self.frames.load(Ordering::Relaxed);
        if has + count > self.max_frames.load(Ordering::Relaxed) {
            return Err(ENOMEM);
        }
        let first = frames::take_run(count, count).ok_or(ENOMEM)?;
        for offset in 0..count {
            memory::clear(first + offset);
            self.adopt(first + offset, pfn.map(|pfn| pfn + offset));
        }
        Ok(first)
    }

    /// Makes a free frame the domain's.
    pub fn adopt(&self, mfn: u64, pfn: Option<u64>) {
        if let Some(page) = frames::page(mfn) {
            page.allocate(self.owner);
            frames::set_pfn(mfn, pfn.unwrap_or(frames::NO_PFN));
            self.frames.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a frame from the domain; it is free when nothing maps it any more.
    pub fn give_back(&self, mfn: u64) -> Result<(), Errno> {
        let page = frames::page(mfn).ok_or(EINVAL)?;
        page.get(self.owner).map_err(|_| EINVAL)?;
        let rules = self.rules();
        if !page.deallocate() {
            rules.put_reference(mfn);
            return Err(EINVAL);
        }
        frames::set_pfn(mfn, frames::NO_PFN);
        self.frames.fetch_sub(1, Ordering::Relaxed);
        // A processor may remember where it was mapped, if only to be read.
        crate::host::flush(self.owner);
        rules.put_reference(mfn);
        rules.put_reference(mfn);
        Ok(())
    }

    /// The highest pfn that the domain says it uses.
    pub fn max_pfn(&self) -> u64 {
        let words = xen::abi::shared_info::MAX_PFN / 8;
        memory::word(self.shared_info, words).load(Ordering::Relaxed)
    }
}
