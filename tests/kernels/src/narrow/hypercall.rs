//! Making hypercalls, by way of the page that the hypervisor filled.

use core::arch::global_asm;

pub use crate::arguments::{operation, place, volatile};
pub use xen::abi::hypercall as number;

use crate::ring::Channel;
use crate::start;

global_asm!(
    r#"
    .globl make_hypercall
    // The number and five arguments, which begin at an address.
make_hypercall:
    push ebx
    push esi
    push edi
    push ebp
    mov eax, [esp + 20]
    mov ebp, [esp + 24]
    mov ebx, [ebp]
    mov ecx, [ebp + 4]
    mov edx, [ebp + 8]
    mov esi, [ebp + 12]
    mov edi, [ebp + 16]
    shl eax, 5
    lea eax, [eax + hypercall_page]
    call eax
    pop ebp
    pop edi
    pop esi
    pop ebx
    ret

    .globl make_return
make_return:
    mov esp, [esp + 4]
    jmp hypercall_page + 32 * {iret}

    .balign 4096
    .globl hypercall_page
hypercall_page: .skip 4096, 0xcc
    "#,
    iret = const number::IRET,
);

unsafe extern "C" {
    fn make_hypercall(number: u32, arguments: *const [u32; 5]) -> i32;
    fn make_return(frame: *const u32) -> !;
}

/// Makes a hypercall with up to five arguments, of which the lower halves count.
pub fn call(number: u64, arguments: &[u64]) -> i64 {
    let mut words = [0; 5];
    for (word, argument) in words.iter_mut().zip(arguments) {
        *word = *argument as u32;
    }
    // SAFETY: what a hypercall may do to this kernel's own state is up to the caller, who is here
    // to find out; it keeps all other registers. Memory that it writes to is read volatile.
    unsafe { make_hypercall(number as u32, &words) }.into()
}

/// Prints on the console.
pub fn print(text: &str) {
    Channel::console(start::console()).write(text.as_bytes());
}

/// Goes where a frame says, which begins with eip, as from a handler.
pub fn iret(frame: &[u32]) -> ! {
    // SAFETY: whatever is there, the kernel gets over it: it is called again, on a stack of its own.
    unsafe { make_return(frame.as_ptr()) }
}
