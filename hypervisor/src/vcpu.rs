//! A virtual processor: what only the processor that runs it touches, and what anybody may.

mod info;
pub mod narrow;

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use hypervisor::paging::Walk;
use hypervisor::paging::entry::Entry;
use xen::abi::vcpu::TrapInfo;

use crate::arch::entry::{Frame, Registers};
use crate::arch::gates;
use crate::arch::processor::{self, Processor};
use crate::arch::state::{self, State};
use crate::arch::{cpu, memory};
use crate::domain::Domain;
use crate::lock::Mutex;
use crate::scheduler;
pub use info::Info;
use narrow::Narrow;

/// CR0 as a guest sees it at first: protection, paging, the FPU ready to be used.
const CR0: u64 = 0x8005_0033;
/// Of CR0: the next use of the FPU traps.
pub const TASK_SWITCHED: u64 = 1 << 3;

/// Where a guest wants to be called.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Callback {
    /// The address; 0 is none.
    pub address: u64,
    /// Events are masked before it is called.
    pub masks_events: bool,
}

/// What belongs to the processor that runs the vcpu.
#[repr(C)]
pub struct Own {
    /// The registers; the entry code knows that they come first.
    pub frame: Frame,
    vcpu: *const Vcpu,
    /// It runs with the kernel's page tables; else with the programs'.
    pub in_kernel: bool,
    /// The table of level 4 that the processor uses: the kernel's, or of a guest of 32 bits the
    /// hypervisor's.
    pub kernel_table: u64,
    /// The programs' table of level 4; 0 is none.
    pub user_table: u64,
    /// The kernel's stack, for traps from programs.
    pub kernel_sp: u64,
    /// Its segment.
    pub kernel_ss: u64,
    /// Where system calls go.
    pub syscall: Callback,
    /// Where those of 32-bit programs go.
    pub syscall32: Callback,
    /// Where programs go that come by `sysenter`.
    pub sysenter: Callback,
    /// Where events go.
    pub event: Callback,
    /// Where it wants to go when its segments can't be loaded. They stay loaded.
    pub failsafe: Callback,
    /// Where exceptions go.
    pub traps: Box<[TrapInfo; 256]>,
    /// CR0 and CR4 as the guest sees them.
    pub cr0: u64,
    /// CR4 as the guest sees it.
    pub cr4: u64,
    /// The privilege level for ports, shifted as in RFLAGS.
    pub iopl: u64,
    /// Debug registers as the guest sees them.
    pub debug: [u64; 8],
    /// A table being checked or released.
    pub walk: Walk,
    /// Frames of the GDT, and how many entries it has.
    pub gdt: [u64; 14],
    /// How many of them are set.
    pub gdt_frames: usize,
    /// Frames of the LDT.
    pub ldt: [u64; 16],
    /// Where the LDT is and how many entries it has.
    pub ldt_place: (u64, u32),
    /// It handles an NMI, and gets no other before it returns.
    pub in_nmi: bool,
    /// What the processor had for it when it ran last.
    pub state: State,
    /// Of a guest of 32 bits, when it has its first registers.
    pub narrow: Option<Box<Narrow>>,
}

impl Own {
    /// The kernel's top table; 0 is none yet.
    pub fn top_table(&self) -> u64 {
        self.narrow.as_ref().map_or(self.kernel_table, |narrow| narrow.table)
    }

    /// Names another of the kernel's top tables, which is counted; the old one.
    pub fn set_top_table(&mut self, mfn: u64) -> u64 {
        match &mut self.narrow {
            Some(narrow) => narrow.set_table(mfn),
            None => core::mem::replace(&mut self.kernel_table, mfn),
        }
    }

    /// Whose own this is.
    pub fn vcpu(&self) -> &Vcpu {
        // SAFETY: the vcpu owns this.
        unsafe { &*self.vcpu }
    }
}

impl Own {
    /// Where its vcpu is named, for the entry code.
    pub const VCPU: usize = core::mem::offset_of!(Own, vcpu);
}

/// One virtual processor.
pub struct Vcpu {
    /// Its number in its domain.
    pub number: usize,
    domain: *const Domain,
    own: UnsafeCell<Own>,
    /// Physical address of its `vcpu_info`.
    info: AtomicU64,
    /// It has its first registers.
    pub is_initialised: AtomicBool,
    /// Held while somebody else than the vcpu itself reads or sets its registers, brings it up, or
    /// takes it apart.
    pub starting: Mutex<()>,
    /// It is up.
    pub online: AtomicBool,
    /// It is to get an NMI.
    pub nmi: AtomicBool,
    /// It waits for an event.
    pub blocked: AtomicBool,
    /// When its one-shot timer fires, in nanoseconds since boot; `u64::MAX` is never.
    pub timer: AtomicU64,
    /// How often its periodic timer fires, in nanoseconds; 0 is never.
    pub period: AtomicU64,
    /// When it fires next, in nanoseconds since boot.
    pub tick: AtomicU64,
    /// When it goes on even if no event came, in nanoseconds since boot; `u64::MAX` is never.
    pub poll: AtomicU64,
    /// The port whose event it goes on for, even a masked one; 0 is any, [`NO_PORT`] none.
    pub polled: AtomicU32,
    /// The time that it is to be woken at, and which processor does; the scheduler's lock guards it.
    pub kept: AtomicU64,
    /// See [`Vcpu::kept`].
    pub kept_by: AtomicUsize,
    /// Where its kernel wants to be told how long it ran and waited; 0 is nowhere.
    pub runstate: AtomicU64,
    /// The processor that it runs on; [`NOWHERE`].
    runs_on: AtomicUsize,
    /// Its place in the scheduler.
    place: usize,
}

/// No processor.
const NOWHERE: usize = usize::MAX;
/// No port is polled.
pub const NO_PORT: u32 = u32::MAX;
const VIRQ_TIMER: u32 = 0;

// SAFETY: `own` is reached by the processor that runs the vcpu only; the pointer to the domain is
// to who owns the vcpu and lives longer.
unsafe impl Sync for Vcpu {}
// SAFETY: as above.
unsafe impl Send for Vcpu {}

/// Where a vcpu's shared part is at first: in its domain's page.
fn own_info(domain: &Domain, number: usize) -> u64 {
    (domain.shared_info << 12) + 64 * number as u64
}

impl Vcpu {
    /// Places of its fields that the entry code knows.
    pub const DOMAIN: usize = core::mem::offset_of!(Vcpu, domain);
    /// As above.
    pub const INFO: usize = core::mem::offset_of!(Vcpu, info);

    /// A vcpu that waits for its first registers.
    pub fn new(domain: &Domain, number: usize) -> Box<Self> {
        let zero = TrapInfo { vector: 0, flags: 0, cs: 0, pad: 0, address: 0 };
        let own = Own {
            frame: Frame::default(),
            vcpu: core::ptr::null(),
            in_kernel: true,
            kernel_table: 0,
            user_table: 0,
            kernel_sp: 0,
            kernel_ss: 0,
            syscall: Callback::default(),
            syscall32: Callback::default(),
            sysenter: Callback::default(),
            event: Callback::default(),
            failsafe: Callback::default(),
            traps: Box::new([zero; 256]),
            cr0: CR0,
            cr4: 0,
            iopl: 0,
            debug: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
            walk: Walk::default(),
            gdt: [0; 14],
            gdt_frames: 0,
            ldt: [0; 16],
            ldt_place: (0, 0),
            in_nmi: false,
            state: State::default(),
            narrow: None,
        };
        let mut vcpu = Box::new(Self {
            number,
            domain,
            own: UnsafeCell::new(own),
            info: AtomicU64::new(own_info(domain, number)),
            is_initialised: AtomicBool::new(false),
            starting: Mutex::new(()),
            online: AtomicBool::new(false),
            nmi: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            timer: AtomicU64::new(u64::MAX),
            period: AtomicU64::new(0),
            tick: AtomicU64::new(u64::MAX),
            poll: AtomicU64::new(u64::MAX),
            polled: AtomicU32::new(NO_PORT),
            kept: AtomicU64::new(u64::MAX),
            kept_by: AtomicUsize::new(0),
            runstate: AtomicU64::new(0),
            runs_on: AtomicUsize::new(NOWHERE),
            place: 0,
        });
        let address = core::ptr::from_ref(&*vcpu);
        vcpu.own.get_mut().vcpu = address;
        vcpu.place = scheduler::add(address, vcpu.domain().owner);
        crate::time::show_clock(&vcpu);
        vcpu
    }

    /// Its domain.
    pub fn domain(&self) -> &Domain {
        // SAFETY: the domain owns its vcpus.
        unsafe { &*self.domain }
    }

    /// What it shares with the hypervisor.
    pub fn info(&self) -> Info {
        Info(self.info.load(Ordering::Acquire))
    }

    /// Moves that elsewhere, with what is in it.
    pub fn move_info(&self, to: u64) {
        let (old, new) = (self.info(), Info(to));
        for offset in (0..64).step_by(8) {
            new.word(offset).store(old.word(offset).load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.info.store(to, Ordering::Release);
    }

    /// Gives the page back that the guest had it moved to.
    pub fn take_info_back(&self) {
        let (old, own) = (self.info().0, own_info(self.domain(), self.number));
        if old != own {
            self.info.store(own, Ordering::Release);
            let flags = Entry::PRESENT | Entry::WRITABLE;
            self.domain().rules().release(Entry::new(old >> 12, flags));
        }
    }

    /// Its place in the scheduler.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Whether nothing keeps it from running.
    pub fn may_run(&self) -> bool {
        self.online.load(Ordering::SeqCst)
            && !self.blocked.load(Ordering::SeqCst)
            && self.domain().may_run()
    }

    /// Whether an event waits that it lets us deliver.
    pub fn has_event(&self) -> bool {
        let info = self.info();
        info.pending().load(Ordering::SeqCst) != 0 && info.mask().load(Ordering::SeqCst) == 0
    }

    /// Whether an NMI or an event waits, if only until it lets us deliver.
    #[inline(always)]
    pub fn has_news(&self) -> bool {
        self.nmi.load(Ordering::Relaxed) || self.info().pending().load(Ordering::SeqCst) != 0
    }

    /// The processor that it runs on.
    pub fn runs_on(&self) -> Option<usize> {
        let processor = self.runs_on.load(Ordering::SeqCst);
        (processor != NOWHERE).then_some(processor)
    }

    /// Whether it runs on this processor.
    pub fn runs_here(&self) -> bool {
        self.runs_on() == Some(processor::this().number)
    }

    /// It waits for a port to be raised, even a masked one; port 0 is any. Whoever raises one sees it.
    pub fn start_polling(&self, port: u32) {
        self.polled.store(port, Ordering::SeqCst);
        self.domain().pollers.fetch_add(1, Ordering::SeqCst);
        self.blocked.store(true, Ordering::SeqCst);
    }

    /// It waits for nothing any more.
    pub fn end_polling(&self) {
        self.poll.store(u64::MAX, Ordering::Relaxed);
        if self.polled.swap(NO_PORT, Ordering::SeqCst) != NO_PORT {
            self.domain().pollers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// How long it ran so far, in nanoseconds.
    pub fn run_time(&self) -> u64 {
        scheduler::account(self).times[0]
    }

    /// When something is due, in nanoseconds since boot. Only one that runs has its periodic timer
    /// fire.
    pub fn next_time(&self, runs: bool) -> u64 {
        let tick = if runs { self.tick.load(Ordering::Relaxed) } else { u64::MAX };
        let next = self.timer.load(Ordering::Relaxed).min(tick);
        next.min(self.poll.load(Ordering::Relaxed))
    }

    /// Does what is due.
    pub fn expire(&self, now: u64) {
        let is_due = |time: &AtomicU64, next: u64| {
            let due = time.load(Ordering::Relaxed);
            let take = |due| time.compare_exchange(due, next, Ordering::AcqRel, Ordering::Relaxed);
            due <= now && take(due).is_ok()
        };
        let period = self.period.load(Ordering::Relaxed);
        let tick = self.tick.load(Ordering::Relaxed);
        let next = match period {
            0 => u64::MAX,
            _ => now + period - now.saturating_sub(tick) % period,
        };
        if is_due(&self.timer, u64::MAX) | (self.runs_here() && is_due(&self.tick, next)) {
            self.raise_virq(VIRQ_TIMER);
        }
        if is_due(&self.poll, u64::MAX) {
            scheduler::wake(self);
        }
    }

    /// What is the processor's that runs it.
    ///
    /// # Safety
    /// The vcpu doesn't run, or runs here and nobody else holds this.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn own(&self) -> &mut Own {
        // SAFETY: the caller says so.
        unsafe { &mut *self.own.get() }
    }

    /// Its registers when it last entered the hypervisor; they may be half changed, if it runs.
    pub fn last_registers(&self) -> Registers {
        // SAFETY: numbers that are only shown; they are read from memory that lives as long.
        unsafe { (&raw const (*self.own.get()).frame.registers).read_volatile() }
    }

    /// A pointer to it.
    pub fn own_pointer(&self) -> *mut Own {
        self.own.get()
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        scheduler::remove(self);
    }
}

/// On and off a processor.
impl Vcpu {
    /// Has this processor use its page tables; it runs nowhere yet.
    pub fn load_tables(&self, processor: &Processor) {
        self.runs_on.store(processor.number, Ordering::SeqCst);
        processor.set_running(self.own_pointer());
        // SAFETY: the scheduler chose it for this processor, so that it is this processor's.
        let own = unsafe { self.own() };
        let domain = self.domain();
        let page = memory::physical(processor.descriptors.page()) >> 12;
        domain.set_window(self.number, 14, Some(page));
        processor.load_for(domain.owner, own.kernel_table << 12);
    }

    /// Has this processor, which uses its page tables, go on with it.
    pub fn load(&'static self) -> Guest<'static> {
        let processor = processor::this();
        // SAFETY: the scheduler chose it for this processor.
        let mut guest = unsafe { Guest::new(self) };
        let own = &mut *guest.own;
        own.frame.stack = processor.stack();
        processor.descriptors.set_trap_stack(own.frame.end());
        gates::set_stack(processor.number, own.frame.end());
        let window = self.domain().window(self.number);
        processor.descriptors.use_window(window);
        processor.descriptors.set_flat(own.narrow.is_some());
        processor.descriptors.load_ldt(window + (16 << 12), own.ldt_place.1);
        // Bases of segments are in descriptors, as long as these have all of them.
        let good = own.state.load(own.narrow.is_none());
        cpu::set_task_switched(own.cr0 & TASK_SWITCHED != 0);
        if state::watches(&own.debug) {
            state::load_debug(&own.debug);
        }
        guest.show_runstate();
        if !guest.own.in_kernel {
            processor.load(guest.own.user_table << 12);
        }
        if !good {
            let selectors = guest.own.state.selectors.map(u64::from);
            let to = guest.own.failsafe;
            guest.call(to, selectors);
        }
        guest
    }

    /// Saves what this processor, where it ran, has of it.
    pub fn save(&self) {
        let processor = processor::this();
        // SAFETY: it runs here, and the hypervisor works for it no more.
        let own = unsafe { self.own() };
        own.state.save();
        if state::watches(&own.debug) {
            state::load_debug(&[0; 8]);
        }
        processor.descriptors.use_own();
        processor.set_running(core::ptr::null_mut());
        self.runs_on.store(NOWHERE, Ordering::SeqCst);
    }
}

/// The vcpu that runs on this processor, while the hypervisor works for it.
pub struct Guest<'a> {
    /// Shared with others.
    pub vcpu: &'a Vcpu,
    /// Its own.
    pub own: &'a mut Own,
}

impl<'a> Guest<'a> {
    /// A vcpu that this processor goes on with.
    ///
    /// # Safety
    /// It was chosen for this processor, and nobody else uses what is its own.
    pub unsafe fn new(vcpu: &'a Vcpu) -> Self {
        // SAFETY: the caller says so.
        Self { vcpu, own: unsafe { vcpu.own() } }
    }

    /// Whose registers these are.
    ///
    /// # Safety
    /// They were pushed by the entry code just now.
    pub unsafe fn of(registers: *mut Registers) -> Self {
        let offset = core::mem::offset_of!(Own, frame) + core::mem::offset_of!(Frame, registers);
        // SAFETY: the entry code pushes into a vcpu's `Own`, which is this processor's while the
        // vcpu runs here; the vcpu lives as long as it is current.
        unsafe {
            let own = &mut *registers.byte_sub(offset).cast::<Own>();
            Self { vcpu: &*core::ptr::from_ref(own.vcpu()), own }
        }
    }

    /// Its domain.
    pub fn domain(&self) -> &'a Domain {
        self.vcpu.domain()
    }

    /// Its registers.
    pub fn registers(&mut self) -> &mut Registers {
        &mut self.own.frame.registers
    }
}
