//! What the compiler relies on, and no library has for this target.

use core::arch::global_asm;

global_asm!(
    r#"
    .globl memcpy, memmove, memset, memcmp, bcmp
memmove:
    mov eax, [esp + 4]
    cmp eax, [esp + 8]
    jbe memcpy
    push esi
    push edi
    mov ecx, [esp + 20]
    mov esi, [esp + 16]
    lea esi, [esi + ecx - 1]
    lea edi, [eax + ecx - 1]
    std
    rep movsb
    cld
    pop edi
    pop esi
    ret
memcpy:
    push esi
    push edi
    mov edi, [esp + 12]
    mov esi, [esp + 16]
    mov ecx, [esp + 20]
    mov eax, edi
    rep movsb
    pop edi
    pop esi
    ret
memset:
    push edi
    mov edi, [esp + 8]
    mov eax, [esp + 12]
    mov ecx, [esp + 16]
    rep stosb
    mov eax, [esp + 8]
    pop edi
    ret
memcmp:
bcmp:
    push esi
    push edi
    mov edi, [esp + 12]
    mov esi, [esp + 16]
    mov ecx, [esp + 20]
    xor eax, eax
    repe cmpsb
    je 2f
    movzx eax, byte ptr [edi - 1]
    movzx ecx, byte ptr [esi - 1]
    sub eax, ecx
2:  pop edi
    pop esi
    ret
    "#
);
