//! From the loader's 32 bits to Rust: multiboot headers, first page tables, long mode.
//!
//! The image is loaded at 1 MiB. The first page tables map the low 4 GiB three times: where they
//! are, at the direct map, and (the first GiB) at the address that the image is linked for.

use core::arch::global_asm;

/// Address of the image: its first byte of physical memory is here.
pub const TEXT_BASE: u64 = 0xffff_82d0_8000_0000;

global_asm!(
    r#"
    .section .boot.header, "a"
    .balign 8
multiboot1:
    .long 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)
    // Where things are, so that the image need be no 32-bit ELF file.
    .long multiboot1, multiboot1, __load_end, __end, boot32
    .balign 8
multiboot2:
    .long 0xe85250d6, 0, multiboot2_end - multiboot2
    .long -(0xe85250d6 + (multiboot2_end - multiboot2))
    // Information we need: command line, modules, memory map.
    .balign 8
    .short 1, 0
    .long 20, 1, 3, 6
    // Addresses, entry point, modules on page boundaries, the end.
    .balign 8
    .short 2, 0
    .long 24, multiboot2, multiboot1, __load_end, __end
    .balign 8
    .short 3, 0
    .long 12, boot32
    .balign 8
    .short 6, 0
    .long 8
    .balign 8
    .short 0, 0
    .long 8
multiboot2_end:

    .section .boot.text, "ax"
    .code32
    .global boot32
boot32:
    cli
    cld
    mov ebp, eax
    mov esi, ebx

    // 2048 large pages: present, writable, large.
    mov edi, offset boot_l2 - {base}
    mov eax, 0x83
    mov ecx, 2048
2:  mov [edi], eax
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 2b

    mov edi, offset boot_l3 - {base}
    mov eax, offset boot_l2 - {base} + 3
    mov ecx, 4
3:  mov [edi], eax
    add eax, 0x1000
    add edi, 8
    dec ecx
    jnz 3b
    mov eax, offset boot_l2 - {base} + 3
    mov [boot_l3_text - {base} + {text_l3} * 8], eax

    mov eax, offset boot_l3 - {base} + 3
    mov [boot_l4 - {base}], eax
    mov [boot_l4 - {base} + {direct_l4} * 8], eax
    mov eax, offset boot_l3_text - {base} + 3
    mov [boot_l4 - {base} + {text_l4} * 8], eax

    // PAE and global pages; OSFXSR and OSXMMEXCPT, as guests have them.
    mov eax, cr4
    or eax, 0x6a0
    mov cr4, eax
    mov eax, offset boot_l4 - {base}
    mov cr3, eax
    // SCE, LME, NXE.
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x901
    wrmsr
    // PG, WP, NE, MP, PE.
    mov eax, 0x80010023
    mov cr0, eax

    mov esp, offset boot_area - {base} + {area}
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset boot64
    push eax
    retf

    .balign 8
boot_gdt:
    .quad 0, 0x00af9a000000ffff
boot_gdt_pointer:
    .short 15
    .long boot_gdt

    .code64
boot64:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    movabs rsp, offset boot_area + {area}
    mov edi, ebp
    movabs rax, offset {start}
    push 0
    jmp rax

    // The first processor's area; its stack is at the end.
    .section .bss.area, "aw", @nobits
    .balign {area}
    .global boot_area
boot_area: .skip {area}
    .section .bss.boot, "aw", @nobits
    .balign 4096
    .global boot_l4
boot_l4: .skip 4096
boot_l3: .skip 4096
boot_l3_text: .skip 4096
boot_l2: .skip 4096 * 4
    .global boot_tables_end
boot_tables_end:
    .text
    "#,
    base = const TEXT_BASE,
    text_l4 = const TEXT_BASE >> 39 & 511,
    text_l3 = const TEXT_BASE >> 30 & 511,
    direct_l4 = const super::memory::DIRECT_MAP >> 39 & 511,
    area = const super::processor::AREA,
    start = sym crate::start::start,
);

unsafe extern "C" {
    static boot_area: u8;
    static boot_l4: u8;
    static boot_tables_end: u8;
    static __init_end: u8;
    static __load_end: u8;
    static __bss: u8;
    static __end: u8;
    static __boot_end: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __symbols: u8;
    static __symbols_end: u8;
}

/// The table of symbols, which is empty until `cargo xtask` fills it in.
pub fn symbols() -> &'static [u8] {
    let start = &raw const __symbols;
    let length = &raw const __symbols_end as usize - start as usize;
    // SAFETY: constants of the image.
    unsafe { core::slice::from_raw_parts(start, length) }
}

/// Whether there are instructions of the image at an address.
pub fn is_code(address: u64) -> bool {
    (TEXT_BASE + &raw const __boot_end as u64..&raw const __text_end as u64).contains(&address)
}

/// The first processor's area.
pub fn area() -> *mut u8 {
    (&raw const boot_area).cast_mut()
}

/// Physical addresses that nobody needs once domain 0 runs: what [`crate::start`] does until then,
/// the first page tables, and what the alignment of the first processor's area leaves.
pub fn transient() -> [core::ops::Range<u64>; 3] {
    let physical = |symbol: *const u8| symbol as u64 - TEXT_BASE;
    [
        &raw const __boot_end as u64..physical(&raw const __init_end),
        &raw const __load_end as u64..physical(&raw const __bss),
        physical(&raw const boot_l4)..physical(&raw const boot_tables_end),
    ]
}

/// A part of the image: its physical addresses and what may be done with it.
pub struct Part {
    /// First byte and the byte behind the last.
    pub range: core::ops::Range<u64>,
    /// Instructions are run from it.
    pub is_code: bool,
    /// It is written to.
    pub is_data: bool,
}

/// The image's parts in order.
pub fn parts() -> [Part; 3] {
    let physical = |symbol: *const u8| symbol as u64 - TEXT_BASE;
    let boot_end = &raw const __boot_end as u64;
    let (text, rodata) = (physical(&raw const __text_end), physical(&raw const __rodata_end));
    let end = &raw const __end as u64;
    [
        Part { range: boot_end..text, is_code: true, is_data: false },
        Part { range: text..rodata, is_code: false, is_data: false },
        Part { range: rodata..end, is_code: false, is_data: true },
    ]
}
