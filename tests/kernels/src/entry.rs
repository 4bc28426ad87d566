//! Where the hypervisor enters a kernel of 64 bits.

use core::arch::global_asm;

pub use xen::abi::start_info::StartInfo;

use crate::hypercall;
use crate::start::{STACK, start};

global_asm!(
    ".macro word value",
    ".quad \\value",
    ".endm",
    include_str!("notes.s"),
    r#"
    note 12
    .quad 0xffff800000000000
    end_note
    // May be domain 0 (XENFEAT_dom0).
    note 17
    .long 1 << 11
    end_note

    .globl entry
entry:
    cld
    lea rsp, [rip + stack + {stack}]
    xor ebp, ebp
    mov rdi, rsi
    call {start}
    ud2

    .section .bss.stack, "aw", @nobits
    .balign 4096
stack: .skip {stack}
    .text
    "#,
    stack = const STACK,
    start = sym start,
);

/// What is left when there is nothing more to do, for a good reason or not: the machine is domain 0's
/// to end.
pub fn over(_is_well: bool) -> ! {
    hypercall::end()
}
