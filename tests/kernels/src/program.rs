//! A program: code in ring 3 with page tables of its own, which the kernel goes to by `iret`.

use core::arch::asm;

use xen::abi::mmuext::NEW_USER_BASEPTR;

use crate::hypercall::number;
use crate::memory::{self, flag, frame, map, scratch};
use crate::traps::{Trap, attempt};

/// Where its one page of code is.
pub const CODE: u64 = 0x40_0000;
/// Its stack's page.
pub const STACK: u64 = 0x40_1000;
/// The code segment of programs (FLAT_RING3_CS64, arch-x86/xen-x86_64.h).
pub const CODE_SEGMENT: u64 = 0xe033;
/// Their stack segment.
pub const STACK_SEGMENT: u64 = 0xe02b;

/// In what is pushed for `iret`: interrupts are on.
pub const INTERRUPTS: u64 = 1 << 9;

/// A program's memory: six of the scratch pages, from `first` on.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    first: usize,
}

impl Program {
    /// Makes page tables for a program with that code, and has them used.
    pub fn new(first: usize, code: &[u8]) -> Self {
        let page = |index: usize| scratch(first + index);
        let [l4, l3, l2, l1, text, stack] = core::array::from_fn(page);
        for at in [l4, l3, l2, l1, text, stack] {
            map(at, flag::DATA);
            memory::fill(at, 0);
        }
        for (index, byte) in code.iter().enumerate() {
            // SAFETY: within a page that is this kernel's to write to.
            unsafe { ((text + index as u64) as *mut u8).write_volatile(*byte) };
        }
        memory::write(l4, frame(l3) << 12 | flag::TABLE);
        memory::write(l3, frame(l2) << 12 | flag::TABLE);
        memory::write(l2 + 8 * memory::slot(CODE, 2), frame(l1) << 12 | flag::TABLE);
        memory::write(l1 + 8 * memory::slot(CODE, 1), frame(text) << 12 | flag::READ_ONLY);
        memory::write(l1 + 8 * memory::slot(STACK, 1), frame(stack) << 12 | flag::DATA);
        for at in [l4, l3, l2, l1] {
            map(at, flag::READ_ONLY);
        }
        let program = Self { first };
        memory::extended(NEW_USER_BASEPTR, frame(l4), 0);
        program
    }

    /// Goes to the program until something leads back to the kernel.
    pub fn run(&self, rflags: u64) -> Option<Trap> {
        iret([0, 0, 0, 0, CODE, CODE_SEGMENT, rflags, STACK + 4096, STACK_SEGMENT])
    }

    /// Gives its memory back.
    pub fn end(self) {
        memory::extended(NEW_USER_BASEPTR, 0, 0);
        for index in 0..6 {
            map(scratch(self.first + index), flag::DATA);
        }
    }
}

/// Returns as from a handler: rax, r11, rcx, flags, rip, cs, rflags, rsp, ss.
pub fn iret(frame: [u64; 9]) -> Option<Trap> {
    attempt(|| iret_from(frame.as_ptr() as u64))
}

/// Returns with what is on a stack there.
pub fn iret_from(stack: u64) {
    // SAFETY: whatever comes of it comes back as a trap, if at all.
    unsafe {
        asm!("mov rsp, {}", "syscall", in(reg) stack, in("rax") number::IRET, options(noreturn));
    }
}
