//! Where the hypervisor enters a kernel of 32 bits.

use core::arch::global_asm;

use xen::abi::sched::{SHUTDOWN, SHUTDOWN_CRASH, SHUTDOWN_POWEROFF};
pub use xen::abi::x86_32::StartInfo;

use super::hypercall::{number, operation};
use crate::ring::Channel;
use crate::start::{STACK, console, start};

global_asm!(
    ".macro word value",
    ".long \\value",
    ".endm",
    include_str!("../notes.s"),
    r#"
    note 2
    .long hypercall_page
    end_note
    note 12
    .long 0xf5800000
    end_note

    .globl entry
entry:
    cld
    lea esp, [stack + {stack}]
    xor ebp, ebp
    push esi
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

/// Ends the domain, for a good reason or not, when all that was said has been heard.
pub fn over(is_well: bool) -> ! {
    Channel::console(console()).drain();
    let reason = if is_well { SHUTDOWN_POWEROFF } else { SHUTDOWN_CRASH };
    loop {
        operation(number::SCHED_OP, SHUTDOWN, &mut u32::from(reason));
    }
}
