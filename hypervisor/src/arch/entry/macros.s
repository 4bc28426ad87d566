    // What the entry points have in common.

    .macro push_registers
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    .endm
    .macro pop_registers
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    .endm

    // An instruction that may fault on a guest's memory, and where to go on then.
    .macro may_fault way_out, instruction
7:  \instruction
    .pushsection .ways_out, "a"
    .quad 7b, \way_out
    .popsection
    .endm

    // Has the processor use other page tables, and the other base of GS. rdx: where registers are pushed
    // to; rcx is lost.
    .macro switch_to table, is_kernels
    mov rcx, [rdx + \table]
    shl rcx, 12
    mov [rsp - {area} + {loaded}], rcx
    swapgs
    mov byte ptr [rdx + {own_in_kernel}], \is_kernels
    mov cr3, rcx
    .endm

    // Unmasks events, and has the processor use the programs' page tables and base of GS; rcx and
    // r11 are those of the program then. rcx: what the vcpu shares, rdx: where registers are pushed to.
    .macro to_program
    mov byte ptr [rcx + 1], 0
    switch_to {own_user_table}, 0
    mov rcx, [rdx - 32]
    mov r11, [rdx - 40]
    .endm

    // Overwrites what the processor remembers of returns, where a guest could have it go on
    // somewhere: 32 calls that never return. Uses the stack, and no register.
    .macro forget_returns
    cmp byte ptr [rip + {forgets_returns}], 0
    je 8f
    .rept 32
    call 9f
    int3
9:
    .endr
    add rsp, 32 * 8
8:
    .endm

    // Gives registers back that were saved at their places below rdx.
    .macro fault_registers
    mov rdi, [rdx - 8]
    mov rcx, [rdx - 32]
    mov rax, [rdx - 40]
    mov r11, [rdx - 72]
    mov rsp, rdx
    mov rdx, [rsp - 24]
    .endm

    // A program's kernel is called with its way back on its stack (guest/bounce.rs): rdx is where
    // registers are pushed to, rdi the kernel's stack, r11 what the vcpu shares.
    .macro on_kernel_stack bytes, way_out
    mov rdi, [rdx + {own_kernel_sp}]
    and rdi, -16
    sub rdi, \bytes
    movabs r11, {guest_end}
    cmp rdi, r11
    jb \way_out
    .endm

    // Has the processor use the kernel's page tables and base of GS. ecx: whether events are masked.
    .macro to_kernel
    switch_to {own_kernel_table}, 1
    movzx ecx, byte ptr [r11 + 1]
    .endm

    // r11: the interrupt flag, the opposite of the mask in ecx, which stands above the selector, too.
    .macro flag_of_mask
    lea r11d, [rcx - 1]
    and r11d, 0x200
    shl rcx, 32
    .endm

    // Goes to rcx, with the flags in r11.
    .macro call_kernel
    mov rsp, rdi
    mov rdi, [rdx - 8]
    mov rdx, [rdx - 24]
    sysretq
    .endm
