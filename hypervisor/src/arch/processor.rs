//! What each processor has for itself: one area, aligned to its size, so that the stack pointer
//! tells whose it is. Its data is at the start, the stack at the end.
//!
//! ```text
//! 0      Processor         20 KiB  debug stack's end     36 KiB  machine check's
//! ...                      28 KiB  NMI's                 48 KiB  double fault's    128 KiB  stack's
//! ```

use core::arch::asm;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use hypervisor::paging::page::Owner;
use hypervisor::vectors::CALL;

use spin::Once;

use super::boot;
use super::descriptors::Descriptors;
use super::shootdown::Requests;
use super::{lapic, memory, speculation};
use crate::frames;
use crate::vcpu::{Own, Vcpu};

/// Size and alignment of an area in bytes.
pub const AREA: u64 = 128 << 10;
/// Where the stacks of exceptions that may come at any moment end: debug, NMI, machine check,
/// double fault. The first is entry 1 of the task state segment's interrupt stack table.
pub const EXCEPTION_STACKS: [u64; 4] = [20 << 10, 28 << 10, 36 << 10, 48 << 10];
/// Where the stack must not grow to: of the first processor nothing is mapped there.
pub const GUARD: u64 = EXCEPTION_STACKS[3];
/// The most processors that are used.
pub const MAX: usize = 64;

/// A processor's own data.
#[repr(C)]
pub struct Processor {
    /// Segments and the task state segment.
    pub descriptors: Descriptors,
    /// Its number, from 0.
    pub number: usize,
    /// The vcpu that runs here; null when none does.
    running: AtomicPtr<Own>,
    /// The page tables that are loaded.
    loaded: AtomicU64,
    /// Whose translations may be remembered here: a domain's place in the table, or [`NOBODY`].
    remembers: AtomicU32,
    /// As above, of the domain that is being left.
    leaves: AtomicU32,
    /// How often all translations were forgotten here.
    pub flushes: AtomicU64,
    /// What others want it to forget.
    pub requests: Requests,
    /// What is to be done before a guest goes on: [`TIMER`] and others.
    work: AtomicU32,
    /// When the timer is set to interrupt.
    pub alarm: AtomicU64,
    /// When the vcpu that runs has to let others run.
    pub slice_end: AtomicU64,
    apic_id: AtomicU32,
}

/// Places of its fields that the entry code knows.
pub const LOADED: usize = core::mem::offset_of!(Processor, loaded);
/// As above: 32 bits.
pub const WORK: usize = core::mem::offset_of!(Processor, work);

const NOBODY: u32 = u32::MAX;
/// Work: the timer's time has come.
pub const TIMER: u32 = 1 << 0;
/// Work: devices' interrupts came.
pub const DEVICES: u32 = 1 << 1;
/// Work: it has to be chosen who runs.
pub const CHOOSE: u32 = 1 << 2;

static ALL: [Once<&'static Processor>; MAX] = [const { Once::new() }; MAX];

/// How many were set up.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Sets the area of a processor up; its stack is at the end.
fn prepare(number: usize, area: *mut u8) -> &'static Processor {
    const { assert!(size_of::<Processor>() <= 12 << 10) };
    let place = area.cast::<Processor>();
    // SAFETY: the area is this processor's alone, large enough, aligned, and lives for ever.
    let processor = unsafe {
        place.write(Processor {
            number,
            descriptors: Descriptors::new(area as u64),
            running: AtomicPtr::new(core::ptr::null_mut()),
            loaded: AtomicU64::new(0),
            remembers: AtomicU32::new(NOBODY),
            leaves: AtomicU32::new(NOBODY),
            flushes: AtomicU64::new(0),
            requests: Requests::default(),
            work: AtomicU32::new(0),
            alarm: AtomicU64::new(u64::MAX),
            slice_end: AtomicU64::new(u64::MAX),
            apic_id: AtomicU32::new(0),
        });
        &*place
    };
    ALL[number].call_once(|| processor);
    COUNT.store(number + 1, Ordering::Release);
    processor
}

/// Sets the first processor up.
pub fn prepare_first() -> &'static Processor {
    prepare(0, boot::area())
}

/// Gives another processor its area; the address is its stack's end.
pub fn prepare_other(number: usize) -> Option<(&'static Processor, u64)> {
    let pages = AREA >> 12;
    let area = memory::direct(frames::take_run(pages, pages)? << 12);
    Some((prepare(number, area), area as u64 + AREA))
}

/// The processors that were set up.
pub fn all() -> impl Iterator<Item = &'static Processor> {
    ALL[..COUNT.load(Ordering::Acquire)].iter().filter_map(|processor| processor.get().copied())
}

/// All of them but this one.
#[inline]
pub fn others() -> impl Iterator<Item = &'static Processor> {
    let (own, count) = (this().number, COUNT.load(Ordering::Acquire));
    let all = if count > 1 { &ALL[..count] } else { &[] };
    all.iter()
        .filter_map(|processor| processor.get().copied())
        .filter(move |other| other.number != own)
}

/// A processor by its number.
pub fn get(number: usize) -> Option<&'static Processor> {
    ALL.get(number)?.get().copied()
}

/// The processor that this runs on.
pub fn this() -> &'static Processor {
    let stack: u64;
    // SAFETY: reads the stack pointer, nothing else.
    unsafe { asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    // SAFETY: every stack is in an area whose start `prepare` wrote before the stack was used.
    unsafe { &*((stack & !(AREA - 1)) as *const Processor) }
}

impl Processor {
    /// The end of its stack.
    pub fn stack(&self) -> u64 {
        core::ptr::from_ref(self) as u64 + AREA
    }

    /// The vcpu that runs here.
    pub fn running(&self) -> *mut Own {
        self.running.load(Ordering::Relaxed)
    }

    /// The vcpu that runs here, if this is the processor that it is asked on.
    pub fn vcpu(&self) -> Option<&Vcpu> {
        // SAFETY: it runs here until this processor chooses another, and lives as long as it runs.
        unsafe { self.running().as_ref().map(Own::vcpu) }
    }

    /// Says which vcpu runs here from now on.
    pub fn set_running(&self, own: *mut Own) {
        self.running.store(own, Ordering::Relaxed);
    }

    /// Loads other page tables of the domain that runs here: the physical address of a complete table
    /// of level 4.
    pub fn load(&self, cr3: u64) {
        self.loaded.store(cr3, Ordering::Relaxed);
        memory::load(cr3);
    }

    /// Loads page tables of a domain that did not run here, and forgets all others'.
    pub fn load_for(&self, owner: Owner, cr3: u64) {
        let before = self.remembers.load(Ordering::Relaxed);
        if before != owner.into() {
            speculation::change_domain();
        }
        self.leaves.store(before, Ordering::SeqCst);
        self.remembers.store(owner.into(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.load(cr3);
        self.flush();
        self.leaves.store(NOBODY, Ordering::SeqCst);
    }

    /// Loads the hypervisor's own page tables, and forgets all translations of domains.
    pub fn load_none(&self) {
        self.load(memory::root() << 12);
        self.flush();
        self.remembers.store(NOBODY, Ordering::SeqCst);
    }

    /// Whether translations of a domain may be remembered here.
    pub fn remembers(&self, owner: Owner) -> bool {
        let is_meant = |of: &AtomicU32| of.load(Ordering::SeqCst) == u32::from(owner);
        is_meant(&self.leaves) || is_meant(&self.remembers)
    }

    /// Whether translations of any domain may be remembered here.
    pub fn remembers_any(&self) -> bool {
        [&self.leaves, &self.remembers].iter().any(|of| of.load(Ordering::SeqCst) != NOBODY)
    }

    /// Forgets all translations, the global ones too.
    pub fn flush(&self) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        memory::flush_all();
    }

    /// The number by which messages reach it.
    pub fn apic_id(&self) -> u32 {
        self.apic_id.load(Ordering::Relaxed)
    }

    /// Says by which number messages reach it.
    pub fn set_apic_id(&self, id: u32) {
        self.apic_id.store(id, Ordering::Relaxed);
    }

    /// Whether anything is to be done before a guest goes on.
    pub fn has_work(&self) -> bool {
        self.work.load(Ordering::Relaxed) != 0
    }

    /// Takes some work, if it is there.
    pub fn take_work(&self, kind: u32) -> bool {
        self.work.load(Ordering::Relaxed) & kind != 0
            && self.work.fetch_and(!kind, Ordering::AcqRel) & kind != 0
    }

    /// Gives it work, without telling it: it is this one, or is told.
    pub fn add_work(&self, kind: u32) -> bool {
        self.work.fetch_or(kind, Ordering::AcqRel) & kind == 0
    }

    /// Has it look at what is to be done, if it is another than this.
    pub fn tell(&self) {
        if self.number != this().number {
            lapic::interrupt(self.apic_id(), CALL);
        }
    }

    /// Has it choose who runs.
    pub fn ask_to_choose(&self) {
        if self.add_work(CHOOSE) {
            self.tell();
        }
    }
}
