//! Making hypercalls.

use core::arch::asm;

use xen::abi::{console, sched};

pub use crate::arguments::{operation, place, volatile};
pub use xen::abi::hypercall as number;

/// Makes a hypercall with up to five arguments.
pub fn call(number: u64, arguments: &[u64]) -> i64 {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    let answer;
    // SAFETY: what a hypercall may do to this kernel's own state is up to the caller, who is here
    // to find out; it keeps all registers but these. Memory that it writes to is read volatile.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            inlateout("rdi") argument(0) => _,
            inlateout("rsi") argument(1) => _,
            inlateout("rdx") argument(2) => _,
            inlateout("r10") argument(3) => _,
            inlateout("r8") argument(4) => _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    answer
}

/// Prints on the hypervisor's console.
pub fn print(text: &str) {
    call(number::CONSOLE_IO, &[console::WRITE, text.len() as u64, text.as_ptr() as u64]);
}

/// Ends the machine.
pub fn end() -> ! {
    let mut reason = u32::from(sched::SHUTDOWN_REBOOT);
    loop {
        operation(number::SCHED_OP, sched::SHUTDOWN, &mut reason);
    }
}
