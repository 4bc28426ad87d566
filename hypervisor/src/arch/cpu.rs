//! One processor's instructions that no library has, behind safe names.

use core::arch::asm;

use x86_64::instructions::{hlt, interrupts};

/// Stops this processor for good.
pub fn halt() -> ! {
    interrupts::disable();
    loop {
        hlt();
    }
}

/// Waits for an interrupt, which is taken at once.
pub fn wait() {
    // SAFETY: interrupts are taken between these instructions; handlers touch no stack of ours.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) }
}

/// Takes interrupts that are waiting.
pub fn take_interrupts() {
    // SAFETY: as above. `sti` takes effect after the instruction behind it.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) }
}

/// Exchanges the guest's two bases of GS.
pub fn swap_gs() {
    // SAFETY: the hypervisor uses no GS.
    unsafe { asm!("swapgs", options(nomem, nostack, preserves_flags)) }
}

/// Writes a model-specific register that is known to exist.
pub fn write_msr(number: u32, value: u64) {
    // SAFETY: callers write registers that have to do with guests' state, or entries of ours.
    unsafe { x86_64::registers::model_specific::Msr::new(number).write(value) }
}

/// Reads a model-specific register that is known to exist.
pub fn read_msr(number: u32) -> u64 {
    // SAFETY: reading has no effect.
    unsafe { x86_64::registers::model_specific::Msr::new(number).read() }
}

/// How many frames the processor can address: it faults at entries of page tables with more.
pub fn physical_frames() -> u64 {
    let bits = core::arch::x86_64::__cpuid(0x8000_0008).eax & 0xff;
    1 << (bits - 12)
}

/// Sets or clears CR0.TS, which has the next use of the FPU trap.
pub fn set_task_switched(set: bool) {
    // SAFETY: the hypervisor uses no FPU.
    unsafe {
        if set {
            asm!("mov {0}, cr0", "or {0}, 8", "mov cr0, {0}", out(reg) _, options(nostack));
        } else {
            asm!("clts", options(nostack));
        }
    }
}

/// The selectors ds, es, fs and gs, which guests load themselves.
pub fn segments() -> [u64; 4] {
    let (ds, es, fs, gs): (u64, u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!(
            "mov {0:e}, ds", "mov {1:e}, es", "mov {2:e}, fs", "mov {3:e}, gs",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs,
            options(nomem, nostack, preserves_flags),
        );
    }
    [ds, es, fs, gs]
}

/// Writes all caches back, for a domain with devices.
pub fn flush_caches(is_allowed: bool) -> Result<(), xen::abi::errno::Errno> {
    if !is_allowed {
        return Err(xen::abi::errno::EACCES);
    }
    // SAFETY: changes no memory.
    unsafe { asm!("wbinvd", options(nostack, preserves_flags)) }
    Ok(())
}

/// Has the processor use an LDT; its descriptor is the last but one of our page of the GDT.
pub fn load_ldt(base: u64, entries: u32) {
    super::processor::this().descriptors.load_ldt(base, entries);
}
