//! What each processor has for itself: one area, aligned to its size, so that the stack pointer
//! tells whose it is. Its data is at the start, the stack at the end.
//!
//! ```text
//! 0      Processor         20 KiB  debug stack's end     36 KiB  machine check's
//! ...                      28 KiB  NMI's                 48 KiB  double fault's    128 KiB  stack's
//! ```

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use spin::Once;

use super::boot;
use super::descriptors::Descriptors;
use super::memory;
use crate::frames;
use crate::vcpu::Own;

/// Size and alignment of an area in bytes.
pub const AREA: u64 = 128 << 10;
/// Where the stacks of exceptions that may come at any moment end: debug, NMI, machine check,
/// double fault. The first is entry 1 of the task state segment's interrupt stack table.
pub const EXCEPTION_STACKS: [u64; 4] = [20 << 10, 28 << 10, 36 << 10, 48 << 10];
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
    /// How often all translations were forgotten here.
    pub flushes: AtomicU64,
    /// Something arrived here that is to be acted on before a guest goes on.
    pub arrived: AtomicBool,
}

/// Places of its fields that the entry code knows.
pub const LOADED: usize = core::mem::offset_of!(Processor, loaded);
/// As above.
pub const ARRIVED: usize = core::mem::offset_of!(Processor, arrived);

static ALL: [Once<&'static Processor>; MAX] = [const { Once::new() }; MAX];

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
            flushes: AtomicU64::new(0),
            arrived: AtomicBool::new(false),
        });
        &*place
    };
    ALL[number].call_once(|| processor);
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
    ALL.iter().filter_map(|processor| processor.get().copied())
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

    /// Says which vcpu runs here from now on.
    pub fn set_running(&self, own: *mut Own) {
        self.running.store(own, Ordering::Relaxed);
    }

    /// Loads page tables: the physical address of a complete table of level 4.
    pub fn load(&self, cr3: u64) {
        self.loaded.store(cr3, Ordering::Relaxed);
        memory::load(cr3);
    }

    /// Forgets all translations, the global ones too.
    pub fn flush(&self) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        memory::flush_all();
    }
}
