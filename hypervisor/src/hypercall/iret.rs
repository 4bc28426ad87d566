//! Going back from a handler of the guest's kernel (`struct iret_context`, arch-x86/xen-x86_64.h).

use core::sync::atomic::Ordering;

use xen::abi::assist::ARCHITECTURAL_IOPL;
use xen::abi::vcpu::IN_SYSCALL;

use crate::arch::entry::SYSCALL;
use crate::guest::bounce::{IF, IOPL, VM};
use crate::guest::memory;
use crate::vcpu::Guest;

/// Takes what is on the kernel's stack, upwards: rax, r11, rcx, flags, rip, cs, rflags, rsp, ss.
pub fn iret(guest: &mut Guest<'_>) {
    let Ok(words) = memory::read_words::<9>(guest.registers().rsp) else {
        return guest.crash("its stack can't be read for a return");
    };
    let [rax, r11, rcx, flags, rip, cs, rflags, rsp, ss] = words;
    if cs & 3 == 3 {
        if guest.own.user_table == 0 {
            return guest.crash("it returns to a program without page tables");
        }
        guest.toggle_mode();
    }
    if guest.domain().assists(ARCHITECTURAL_IOPL) {
        guest.own.iopl = rflags & IOPL;
    }
    guest.own.in_nmi = false;
    let registers = guest.registers();
    registers.rip = rip;
    registers.cs = cs & 0xffff | 3;
    registers.rflags = rflags & !(IOPL | VM) | IF | 2;
    registers.rsp = rsp;
    registers.ss = ss & 0xffff | 3;
    registers.rax = rax;
    // After a system call rcx and r11 need not be kept.
    if flags & IN_SYSCALL == 0 {
        registers.vector &= !SYSCALL;
        registers.r11 = r11;
        registers.rcx = rcx;
    }
    guest.vcpu.info().mask().store(u8::from(rflags & IF == 0), Ordering::Relaxed);
}
