//! A domain: its vcpus, its memory's rules, its event channels; and the table of all domains.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};

use hypervisor::grants::Table;
use hypervisor::grants::maptrack::Maptrack;
use hypervisor::paging::Rules;
use hypervisor::paging::page::Owner;
use hypervisor::paging::shape::Shape;
use hypervisor::segments;
use spin::Once;
use xen::abi::errno::{EACCES, EEXIST, EINVAL, ENOMEM, Errno};
use xen::abi::{DOMID_FIRST_RESERVED, DomId, x86_32};

use crate::arch::memory::{self, OF_DOMAIN};
use crate::events::Channels;
use crate::frames;
use crate::granting::{GrantTable, Mappings, Shared};
use crate::host::{self, Host};
use crate::lock::Mutex;
use crate::machine_to_physical;
use crate::policy::Features;
use crate::queues::Queues;
use crate::teardown::Teardown;
use crate::vcpu::Vcpu;
use crate::watchdogs::Watchdogs;

/// The most vcpus of a domain; more need no other structure, only larger windows.
pub const MAX_VCPUS: usize = 32;
/// Event channels of a guest of 32 bits: 32 words of as many bits.
const NARROW_PORTS: usize = 32 * 32;
/// More than what a vcpu takes of the hypervisor's own memory.
const FRAMES_FOR_VCPU: u64 = 16;
/// Bytes of a vcpu's window: 16 pages for the GDT, 16 for the LDT.
const WINDOW: u64 = 32 << 12;

/// What a domain is made with.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its number; `None` is any.
    pub number: Option<DomId>,
    /// It controls the host.
    pub is_privileged: bool,
    /// Its UUID.
    pub handle: [u8; 16],
    /// How many vcpus it may have.
    pub max_vcpus: usize,
    /// How many event channels it may have.
    pub max_ports: usize,
    /// Frames of its grant table at most.
    pub max_grant_frames: usize,
    /// The highest layout of that table.
    pub grant_versions: u32,
    /// Grants of others that it may have mapped at a time.
    pub max_mappings: usize,
}

/// A domain.
pub struct Domain {
    /// Its number.
    pub number: DomId,
    /// Its place in the table, which frames name as their owner.
    pub owner: Owner,
    /// It controls the host.
    pub is_privileged: bool,
    /// Its UUID.
    pub handle: Mutex<[u8; 16]>,
    /// How many vcpus it may have.
    pub max_vcpus: usize,
    vcpus: [Once<Box<Vcpu>>; MAX_VCPUS],
    /// Frame of the page that it shares with the hypervisor.
    pub shared_info: u64,
    /// Page tables change under this lock only.
    pub tables: Mutex<()>,
    /// The table of level 3 of what is the domain's own in the hypervisor's space.
    of_domain: u64,
    /// Its event channels.
    pub channels: Mutex<Channels>,
    /// They are in queues, as its kernel asked for.
    pub has_queues: AtomicBool,
    /// The queues.
    pub queues: Mutex<Queues>,
    /// What it grants to others.
    pub grants: GrantTable,
    /// What it maps of others.
    pub mappings: Mappings,
    /// How many it may have.
    pub max_frames: AtomicU64,
    /// How many more it was promised.
    pub claim: AtomicU64,
    /// Its addresses have 32 bits.
    is_narrow: AtomicBool,
    /// What it asked the hypervisor to do for it (VMASST_TYPE_*, xen.h).
    pub assists: AtomicU64,
    /// What it may see of the processor's features.
    pub features: Mutex<Features>,
    /// How many of its vcpus poll ports.
    pub pollers: AtomicU32,
    /// How often the toolstack paused it.
    pub pauses: AtomicU32,
    /// It has crashed or ended.
    pub is_over: AtomicBool,
    /// Why (SHUTDOWN_*, sched.h).
    pub reason: AtomicU8,
    /// What ends it if it stops.
    pub watchdogs: Watchdogs,
    /// It is being destroyed.
    pub is_dying: AtomicBool,
    /// How far that is.
    pub teardown: Mutex<Teardown>,
    /// Seconds that its time of day is ahead of the host's.
    pub time_offset: AtomicI64,
}

static DOMAINS: Mutex<[Option<Arc<Domain>>; 256]> = Mutex::new([const { None }; 256]);

/// The domain with that number.
pub fn find(number: u16) -> Option<Arc<Domain>> {
    DOMAINS.lock().iter().flatten().find(|domain| domain.number == number).cloned()
}

/// The domain with that number, or with the next that there is.
pub fn find_from(number: DomId) -> Option<Arc<Domain>> {
    let domains = DOMAINS.lock();
    let found = domains.iter().flatten().filter(|domain| domain.number >= number);
    found.min_by_key(|domain| domain.number).cloned()
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

/// The number that a new domain gets if nobody asks for one: numbers come around late.
static NEXT: Mutex<DomId> = Mutex::new(1);

/// A number that no domain has.
fn free_number(domains: &[Option<Arc<Domain>>]) -> Option<DomId> {
    let is_free = |number: &DomId| !domains.iter().flatten().any(|other| other.number == *number);
    let mut next = NEXT.lock();
    let found = (*next..DOMID_FIRST_RESERVED).chain(1..*next).find(is_free)?;
    *next = if found + 1 == DOMID_FIRST_RESERVED { 1 } else { found + 1 };
    Some(found)
}

/// Takes a domain that is nothing any more out of the table. Its place is used again when nobody
/// maps any of its frames.
pub fn forget(domain: &Domain) {
    DOMAINS.lock()[usize::from(domain.owner)] = None;
}

impl Domain {
    /// Makes a domain without memory and vcpus, and adds it to the table.
    pub fn create(spec: &Spec) -> Result<Arc<Self>, Errno> {
        let mut domains = DOMAINS.lock();
        let number = match spec.number {
            Some(number) if domains.iter().flatten().any(|other| other.number == number) => {
                return Err(EEXIST);
            }
            Some(number) => number,
            None => free_number(&*domains).ok_or(ENOMEM)?,
        };
        let is_free =
            |place: &usize| domains[*place].is_none() && !host::has_frames(*place as Owner);
        let place = (0..domains.len()).find(is_free).ok_or(ENOMEM)?;
        let owner = place as Owner;
        let of_domain = frames::take().ok_or(ENOMEM)?;
        memory::clear(of_domain);
        let Some(shared_info) = frames::take_shared(owner) else {
            frames::give(of_domain);
            return Err(ENOMEM);
        };
        let domain = Arc::new(Self {
            number,
            owner,
            is_privileged: spec.is_privileged,
            handle: Mutex::new(spec.handle),
            max_vcpus: spec.max_vcpus,
            vcpus: [const { Once::new() }; MAX_VCPUS],
            shared_info,
            tables: Mutex::new(()),
            of_domain,
            channels: Mutex::new(Channels::new(spec.max_ports)),
            has_queues: AtomicBool::new(false),
            queues: Mutex::default(),
            grants: Arc::new(Mutex::new(Table::new(
                Shared(owner),
                spec.max_grant_frames,
                spec.grant_versions,
            ))),
            mappings: Mutex::new(Maptrack::new(spec.max_mappings)),
            max_frames: AtomicU64::new(0),
            claim: AtomicU64::new(0),
            is_narrow: AtomicBool::new(false),
            assists: AtomicU64::new(0),
            features: Mutex::default(),
            pollers: AtomicU32::new(0),
            pauses: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            reason: AtomicU8::new(0),
            watchdogs: Watchdogs::default(),
            is_dying: AtomicBool::new(false),
            teardown: Mutex::default(),
            time_offset: AtomicI64::new(0),
        });
        host::set_privileged(owner, spec.is_privileged);
        domains[place] = Some(domain.clone());
        Ok(domain)
    }

    /// Whether its vcpus may run.
    pub fn may_run(&self) -> bool {
        self.pauses.load(Ordering::SeqCst) == 0
            && !self.is_over.load(Ordering::SeqCst)
            && !self.is_dying.load(Ordering::SeqCst)
    }

    /// Adds a vcpu.
    pub fn add_vcpu(&self, number: usize) -> Result<&Vcpu, Errno> {
        // The rest needs two pages of the hypervisor's own memory, which can't fail then.
        if frames::free() < FRAMES_FOR_VCPU {
            return Err(ENOMEM);
        }
        memory::prepare_of_domain(self.of_domain, self.window(number)).ok_or(ENOMEM)?;
        for page in 0..32 {
            self.set_window(number, page, None);
        }
        Ok(self.vcpus[number].call_once(|| Vcpu::new(self, number)))
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
        let caching = self.is_privileged;
        Rules { machine: &Host, owner: self.owner, caching, shape: self.shape() }
    }

    /// How its page tables are put together.
    #[inline]
    pub fn shape(&self) -> Shape {
        if self.is_narrow() { Shape::Pae } else { Shape::Wide }
    }

    /// Whether its addresses have 32 bits.
    #[inline]
    pub fn is_narrow(&self) -> bool {
        self.is_narrow.load(Ordering::Relaxed)
    }

    /// Makes it a guest of 32 bits, which it remains. It has nothing yet.
    pub fn make_narrow(&self) -> Result<(), Errno> {
        machine_to_physical::prepare()?;
        // No table is checked meanwhile, and without memory there was none before.
        let _lock = self.tables.lock();
        // What it is told of the page that it shares is 32 bits wide.
        let is_low = self.shared_info < 1 << 20;
        if self.is_privileged || self.frames() != 0 || !is_low {
            return Err(EACCES);
        }
        // As many as it has bits for.
        self.channels.lock().limit(NARROW_PORTS);
        self.is_narrow.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A selector as its vcpus may have it.
    pub fn selector(&self, selector: u16) -> u16 {
        segments::selector(selector, self.shape())
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
        self.take(count, pfn, true)
    }

    /// As [`Domain::take_frames`], with whatever is in them: for who may see all of it.
    pub fn take_frames_as_they_are(&self, count: u64, pfn: Option<u64>) -> Result<u64, Errno> {
        self.take(count, pfn, false)
    }

    fn take(&self, count: u64, pfn: Option<u64>, clear: bool) -> Result<u64, Errno> {
        if !host::count_frames(self.owner, count, self.max_frames.load(Ordering::Relaxed)) {
            return Err(ENOMEM);
        }
        let Some(first) = frames::take_for_domain(count, &self.claim) else {
            host::uncount_frames(self.owner, count);
            return Err(ENOMEM);
        };
        for offset in 0..count {
            if clear {
                memory::clear(first + offset);
            }
            self.adopt(first + offset, pfn.map(|pfn| pfn.wrapping_add(offset)));
        }
        if self.takes_back(first..first + count) { Err(EINVAL) } else { Ok(first) }
    }

    /// Whether these frames were given to a domain that is being destroyed: whoever does that has
    /// passed them by, so that they go back.
    fn takes_back(&self, frames: core::ops::Range<u64>) -> bool {
        let is_dying = self.is_dying.load(Ordering::SeqCst);
        if is_dying {
            frames.for_each(|mfn| _ = self.give_back(mfn));
        }
        is_dying
    }

    /// Gives the domain runs of that many free frames, cleared, however many it has; each with the pfn
    /// of its first.
    pub fn adopt_runs(&self, runs: impl Iterator<Item = (u64, u64)>, count: u64) {
        for (first, pfn) in runs {
            host::count_frames(self.owner, count, u64::MAX);
            for offset in 0..count {
                memory::clear(first + offset);
                self.adopt(first + offset, Some(pfn.wrapping_add(offset)));
            }
            self.takes_back(first..first + count);
        }
    }

    /// How many frames it has, those included that it gave back and still maps.
    pub fn frames(&self) -> u64 {
        host::frames_of(self.owner)
    }

    /// Makes a free frame, which was counted, the domain's.
    pub fn adopt(&self, mfn: u64, pfn: Option<u64>) {
        if let Some(page) = frames::page(mfn) {
            page.allocate(self.owner);
            frames::set_pfn(mfn, pfn.unwrap_or(frames::NO_PFN));
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
        rules.put_reference(mfn);
        rules.put_reference(mfn);
        Ok(())
    }

    /// The highest pfn that the domain says it uses.
    pub fn max_pfn(&self) -> u64 {
        if self.is_narrow() {
            let place = (self.shared_info << 12) + x86_32::MAX_PFN as u64;
            let [pfn] = memory::halves(place);
            return pfn.load(Ordering::Relaxed).into();
        }
        let words = xen::abi::shared_info::MAX_PFN / 8;
        memory::word(self.shared_info, words).load(Ordering::Relaxed)
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        memory::give_of_domain(self.of_domain);
        frames::give_shared(self.shared_info);
    }
}
