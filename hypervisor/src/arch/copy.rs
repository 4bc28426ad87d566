//! Reading and writing at addresses that a guest gave: a fault ends the copy, nothing else.

use core::arch::global_asm;

global_asm!(
    r#"
    // rdi: to, rsi: from, rdx: how many bytes. Leaves what was not copied in rax.
    .globl copy_bytes, copy_words, copy_words_failed, copy_rest, copy_end
copy_bytes:
    mov rcx, rdx
    shr rcx, 3
    and edx, 7
copy_words:
    rep movsq
    mov ecx, edx
    xor edx, edx
copy_rest:
    rep movsb
copy_end:
    lea rax, [rdx + rcx]
    ret
copy_words_failed:
    lea rax, [rdx + rcx * 8]
    ret

    // rdi: to, rsi: value. Leaves 0 or 1 in eax.
    .globl copy_word_out, copy_word_in, store_word, load_word, word_failed
copy_word_out:
    xor eax, eax
store_word:
    mov [rdi], rsi
    ret
    // rdi: from, rsi: to. Leaves 0 or 1 in eax.
copy_word_in:
    xor eax, eax
load_word:
    mov rcx, [rdi]
    mov [rsi], rcx
    ret
word_failed:
    mov eax, 1
    ret
    "#
);

unsafe extern "C" {
    fn copy_bytes(to: u64, from: u64, length: u64) -> u64;
    fn copy_word_out(to: u64, value: u64) -> u32;
    fn copy_word_in(from: u64, to: *mut u64) -> u32;
    static copy_words: u8;
    static copy_words_failed: u8;
    static copy_rest: u8;
    static copy_end: u8;
    static store_word: u8;
    static load_word: u8;
    static word_failed: u8;
}

/// Where to go on after a fault at that instruction, if it is one of those above.
pub fn way_out(rip: u64) -> Option<u64> {
    let ways = [
        (&raw const copy_words, &raw const copy_words_failed),
        (&raw const copy_rest, &raw const copy_end),
        (&raw const store_word, &raw const word_failed),
        (&raw const load_word, &raw const word_failed),
        (&raw const load_selector, &raw const load_selector_failed),
    ];
    ways.iter().find(|(from, _)| *from as u64 == rip).map(|(_, to)| *to as u64)
}

/// Copies from an address of a guest; false if not all of it is there.
///
/// # Safety
/// The address is none of the hypervisor's.
pub unsafe fn read(from: u64, to: &mut [u8]) -> bool {
    // SAFETY: `to` is ours to write; a fault at `from` ends the copy.
    unsafe { copy_bytes(to.as_mut_ptr() as u64, from, to.len() as u64) == 0 }
}

/// Copies to an address of a guest; false if not all of it is there.
///
/// # Safety
/// The address is none of the hypervisor's.
pub unsafe fn write(to: u64, from: &[u8]) -> bool {
    // SAFETY: a fault at `to` ends the copy.
    unsafe { copy_bytes(to, from.as_ptr() as u64, from.len() as u64) == 0 }
}

/// Writes a word at an address of a guest.
///
/// # Safety
/// The address is none of the hypervisor's.
pub unsafe fn write_word(to: u64, value: u64) -> bool {
    // SAFETY: as above.
    unsafe { copy_word_out(to, value) == 0 }
}

/// Reads a word at an address of a guest.
///
/// # Safety
/// The address is none of the hypervisor's.
pub unsafe fn read_word(from: u64) -> Option<u64> {
    let mut value = 0;
    // SAFETY: as above.
    unsafe { copy_word_in(from, &raw mut value) == 0 }.then_some(value)
}

global_asm!(
    r#"
    // edi: the programs' selector of GS, which is loaded into the base that is not in use.
    .globl load_gs, load_selector, load_selector_failed
load_gs:
    swapgs
load_selector:
    mov gs, edi
    swapgs
    ret
load_selector_failed:
    xor edi, edi
    jmp load_selector
    "#
);

unsafe extern "C" {
    /// Loads the selector of GS that is used after the next exchange of bases; a bad one is 0.
    pub safe fn load_gs(selector: u32);
    static load_selector: u8;
    static load_selector_failed: u8;
}
