    // System calls: of programs to their kernel, of a kernel to the hypervisor.

    // syscall changes no stack and leaves no register free: each processor has its own entry point.
    .balign 32
syscall_entries:
    .set number, 0
    .rept {processors}
    .balign 32
    mov [rip + syscall_data + number * 16], rsp
    mov rsp, [rip + syscall_data + number * 16 + 8]
    push {stack_selector}
    push [rip + syscall_data + number * 16]
    jmp syscall_entry
    .set number, number + 1
    .endr
    // From 32-bit code, whose registers end with edi: the others tell which processor this is.
syscall32_entry:
    mov r9d, {number_selector}
    lsl r8d, r9d
    shl r8d, 4
    lea r9, [rip + syscall_data]
    add r8, r9
    mov r9, rsp
    mov rsp, [r8 + 8]
    push {stack_selector}
    push r9
    push r11
    push {code32_selector}
    push rcx
    push 0
    mov dword ptr [rsp + 4], {syscall}
    xor r8d, r8d
    xor r9d, r9d
    push_registers
    lea rax, [rip + {guest_syscall32}]
    jmp call_for_guest

    // On Intel's processors: the stack is the vcpu's, and the flags are still the program's.
sysenter_entry:
    push {stack_selector}
    push 0
    pushfq
sysenter_saved:
    or dword ptr [rsp], {interrupts}
    push 3
    push 0
    push 0
    mov dword ptr [rsp + 4], {syscall}
    // What `syscall` turns off by itself.
    push 2
    popfq
    push_registers
    lea rax, [rip + {guest_sysenter}]
call_for_guest:
    mov rdi, rsp
    mov rsp, [rsp + {size}]
    forget_returns
    call rax
    jmp resume_guest

syscall_entry:
    push r11
    push {code_selector}
    push rcx
    push 0
    mov dword ptr [rsp + 4], {syscall}
    // What happens all the time is done here; whatever is out of the ordinary is for the functions.
    // rdx: where registers were pushed to; what is saved below is in its place among them.
    mov [rsp - 24], rdx
    mov rdx, rsp
    mov rsp, [rdx + {own_stack}]
    mov rcx, [rdx + {own_vcpu}]
    cmp dword ptr [rsp - {area} + {work}], 0
    jne any_syscall
    mov r11, [rcx + {vcpu_domain}]
    test byte ptr [r11 + {domain_assists}], {iopl_assist}
    jnz any_syscall
    cmp byte ptr [rdx + {own_in_kernel}], 0
    je program_syscall
    cmp rax, {iret}
    jne any_syscall

    // The kernel returns from a program's system call (hypercall/iret.rs). rcx: what the vcpu shares.
    mov rax, [rdx + {at_rsp}]
    movabs r11, {guest_end}
    cmp rax, r11
    jb any_iret
    movabs r11, {direct_map}
    mov rcx, [rcx + {vcpu_info}]
    add rcx, r11
    cmp byte ptr [rcx], 0
    jne any_iret
    cmp qword ptr [rdx + {own_user_table}], 0
    je any_iret
    cmp byte ptr [rdx + {own_in_nmi}], 0
    jne any_iret
    // Its stack, upwards: rax, r11, rcx, flags, rip, cs, rflags, rsp, ss.
    may_fault any_iret, "test dword ptr [rax + 24], {in_syscall}"
    jz whole_iret
    may_fault any_iret, "mov r11d, [rax + 40]"
    or r11d, 0xe000
    cmp r11d, {code_selector}
    jne any_iret
    may_fault any_iret, "mov r11, [rax + 32]"
    mov [rdx - 32], r11
    shr r11, 47
    jnz any_iret
    may_fault any_iret, "mov r11d, [rax + 48]"
    test r11d, 0x200
    jz any_iret
    and r11d, {user_flags}
    mov [rdx - 40], r11
    may_fault any_iret, "mov r11, [rax + 56]"
    mov [rdx - 48], r11
    may_fault any_iret, "mov rax, [rax]"
    to_program
    mov rsp, [rdx - 48]
    mov rdx, [rdx - 24]
    sysretq

    // The kernel returns to a program from anything else: rcx and r11 are kept, too.
whole_iret:
    may_fault any_iret, "mov r11d, [rax + 40]"
    not r11d
    test r11d, 3
    jnz any_iret
    may_fault any_iret, "mov r11d, [rax + 48]"
    test r11d, 0x200
    jz any_iret
    and r11d, {user_flags}
    mov [rdx + {at_rflags}], r11
    may_fault any_iret, "mov r11, [rax + 32]"
    mov [rdx + {at_rip}], r11
    may_fault any_iret, "movzx r11d, word ptr [rax + 40]"
    mov [rdx + {at_cs}], r11
    may_fault any_iret, "movzx r11d, word ptr [rax + 64]"
    or r11d, 3
    mov [rdx + {at_ss}], r11
    may_fault any_iret, "mov r11, [rax + 16]"
    mov [rdx - 32], r11
    may_fault any_iret, "mov r11, [rax + 8]"
    mov [rdx - 40], r11
    may_fault any_iret, "mov r11, [rax + 56]"
    may_fault any_iret, "mov rax, [rax]"
    mov [rdx + {at_rsp}], r11
    to_program
    lea rsp, [rdx + {at_rip}]
    mov rdx, [rdx - 24]
    jmp guest_iret

    // A program's system call: its kernel is called (guest/bounce.rs).
program_syscall:
    cmp byte ptr [rdx + {own_syscall_masks}], 1
    jne any_syscall
    mov [rdx - 8], rdi
    on_kernel_stack 56, any_program
    movabs r11, {direct_map}
    add r11, [rcx + {vcpu_info}]
    to_kernel
    mov byte ptr [r11 + 1], 1
    flag_of_mask
    or rcx, {code_selector}
    may_fault program_failed, "mov [rdi + 24], rcx"
    mov rcx, [rdx + {at_rflags}]
    and ecx, {kernel_flags}
    or rcx, r11
    may_fault program_failed, "mov [rdi + 32], rcx"
    mov rcx, [rdx + {at_rip}]
    may_fault program_failed, "mov [rdi], rcx"
    may_fault program_failed, "mov [rdi + 16], rcx"
    mov r11, [rdx + {at_rflags}]
    may_fault program_failed, "mov [rdi + 8], r11"
    mov rcx, [rdx + {at_rsp}]
    may_fault program_failed, "mov [rdi + 40], rcx"
    may_fault program_failed, "mov qword ptr [rdi + 48], {stack_selector}"
    mov rcx, [rdx + {own_syscall}]
    and r11d, {called_flags}
    call_kernel
program_failed:
    mov rdi, [rdx - 8]
    lea rcx, [rip + {stack_failed}]
    jmp 5f
any_program:
    mov rdi, [rdx - 8]
    jmp any_syscall
any_iret:
    mov eax, {iret}
any_syscall:
    lea rcx, [rip + {guest_syscall}]
5:  mov r11, rcx
    mov rsp, rdx
    mov rdx, [rsp - 24]
    mov rcx, [rsp + {at_rip}]
    push_registers
    mov rax, r11
    mov r11, [rsp + {size} - 24]
    mov [rsp + {r11}], r11
    jmp call_for_guest

    .globl leave_for_guest
leave_for_guest:
    mov rax, rdi
    jmp resume_guest


    .section .bss.syscall, "aw", @nobits
    .balign 64
syscall_data: .skip 16 * {processors}
    .text
