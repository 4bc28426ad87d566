//! Calling a guest's kernel: for an exception, a system call, events, a return that failed.
//!
//! The kernel of 64 bits (of 32: [`super::narrow`]) finds on its stack, upwards: rcx, r11, an error code
//! if there is one, rip, cs with the events' mask in its upper half, rflags, rsp, ss. Its own code
//! segment is told from its programs' by privilege level 0 in the saved selector.

use core::sync::atomic::Ordering;

use xen::abi::assist::ARCHITECTURAL_IOPL;

use super::memory;
use crate::arch::descriptors::{GUEST_CODE, GUEST_STACK};
use crate::arch::entry::{Registers, SYSCALL};
use crate::arch::{cpu, processor};
use crate::vcpu::{Callback, Guest};

/// Interrupts are on.
pub const IF: u64 = 1 << 9;
/// The privilege level for ports.
pub const IOPL: u64 = 3 << 12;
/// Virtual 8086 mode.
pub const VM: u64 = 1 << 17;
/// Off in a handler: TF, NT, RF, VM, AC.
pub const CLEARED: u64 = 1 << 8 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 18;

impl Guest<'_> {
    /// Changes between the kernel's and the programs' page tables and bases of GS.
    pub fn toggle_mode(&mut self) {
        cpu::swap_gs();
        self.own.in_kernel = !self.own.in_kernel;
        let table = if self.own.in_kernel { self.own.kernel_table } else { self.own.user_table };
        processor::this().load(table << 12);
    }

    /// Calls the kernel. What `extra` holds stands above r11.
    #[inline(always)]
    pub fn call<const N: usize>(&mut self, to: Callback, extra: [u64; N]) {
        if to.address == 0 {
            return self.crash("its kernel has not said where it wants to be called");
        }
        if self.is_narrow() {
            return self.call_narrow(to, &extra);
        }
        let info = self.vcpu.info();
        let mask = u64::from(info.mask().load(Ordering::Relaxed));
        let from_kernel = self.own.in_kernel;
        if !from_kernel {
            self.toggle_mode();
        }
        let iopl = match self.domain().assists(ARCHITECTURAL_IOPL) {
            true => self.own.iopl,
            false => 0,
        };
        let kernel_sp = self.own.kernel_sp;
        let registers = &mut self.own.frame.registers;
        let (sp, cs) = match from_kernel {
            true => (registers.rsp, registers.cs & !3),
            false => (kernel_sp, registers.cs),
        };
        let flag = if mask & 1 == 0 { IF } else { 0 };
        let rflags = registers.rflags & !(IF | IOPL) | flag | iopl;
        let cs = cs & 0xffff | (mask & 0xff) << 32;
        let sp = (sp & !15).wrapping_sub(8 * (7 + N) as u64);
        let Registers { rcx, r11, rip, rsp, ss, .. } = *registers;
        let written = memory::write_frame(sp, [rcx, r11], extra, [rip, cs, rflags, rsp, ss]);
        registers.rip = to.address;
        registers.cs = GUEST_CODE.into();
        registers.ss = GUEST_STACK.into();
        registers.rsp = sp;
        registers.rflags &= !CLEARED;
        registers.vector |= SYSCALL;
        if to.masks_events {
            info.mask().store(1, Ordering::Relaxed);
        }
        if written.is_err() {
            self.crash("its kernel's stack can't be written to");
        }
    }

    /// Delivers an exception.
    #[inline]
    pub fn raise(&mut self, vector: u8, error: Option<u32>) {
        let trap = self.own.traps[usize::from(vector)];
        let to = Callback { address: trap.address, masks_events: trap.flags & 4 != 0 };
        match error {
            Some(error) => self.call(to, [error.into()]),
            None => self.call(to, []),
        }
    }

    /// Delivers a general protection exception.
    pub fn raise_protection(&mut self, error: u32) {
        self.raise(13, Some(error));
    }

    /// Delivers a page fault.
    pub fn raise_page_fault(&mut self, address: u64, error: u32) {
        const USER: u32 = 4;
        let from_user = if self.is_in_kernel() { 0 } else { USER };
        self.vcpu.set_fault_address(address);
        self.raise(14, Some(error & !USER | from_user));
    }

    /// Ends the domain, which can't go on.
    #[cold]
    pub fn crash(&mut self, why: &str) {
        crate::report::guest(self, why);
        crate::shutdown::domain_is_over(self.domain(), xen::abi::sched::SHUTDOWN_CRASH);
    }
}
