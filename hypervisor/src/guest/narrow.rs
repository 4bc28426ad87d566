//! Calling the kernel of a guest of 32 bits, and going back from there (compare [`super::bounce`]).
//!
//! The kernel finds on its stack what a processor of 32 bits leaves there, upwards: an error code if
//! there is one, eip, cs with the events' mask in its upper half, eflags, and, if a program was
//! interrupted, esp and ss. It is in ring 1, in flat segments, whatever it asked for: what was set up
//! by it can't fail then.

use core::sync::atomic::Ordering;

use xen::abi::assist::ARCHITECTURAL_IOPL;
use xen::abi::x86_32::{FLAT_KERNEL_CS, FLAT_KERNEL_SS};

use super::bounce::{CLEARED, IF, IOPL, VM};
use super::memory;
use crate::arch::descriptors::{NARROW_PROGRAM_CODE, NARROW_PROGRAM_STACK};
use crate::arch::entry::SYSCALL;
use crate::vcpu::{Callback, Guest};

/// The ring of the kernel.
const KERNEL_RING: u64 = 1;
/// The longest frame: four words beyond eip, cs, eflags, esp, ss.
const LONGEST: usize = 9;

impl Guest<'_> {
    /// Whether its addresses have 32 bits.
    #[inline(always)]
    pub fn is_narrow(&self) -> bool {
        self.own.narrow.is_some()
    }

    /// Whether the kernel runs, not a program.
    #[inline(always)]
    pub fn is_in_kernel(&self) -> bool {
        match self.is_narrow() {
            true => self.own.frame.registers.cs & 3 == KERNEL_RING,
            false => self.own.in_kernel,
        }
    }

    /// The bits that an address, or a whole register, has.
    pub fn width(&self) -> u64 {
        if self.is_narrow() { u32::MAX.into() } else { u64::MAX }
    }

    /// Calls the kernel, which has said where. What `extra` holds stands below eip.
    #[cold]
    pub fn call_narrow(&mut self, to: Callback, extra: &[u64]) {
        let info = self.vcpu.info();
        let mask = info.mask().load(Ordering::Relaxed);
        let from_kernel = self.is_in_kernel();
        let iopl = match self.domain().assists(ARCHITECTURAL_IOPL) {
            true => self.own.iopl,
            false => 0,
        };
        let flag = if mask & 1 == 0 { IF } else { 0 };
        let kernel_sp = self.own.kernel_sp;
        let registers = &mut self.own.frame.registers;
        let cs = registers.cs & 0xffff | u64::from(mask) << 16;
        let eflags = registers.rflags & !(IF | IOPL) | flag | iopl;
        let interrupted = [registers.rip, cs, eflags, registers.rsp, registers.ss];
        let (top, kept) = if from_kernel { (registers.rsp, 3) } else { (kernel_sp, 5) };
        let mut frame = [0; 4 * LONGEST];
        let words = extra.iter().chain(&interrupted[..kept]);
        for (place, word) in frame.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&(*word as u32).to_le_bytes());
        }
        let length = 4 * (extra.len() + kept);
        let sp = u64::from((top as u32).wrapping_sub(length as u32));
        registers.rip = to.address;
        registers.cs = FLAT_KERNEL_CS.into();
        registers.ss = FLAT_KERNEL_SS.into();
        registers.rsp = sp;
        registers.rflags &= !CLEARED;
        registers.vector &= !SYSCALL;
        if to.masks_events {
            info.mask().store(1, Ordering::Relaxed);
        }
        if memory::write_bytes(sp, &frame[..length]).is_err() {
            self.crash("its kernel's stack can't be written to");
        }
    }

    /// It came by `syscall` or `sysenter`, which know only the segments of 64-bit guests.
    pub fn came_from_program(&mut self) {
        let registers = self.registers();
        registers.cs = NARROW_PROGRAM_CODE.into();
        registers.ss = NARROW_PROGRAM_STACK.into();
    }

    /// Goes back from a handler: takes what is on the kernel's stack, upwards: eax, eip, cs, eflags,
    /// and, for a program, esp and ss.
    pub fn iret_narrow(&mut self) {
        let esp = u64::from(self.registers().rsp as u32);
        let Ok([eax, eip, cs, eflags]) = memory::read::<[u32; 4]>(esp) else {
            return self.crash("its stack can't be read for a return");
        };
        let (to_ring, eflags) = (cs & 3, u64::from(eflags));
        let stack = match u64::from(to_ring) {
            0 => return self.crash("it returns to the hypervisor's ring"),
            KERNEL_RING => Ok([esp as u32 + 16, self.registers().ss as u32]),
            _ => memory::read::<[u32; 2]>(esp + 16),
        };
        let Ok([esp, ss]) = stack else {
            return self.crash("its stack can't be read for a return");
        };
        if self.domain().assists(ARCHITECTURAL_IOPL) {
            self.own.iopl = eflags & IOPL;
        }
        self.own.in_nmi = false;
        let selector = self.domain().selector(ss as u16);
        let registers = self.registers();
        registers.rax = eax.into();
        registers.rip = eip.into();
        registers.cs = u64::from(cs & 0xffff);
        registers.rflags = eflags & !(IOPL | VM) & 0xffff_ffff | IF | 2;
        registers.rsp = esp.into();
        registers.ss = selector.into();
        registers.vector &= !SYSCALL;
        self.vcpu.info().mask().store(u8::from(eflags & IF == 0), Ordering::Relaxed);
        // There is no virtual 8086 mode below 64 bits: its first instruction faults.
        if eflags & VM != 0 {
            self.raise_protection(0);
        }
    }
}
