//! What a vcpu has in a processor beside its general registers and page tables: segments and their
//! bases, the FPU's state, debug registers. It is saved when another vcpu runs next, or none.

use alloc::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{copy, cpu};

/// Model-specific registers of bases (AMD64 Architecture Programmer's Manual, volume 2, section
/// 4.5.3).
const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
const OTHER_GS_BASE: u32 = 0xc000_0102;

/// CPUID leaf 1, ECX: there are XSAVE and its relatives.
const HAS_XSAVE: u32 = 1 << 26;
const OSXSAVE: u64 = 1 << 18;
/// The state that guests may use: x87, SSE, AVX, the three of AVX-512 (Intel SDM, volume 1, section
/// 13.1).
const COMPONENTS: u64 = 0xe7;
/// x87 and SSE, which are always there.
const LEGACY: u64 = 3;
/// Where the saved state has the x87 control word and MXCSR, and what they are after a reset.
const CONTROL: (usize, u16) = (0, 0x37f);
const MXCSR: (usize, u32) = (24, 0x1f80);
/// The saved state begins with what FXSAVE saves.
pub const FXSAVE_SIZE: usize = 512;

/// The components that are saved; 0 without XSAVE.
static SAVED: AtomicU64 = AtomicU64::new(0);
/// The bits of MXCSR that may be set (Intel SDM, volume 1, section 11.6.6).
static MXCSR_MASK: AtomicU32 = AtomicU32::new(0xffbf);
/// Bytes that they take.
static SIZE: AtomicU64 = AtomicU64::new(FXSAVE_SIZE as u64);

fn set_xcr0(value: u64) {
    // SAFETY: the processor has XSAVE, and the value is of components that it has.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack));
    }
}

/// Whether this is QEMU's emulation of a processor that has XSAVE and none of its later forms, as
/// the Opteron_G4 and the Opteron_G5: up to version 7.2 it takes CR4.OSXSAVE for a reserved bit
/// there (`cr4_reserved_bits` in its target/i386/cpu.h), and hangs instead of faulting.
fn is_refused() -> bool {
    const SIGNATURE: [&[u8; 4]; 3] = [b"TCGT", b"CGTC", b"GTCG"];
    const HAS_HYPERVISOR: u32 = 1 << 31;
    if __cpuid(1).ecx & HAS_HYPERVISOR == 0 {
        return false;
    }
    let under = __cpuid(0x4000_0000);
    let is_emulated =
        [under.ebx, under.ecx, under.edx] == SIGNATURE.map(|&it| u32::from_le_bytes(it));
    is_emulated && __cpuid_count(0xd, 1).eax == 0
}

/// Turns on, on this processor, what is saved.
pub fn init() {
    let mask = Area::saved().mxcsr_mask;
    if mask != 0 {
        MXCSR_MASK.store(mask, Ordering::Relaxed);
    }
    if __cpuid(1).ecx & HAS_XSAVE == 0 || is_refused() {
        return;
    }
    let supported = __cpuid_count(0xd, 0);
    let saved = (u64::from(supported.edx) << 32 | u64::from(supported.eax)) & COMPONENTS;
    // SAFETY: the hypervisor itself uses none of it.
    unsafe {
        asm!("mov {0}, cr4", "or {0}, {1}", "mov cr4, {0}", out(reg) _, const OSXSAVE,
            options(nostack));
    }
    set_xcr0(saved);
    SIZE.store(__cpuid_count(0xd, 0).ebx.into(), Ordering::Relaxed);
    SAVED.store(saved, Ordering::Relaxed);
}

/// What FXSAVE saves, as far as it is of interest.
#[repr(C, align(16))]
struct Area {
    start: [u8; 28],
    mxcsr_mask: u32,
    rest: [u8; 480],
}

impl Area {
    fn saved() -> Self {
        let mut area = Self { start: [0; 28], mxcsr_mask: 0, rest: [0; 480] };
        cpu::set_task_switched(false);
        // SAFETY: the place is large enough and aligned.
        unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut area, options(nostack)) }
        area
    }
}

/// The components that guests may turn on (XCR0); 0 without XSAVE.
pub fn components() -> u64 {
    SAVED.load(Ordering::Relaxed)
}

/// Bytes that all of them take when they are saved.
pub fn size() -> u64 {
    SIZE.load(Ordering::Relaxed)
}

/// The FPU's state in memory.
struct Fpu(NonNull<u8>);

// SAFETY: it owns the memory.
unsafe impl Send for Fpu {}

impl Fpu {
    fn layout() -> Layout {
        let size = SIZE.load(Ordering::Relaxed) as usize;
        Layout::from_size_align(size, 64).expect("CPUID's size is a few KiB")
    }

    /// As after a reset.
    fn new() -> Self {
        // SAFETY: the size isn't 0, and the words written are within it.
        unsafe {
            let Some(place) = NonNull::new(alloc_zeroed(Self::layout())) else {
                handle_alloc_error(Self::layout())
            };
            place.byte_add(CONTROL.0).cast().write(CONTROL.1);
            place.byte_add(MXCSR.0).cast().write(MXCSR.1);
            Self(place)
        }
    }

    fn save(&mut self) {
        let saved = SAVED.load(Ordering::Relaxed);
        // SAFETY: the place is large enough and aligned; the FPU is on.
        unsafe {
            if saved == 0 {
                asm!("fxsave64 [{}]", in(reg) self.0.as_ptr(), options(nostack));
            } else {
                asm!("xsave64 [{}]", in(reg) self.0.as_ptr(), in("eax") saved as u32, in("edx") 0,
                    options(nostack));
            }
        }
    }

    fn load(&self) {
        let saved = SAVED.load(Ordering::Relaxed);
        // SAFETY: what is there was saved, or made by `new` and `set_legacy`: it doesn't fault.
        unsafe {
            if saved == 0 {
                asm!("fxrstor64 [{}]", in(reg) self.0.as_ptr(), options(nostack));
            } else {
                asm!("xrstor64 [{}]", in(reg) self.0.as_ptr(), in("eax") saved as u32, in("edx") 0,
                    options(nostack));
            }
        }
    }
}

impl Drop for Fpu {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with the same layout.
        unsafe { dealloc(self.0.as_ptr(), Self::layout()) }
    }
}

/// What a vcpu has in a processor, while it runs in none.
pub struct State {
    /// The selectors ds, es, fs and gs.
    pub selectors: [u16; 4],
    /// The bases of FS and GS, and that of GS which `swapgs` brings.
    pub bases: [u64; 3],
    fpu: Fpu,
    /// Which components of the FPU's state the guest turned on (XCR0).
    xcr0: u64,
}

impl Default for State {
    fn default() -> Self {
        Self { selectors: [0; 4], bases: [0; 3], fpu: Fpu::new(), xcr0: 1 }
    }
}

impl State {
    /// Saves what the processor has.
    pub fn save(&mut self) {
        self.selectors = cpu::segments().map(|selector| selector as u16);
        self.bases = [FS_BASE, GS_BASE, OTHER_GS_BASE].map(cpu::read_msr);
        cpu::set_task_switched(false);
        let saved = SAVED.load(Ordering::Relaxed);
        if saved != 0 && self.xcr0 != saved {
            set_xcr0(saved);
        }
        self.fpu.save();
    }

    /// Gives the processor what was saved, the FPU ready to be used; the bases only if `has_bases`: else
    /// the descriptors say. False if a selector can't be loaded any more.
    #[must_use]
    pub fn load(&self, has_bases: bool) -> bool {
        // XCR0 has all components: nobody ran here, or `save` was called.
        cpu::set_task_switched(false);
        self.fpu.load();
        let saved = SAVED.load(Ordering::Relaxed);
        if saved != 0 && self.xcr0 != saved {
            set_xcr0(self.xcr0);
        }
        let good = copy::load_selectors(self.selectors);
        if has_bases {
            for (number, base) in [FS_BASE, GS_BASE, OTHER_GS_BASE].into_iter().zip(self.bases) {
                cpu::write_msr(number, base);
            }
        }
        good
    }

    /// Turns components of the FPU's state on or off in the processor that the vcpu runs on; false if
    /// that can't be.
    pub fn set_components(&mut self, value: u64) -> bool {
        const AVX: u64 = 1 << 2;
        const SSE: u64 = 1 << 1;
        const AVX_512: u64 = 7 << 5;
        let saved = SAVED.load(Ordering::Relaxed);
        let is_whole = match value & AVX_512 {
            0 => true,
            part => part == AVX_512 && value & AVX != 0,
        };
        let is_good = value & 1 != 0
            && value & !saved == 0
            && (value & AVX == 0 || value & SSE != 0)
            && is_whole;
        if is_good {
            self.xcr0 = value;
            set_xcr0(value);
        }
        is_good
    }

    /// What FXSAVE would save.
    pub fn legacy(&self) -> [u8; FXSAVE_SIZE] {
        // SAFETY: the state begins with that, initialised.
        unsafe { self.fpu.0.cast().read() }
    }

    /// Takes over what FXSAVE saved; MXCSR's bits that the processor doesn't know are dropped.
    pub fn set_legacy(&mut self, state: &[u8; FXSAVE_SIZE]) {
        // SAFETY: within the state, whose header behind it says which components are there.
        unsafe {
            self.fpu.0.cast().write(*state);
            let mxcsr = self.fpu.0.byte_add(MXCSR.0).cast::<u32>();
            mxcsr.write(mxcsr.read() & MXCSR_MASK.load(Ordering::Relaxed));
            if SAVED.load(Ordering::Relaxed) != 0 {
                self.fpu.0.byte_add(FXSAVE_SIZE).cast::<u64>().write(LEGACY);
            }
        }
    }
}

/// Loads the debug registers if any breakpoint is on; else nothing is watched.
pub fn load_debug(values: &[u64; 8]) {
    if !watches(values) {
        return set_debug_control(0x400);
    }
    // SAFETY: breakpoints are at addresses of guests; those that the hypervisor itself meets there
    // are ignored.
    unsafe {
        asm!(
            "mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}", "mov dr6, {}",
            in(reg) values[0], in(reg) values[1], in(reg) values[2], in(reg) values[3],
            in(reg) values[6],
            options(nostack),
        );
    }
    set_debug_control(values[7]);
}

/// Whether any breakpoint is on.
pub fn watches(values: &[u64; 8]) -> bool {
    values[7] & 0xff != 0
}

fn set_debug_control(value: u64) {
    // SAFETY: as above.
    unsafe { asm!("mov dr7, {}", in(reg) value, options(nostack)) }
}

/// Says what led to a debug exception, and forgets it.
pub fn take_debug_status() -> u64 {
    const NOTHING: u64 = 0xffff_0ff0;
    let status: u64;
    // SAFETY: has no effect on memory.
    unsafe { asm!("mov {}, dr6", "mov dr6, {}", out(reg) status, in(reg) NOTHING) }
    status | NOTHING
}
