//! Who called whom, by the frame pointers on a stack, with names from the image's table of symbols.

use core::arch::asm;

use hypervisor::symbols::Symbols;

use super::boot::{self, TEXT_BASE};
use super::processor::AREA;
use crate::log;

/// So many callers are shown at most.
const DEPTH: usize = 32;

/// This function's caller's frame pointer.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Shows where `rip` is, and who called, from the frame that `rbp` points to.
pub fn show(rip: Option<u64>, rbp: u64) {
    log!("Call trace:");
    let symbols = Symbols::new(boot::symbols());
    let line = |address: u64| match symbols.find(address.wrapping_sub(TEXT_BASE)) {
        Some((name, offset)) => log!("   [<{address:016x}>] {name}+{offset:#x}"),
        None => log!("   [<{address:016x}>]"),
    };
    rip.into_iter().for_each(line);
    let stack: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    // Only this processor's area is read, upwards: the last frames' pointer is a guest's.
    let (mut low, end) = (stack, (stack & !(AREA - 1)) + AREA);
    let mut frame = rbp;
    for _ in 0..DEPTH {
        if frame < low || frame > end - 16 || frame & 7 != 0 {
            return;
        }
        // SAFETY: aligned, and within the processor's area.
        let [next, caller] = unsafe { (frame as *const [u64; 2]).read_volatile() };
        if !boot::is_code(caller) {
            return;
        }
        // A call that never returns may be the last instruction of its function.
        line(caller - 1);
        (low, frame) = (frame + 16, next);
    }
}
