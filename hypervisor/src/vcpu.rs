//! A virtual processor: what only the processor that runs it touches, and what anybody may.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use hypervisor::paging::Walk;
use hypervisor::paging::entry::Entry;
use xen::abi::vcpu::TrapInfo;

use crate::arch::entry::{self, Frame, Registers};
use crate::arch::{memory, processor};
use crate::domain::Domain;

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
    /// The kernel's table of level 4.
    pub kernel_table: u64,
    /// The programs' table of level 4; 0 is none.
    pub user_table: u64,
    /// The kernel's stack, for traps from programs.
    pub kernel_sp: u64,
    /// Its segment.
    pub kernel_ss: u64,
    /// Where system calls go.
    pub syscall: Callback,
    /// Where events go.
    pub event: Callback,
    /// Where it goes when what it wants to return to can't be returned to.
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
    /// It is up.
    pub online: AtomicBool,
    /// It waits for an event.
    pub blocked: AtomicBool,
    /// When its one-shot timer fires, in nanoseconds since boot; `u64::MAX` is never.
    pub timer: AtomicU64,
    /// When it goes on even if no event came, in nanoseconds since boot; `u64::MAX` is never.
    pub poll: AtomicU64,
    /// How long it waited so far, in nanoseconds.
    pub waited: AtomicU64,
}

// SAFETY: `own` is reached by the processor that runs the vcpu only; the pointer to the domain is
// to who owns the vcpu and lives longer.
unsafe impl Sync for Vcpu {}
// SAFETY: as above.
unsafe impl Send for Vcpu {}

/// `struct vcpu_info` (xen.h), which the guest changes at any moment.
#[derive(Clone, Copy)]
pub struct Info(u64);

impl Info {
    fn byte(self, offset: u64) -> &'static AtomicU8 {
        // SAFETY: in a frame that is mapped for ever; any value is good.
        unsafe { &*memory::direct(self.0 + offset).cast() }
    }

    fn word(self, offset: u64) -> &'static AtomicU64 {
        // SAFETY: as above, and aligned: the structure is, to 8 bytes at least.
        unsafe { &*memory::direct(self.0 + offset).cast() }
    }

    /// An event waits.
    pub fn pending(self) -> &'static AtomicU8 {
        self.byte(0)
    }

    /// Events are not to be delivered.
    pub fn mask(self) -> &'static AtomicU8 {
        self.byte(1)
    }

    /// Which words of the channels' bits have one set.
    pub fn selector(self) -> &'static AtomicU64 {
        self.word(8)
    }

    /// The address of the last page fault.
    pub fn fault_address(self) -> &'static AtomicU64 {
        self.word(16)
    }

    /// A word of `struct vcpu_time_info`.
    pub fn time(self, index: u64) -> &'static AtomicU64 {
        self.word(32 + 8 * index)
    }

    /// Physical address.
    pub fn address(self) -> u64 {
        self.0
    }
}

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
            event: Callback::default(),
            failsafe: Callback::default(),
            traps: Box::new([zero; 256]),
            cr0: 0x8005_003b,
            cr4: 0,
            iopl: 0,
            debug: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
            walk: Walk::default(),
            gdt: [0; 14],
            gdt_frames: 0,
            ldt: [0; 16],
            ldt_place: (0, 0),
        };
        let mut vcpu = Box::new(Self {
            number,
            domain,
            own: UnsafeCell::new(own),
            info: AtomicU64::new(own_info(domain, number)),
            is_initialised: AtomicBool::new(false),
            online: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            timer: AtomicU64::new(u64::MAX),
            poll: AtomicU64::new(u64::MAX),
            waited: AtomicU64::new(0),
        });
        let address = core::ptr::from_ref(&*vcpu);
        vcpu.own.get_mut().vcpu = address;
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

    /// How long it ran, in nanoseconds: always, but for when it waited.
    pub fn run_time(&self) -> u64 {
        crate::time::now().saturating_sub(self.waited.load(Ordering::Relaxed))
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

    /// A pointer to it.
    pub fn own_pointer(&self) -> *mut Own {
        self.own.get()
    }
}

impl Vcpu {
    /// Runs it on this processor.
    pub fn enter(&self) -> ! {
        let processor = processor::this();
        // SAFETY: it runs nowhere yet.
        let own = unsafe { self.own() };
        own.frame.stack = processor.stack();
        processor.descriptors.set_trap_stack(own.frame.end());
        entry::set_syscall_stack(processor.number, own.frame.end());
        let domain = self.domain();
        let page = memory::physical(processor.descriptors.page()) >> 12;
        domain.set_window(self.number, 14, Some(page));
        processor.set_running(self.own_pointer());
        let table = if own.in_kernel { own.kernel_table } else { own.user_table };
        processor.load(table << 12);
        processor.descriptors.use_window(domain.window(self.number));
        crate::time::show_clock(self);
        entry::leave(&raw mut own.frame.registers)
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
            Self { vcpu: &*own.vcpu, own }
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
