//! Reading and writing at addresses that a guest gave: a fault ends the copy, nothing else.

use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;

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
    "#
);

unsafe extern "C" {
    fn copy_bytes(to: u64, from: u64, length: u64) -> u64;
    static copy_words: u8;
    static copy_words_failed: u8;
    static copy_rest: u8;
    static copy_end: u8;
    static __ways_out: [u64; 2];
    static __ways_out_end: [u64; 2];
}

/// Where to go on after a fault at that instruction, if it is one of those above.
pub fn way_out(rip: u64) -> Option<u64> {
    let ways = [
        (&raw const copy_words, &raw const copy_words_failed),
        (&raw const copy_rest, &raw const copy_end),
        (&raw const load_selector, &raw const load_selector_failed),
        (&raw const load_ds, &raw const load_ds_failed),
        (&raw const load_es, &raw const load_es_failed),
        (&raw const load_fs, &raw const load_fs_failed),
        (&raw const load_the_gs, &raw const load_the_gs_failed),
    ];
    let way = ways.iter().find(|(from, _)| *from as u64 == rip).map(|(_, to)| *to as u64);
    let (mut next, end) = (&raw const __ways_out, &raw const __ways_out_end);
    while way.is_none() && next < end {
        // SAFETY: within the table that the linker makes of what stands below.
        let [from, to] = unsafe { next.read() };
        if from == rip {
            return Some(to);
        }
        next = next.wrapping_add(1);
    }
    way
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
#[inline(always)]
pub unsafe fn write_word(to: u64, value: u64) -> bool {
    // SAFETY: a fault at `to` leads to the way out that the table names.
    unsafe {
        asm!(
            "2: mov [{to}], {value}",
            ".pushsection .ways_out, \"a\"",
            ".quad 2b, {failed}",
            ".popsection",
            to = in(reg) to,
            value = in(reg) value,
            failed = label { return false },
            options(nostack, preserves_flags),
        );
    }
    true
}

/// Reads half a word from an address of a guest.
///
/// # Safety
/// The address is none of the hypervisor's.
#[inline(always)]
pub unsafe fn read_half(from: u64) -> Option<u32> {
    let mut value = 0_u32;
    // SAFETY: a fault at `from` leads to the way out that the table names.
    unsafe {
        asm!(
            "2: mov eax, [{from}]",
            ".pushsection .ways_out, \"a\"",
            ".quad 2b, {failed}",
            ".popsection",
            "mov [{to}], eax",
            from = in(reg) from,
            to = in(reg) &raw mut value,
            failed = label { return None },
            out("rax") _,
            options(nostack, preserves_flags),
        );
    }
    Some(value)
}

/// Reads words upwards from an address of a guest.
///
/// # Safety
/// The addresses are none of the hypervisor's.
#[inline(always)]
pub unsafe fn read_words<const N: usize>(from: u64) -> Option<[u64; N]> {
    let mut words = MaybeUninit::<[u64; N]>::uninit();
    // SAFETY: as above; there are as many words to write to, and then all are written.
    unsafe {
        asm!(
            ".set place, 0",
            ".rept {count}",
            "2: mov rax, [{from} + place]",
            ".pushsection .ways_out, \"a\"",
            ".quad 2b, {failed}",
            ".popsection",
            "mov [{to} + place], rax",
            ".set place, place + 8",
            ".endr",
            count = const N,
            from = in(reg) from,
            to = in(reg) words.as_mut_ptr(),
            failed = label { return None },
            out("rax") _,
            options(nostack, preserves_flags),
        );
        Some(words.assume_init())
    }
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

    // edi, esi, edx, ecx: ds, es, fs, gs. Leaves how many were bad, and are 0, in eax.
    .globl load_all, load_ds, load_es, load_fs, load_the_gs
    .globl load_ds_failed, load_es_failed, load_fs_failed, load_the_gs_failed
load_all:
    xor eax, eax
load_ds:
    mov ds, edi
load_es:
    mov es, esi
load_fs:
    mov fs, edx
load_the_gs:
    mov gs, ecx
    ret
load_ds_failed:
    inc eax
    xor edi, edi
    jmp load_ds
load_es_failed:
    inc eax
    xor esi, esi
    jmp load_es
load_fs_failed:
    inc eax
    xor edx, edx
    jmp load_fs
load_the_gs_failed:
    inc eax
    xor ecx, ecx
    jmp load_the_gs
    "#
);

unsafe extern "C" {
    /// Loads the selector of GS that is used after the next exchange of bases; a bad one is 0.
    pub safe fn load_gs(selector: u32);
    safe fn load_all(ds: u32, es: u32, fs: u32, gs: u32) -> u32;
    static load_selector: u8;
    static load_selector_failed: u8;
    static load_ds: u8;
    static load_es: u8;
    static load_fs: u8;
    static load_the_gs: u8;
    static load_ds_failed: u8;
    static load_es_failed: u8;
    static load_fs_failed: u8;
    static load_the_gs_failed: u8;
}

/// Loads ds, es, fs and gs; bad ones are 0. Whether all were good.
pub fn load_selectors(selectors: [u16; 4]) -> bool {
    let [ds, es, fs, gs] = selectors.map(u32::from);
    load_all(ds, es, fs, gs) == 0
}
