    // Exceptions and interrupts, and the way back to a guest.

    .balign 16
    .globl trap_entries, syscall_entries, syscall_data, syscall32_entry, sysenter_entry, sysenter_saved
trap_entries:
    .set vector, 0
    .rept 256
    .balign 16
    // 8, 10 to 14, 17, 21, 29 and 30 push an error code themselves.
    .if ((1 << (vector & 31)) & 0x60227d00) == 0 || vector > 31
    push 0
    .endif
    mov dword ptr [rsp + 4], vector
    // Debug, NMI, double fault, machine check: on stacks of their own.
    .if vector == 1 || vector == 2 || vector == 8 || vector == 18
    jmp exception_entry
    .elseif vector == 14
    jmp page_fault_entry
    .else
    jmp trap_entry
    .endif
    .set vector, vector + 1
    .endr

trap_entry:
    cld
    push_registers
    test byte ptr [rsp + {cs}], 3
    jz trap_in_hypervisor
    mov rdi, rsp
    mov rsp, [rsp + {size}]
    forget_returns
    call {guest_trap}
resume_guest:
    mov rsp, rax
    cmp byte ptr [rip + {empties_buffers}], 0
    jne 6f
1:  pop_registers
    test byte ptr [rsp + 5], 1
    jz 2f
    mov rcx, [rsp + 8]
    mov r11, [rsp + 24]
    mov rsp, [rsp + 32]
    sysretq
2:  add rsp, 8
guest_iret:
    iretq
    // What is loaded from here on is the guest's own, as is all that the ways back load which make no
    // call. Of a selector in memory, VERW empties the buffers, too.
6:  verw word ptr [rip + 5f]
    jmp 1b
5:  .word {stack_selector}

trap_in_hypervisor:
    lea rax, [rip + guest_iret]
    cmp rax, [rsp + {rip}]
    je 3f
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call {hypervisor_trap}
    mov rsp, rbp
    pop_registers
    add rsp, 8
    iretq
    // The guest's state can't be gone back to: rip, cs and ss are still where iretq read them.
3:  mov rdi, rsp
    mov rsi, [rsp + {rsp}]
    sub rsi, {rip}
    mov rsp, [rsi + {size}]
    forget_returns
    call {return_failed}
    jmp resume_guest

exception_entry:
    cld
    push_registers
    mov rdi, rsp
    forget_returns
    call {exception}
    test rax, rax
    jz 4f
    // It came from a guest, and goes on as any trap.
    mov rdi, rax
    mov rsp, [rax + {size}]
    call {guest_trap}
    jmp resume_guest
4:  pop_registers
    add rsp, 8
    iretq

    // A program's page fault: its kernel is called (guest/bounce.rs), if nothing is out of the
    // ordinary. rdx: where registers were pushed to; what is saved below is in its place among them.
page_fault_entry:
    test byte ptr [rsp + {at_cs}], 3
    jz trap_entry
    test byte ptr [rsp], {by_user}
    jz trap_entry
    cmp byte ptr [rsp + {own_in_kernel}], 0
    jne trap_entry
    mov [rsp - 8], rdi
    mov [rsp - 24], rdx
    mov [rsp - 32], rcx
    mov [rsp - 40], rax
    mov [rsp - 72], r11
    mov rdx, rsp
    mov rsp, [rdx + {own_stack}]
    cmp dword ptr [rsp - {area} + {work}], 0
    jne any_fault
    mov rcx, [rdx + {own_vcpu}]
    mov r11, [rcx + {vcpu_domain}]
    test byte ptr [r11 + {domain_assists}], {iopl_assist}
    jnz any_fault
    mov rax, [rdx + {own_traps}]
    cmp qword ptr [rax + {fault_address}], 0
    je any_fault
    on_kernel_stack 64, any_fault
    movabs r11, {direct_map}
    add r11, [rcx + {vcpu_info}]
    mov rcx, cr2
    mov [r11 + 16], rcx
    to_kernel
    test byte ptr [rax + {fault_flags}], 4
    jz 5f
    mov byte ptr [r11 + 1], 1
5:  flag_of_mask
    mov cx, [rdx + {at_cs}]
    may_fault fault_failed, "mov [rdi + 32], rcx"
    mov ecx, [rdx + {at_rflags}]
    and ecx, {kernel_flags}
    or rcx, r11
    may_fault fault_failed, "mov [rdi + 40], rcx"
    mov rcx, [rdx - 32]
    may_fault fault_failed, "mov [rdi], rcx"
    mov rcx, [rdx - 72]
    may_fault fault_failed, "mov [rdi + 8], rcx"
    mov ecx, [rdx]
    may_fault fault_failed, "mov [rdi + 16], rcx"
    mov rcx, [rdx + {at_rip}]
    may_fault fault_failed, "mov [rdi + 24], rcx"
    mov rcx, [rdx + {at_rsp}]
    may_fault fault_failed, "mov [rdi + 48], rcx"
    mov rcx, [rdx + {at_ss}]
    may_fault fault_failed, "mov [rdi + 56], rcx"
    mov r11d, [rdx + {at_rflags}]
    and r11d, {called_flags}
    mov rcx, [rax + {fault_address}]
    mov rax, [rdx - 40]
    call_kernel
any_fault:
    fault_registers
    jmp trap_entry
fault_failed:
    fault_registers
    cld
    push_registers
    mov rdi, rsp
    mov rsp, [rsp + {size}]
    forget_returns
    call {stack_failed}
    jmp resume_guest
