//! Where the processor enters the hypervisor, and where it leaves for a guest.
//!
//! From a guest, registers are pushed straight into what the vcpu has for its own, then the
//! processor's stack is used: nothing is copied when another vcpu runs next. From the hypervisor
//! itself, registers are pushed to the stack in use. The four exceptions that may come between the
//! first two instructions of a system call have stacks of their own.

use core::arch::x86_64::__cpuid;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;
use xen::abi::vcpu::TrapInfo;

use super::descriptors::{CODE, GUEST_CODE, GUEST_CODE_32, GUEST_STACK, NUMBER};
use super::processor;
use crate::domain::Domain;
use crate::guest::bounce::{ARCHITECTURAL_IOPL, CLEARED, IF, IOPL, VM};
use crate::vcpu::{Own, Vcpu};

/// What a trap leaves: the order of `struct cpu_user_regs` in arch-x86/xen-x86_64.h, as far as the
/// processor and the entry points save it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub error: u32,
    pub vector: u32,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// In [`Registers::vector`]: the guest came by `syscall`, and may be left by `sysret`.
pub const SYSCALL: u32 = 0x100;

/// What a vcpu's registers are pushed into. The entry code knows its layout.
#[repr(C, align(16))]
#[derive(Default)]
pub struct Frame {
    /// When the way back to the guest faults, the processor pushes below the registers.
    below: [u64; 17],
    /// The guest's registers.
    pub registers: Registers,
    /// The end of the stack of the processor that the vcpu runs on.
    pub stack: u64,
}

impl Frame {
    /// Where traps push to.
    pub fn end(&self) -> u64 {
        &raw const self.stack as u64
    }
}

// The processor aligns the stack before it pushes: nothing may come between.
const _: () = assert!(offset_of!(Frame, stack) % 16 == 0);

/// Where something of [`Own`] is, seen from where the general registers are pushed to.
const fn own(offset: usize) -> isize {
    offset as isize - offset_of!(Own, frame.registers.error) as isize
}

/// Kernels have their stacks above the hypervisor's addresses.
const GUEST_HIGH: u64 = 0xffff_8800_0000_0000;

const PAGE_FAULT: usize = 14;
const VECTORS: usize = 256;
/// An entry point's size in bytes.
const ENTRY: u64 = 16;
/// Offsets in [`Registers`].
const SIZE: usize = size_of::<Registers>();
const CS: usize = offset_of!(Registers, cs);
const RIP: usize = offset_of!(Registers, rip);

global_asm!(
    r#"
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

    // Unmasks events, and has the processor use the programs' page tables and base of GS; rcx and
    // r11 are those of the program then. rcx: what the vcpu shares, rdx: where registers are pushed to.
    .macro to_program
    mov byte ptr [rcx + 1], 0
    mov rcx, [rdx + {own_user_table}]
    shl rcx, 12
    mov [rsp - {area} + {loaded}], rcx
    swapgs
    mov byte ptr [rdx + {own_in_kernel}], 0
    mov cr3, rcx
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
    pop_registers
    test byte ptr [rsp + 5], 1
    jz 2f
    mov rcx, [rsp + 8]
    mov r11, [rsp + 24]
    mov rsp, [rsp + 32]
    sysretq
2:  add rsp, 8
guest_iret:
    iretq

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

    // Gives registers back that were saved at their places below rdx.
    .macro fault_registers
    mov rdi, [rdx - 8]
    mov rcx, [rdx - 32]
    mov rax, [rdx - 40]
    mov r11, [rdx - 72]
    mov rsp, rdx
    mov rdx, [rsp - 24]
    .endm

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
    mov rdi, [rdx + {own_kernel_sp}]
    and rdi, -16
    sub rdi, 64
    movabs r11, {guest_end}
    cmp rdi, r11
    jb any_fault
    movabs r11, {direct_map}
    add r11, [rcx + {vcpu_info}]
    mov rcx, cr2
    mov [r11 + 16], rcx
    mov rcx, [rdx + {own_kernel_table}]
    shl rcx, 12
    mov [rsp - {area} + {loaded}], rcx
    swapgs
    mov byte ptr [rdx + {own_in_kernel}], 1
    mov cr3, rcx
    movzx ecx, byte ptr [r11 + 1]
    test byte ptr [rax + {fault_flags}], 4
    jz 5f
    mov byte ptr [r11 + 1], 1
    // The interrupt flag is the mask's opposite; the mask stands above the selector, too.
5:  lea r11d, [rcx - 1]
    and r11d, 0x200
    shl rcx, 32
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
    mov rsp, rdi
    mov rdi, [rdx - 8]
    mov rdx, [rdx - 24]
    sysretq
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
    mov rdi, [rdx + {own_kernel_sp}]
    and rdi, -16
    sub rdi, 56
    movabs r11, {guest_end}
    cmp rdi, r11
    jb any_program
    movabs r11, {direct_map}
    add r11, [rcx + {vcpu_info}]
    mov rcx, [rdx + {own_kernel_table}]
    shl rcx, 12
    mov [rsp - {area} + {loaded}], rcx
    swapgs
    mov byte ptr [rdx + {own_in_kernel}], 1
    mov cr3, rcx
    movzx ecx, byte ptr [r11 + 1]
    mov byte ptr [r11 + 1], 1
    // The interrupt flag is the mask's opposite; the mask stands above the selector, too.
    lea r11d, [rcx - 1]
    and r11d, 0x200
    shl rcx, 32
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
    mov rsp, rdi
    mov rdi, [rdx - 8]
    mov rdx, [rdx - 24]
    sysretq
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
    "#,
    cs = const CS,
    rip = const RIP,
    rsp = const offset_of!(Registers, rsp),
    size = const SIZE,
    processors = const processor::MAX,
    stack_selector = const GUEST_STACK,
    code_selector = const GUEST_CODE,
    code32_selector = const GUEST_CODE_32,
    number_selector = const NUMBER,
    interrupts = const IF,
    syscall = const SYSCALL,
    area = const processor::AREA,
    work = const processor::WORK,
    loaded = const processor::LOADED,
    by_user = const 4,
    own_traps = const own(offset_of!(Own, traps)),
    fault_address = const PAGE_FAULT * size_of::<TrapInfo>() + offset_of!(TrapInfo, address),
    fault_flags = const PAGE_FAULT * size_of::<TrapInfo>() + offset_of!(TrapInfo, flags),
    own_stack = const own(offset_of!(Own, frame.stack)),
    own_vcpu = const own(Own::VCPU),
    own_in_kernel = const own(offset_of!(Own, in_kernel)),
    own_kernel_table = const own(offset_of!(Own, kernel_table)),
    own_user_table = const own(offset_of!(Own, user_table)),
    own_in_nmi = const own(offset_of!(Own, in_nmi)),
    own_kernel_sp = const own(offset_of!(Own, kernel_sp)),
    own_syscall = const own(offset_of!(Own, syscall.address)),
    own_syscall_masks = const own(offset_of!(Own, syscall.masks_events)),
    at_rip = const own(offset_of!(Own, frame.registers.rip)),
    at_cs = const own(offset_of!(Own, frame.registers.cs)),
    at_ss = const own(offset_of!(Own, frame.registers.ss)),
    at_rflags = const own(offset_of!(Own, frame.registers.rflags)),
    at_rsp = const own(offset_of!(Own, frame.registers.rsp)),
    r11 = const offset_of!(Registers, r11),
    vcpu_domain = const Vcpu::DOMAIN,
    vcpu_info = const Vcpu::INFO,
    domain_assists = const offset_of!(Domain, assists),
    iopl_assist = const 1 << ARCHITECTURAL_IOPL,
    iret = const crate::hypercall::IRET,
    in_syscall = const crate::hypercall::iret::IN_SYSCALL,
    guest_end = const GUEST_HIGH,
    direct_map = const super::memory::DIRECT_MAP,
    user_flags = const !(IOPL | VM) & 0xffff_ffff,
    kernel_flags = const !(IF | IOPL) & 0xffff_ffff,
    called_flags = const !CLEARED & 0xffff_ffff,
    stack_failed = sym crate::guest::traps::stack_failed,
    forgets_returns = sym FORGETS_RETURNS,
    guest_trap = sym crate::guest::traps::trap,
    guest_syscall = sym crate::guest::traps::syscall,
    guest_syscall32 = sym crate::guest::traps::syscall32,
    guest_sysenter = sym crate::guest::traps::sysenter,
    return_failed = sym crate::guest::traps::return_failed,
    hypervisor_trap = sym super::traps::trap,
    exception = sym super::traps::exception,
);

/// Whether entering from a guest overwrites what the processor remembers of returns.
static FORGETS_RETURNS: AtomicBool = AtomicBool::new(false);

/// Has entries from guests overwrite what the processor remembers of returns.
pub fn forget_returns() {
    FORGETS_RETURNS.store(true, Ordering::Relaxed);
}

unsafe extern "C" {
    static trap_entries: u8;
    static syscall_entries: u8;
    static syscall_data: u8;
    static syscall32_entry: u8;
    static sysenter_entry: u8;
    static sysenter_saved: u8;
    fn leave_for_guest(registers: *mut Registers) -> !;
}

/// Goes on where those registers say; they are a vcpu's own, with a stack behind them.
pub fn leave(registers: *mut Registers) -> ! {
    // SAFETY: registers of a vcpu always say ring 3 and interrupts on: who writes them sees to it.
    unsafe { leave_for_guest(registers) }
}

/// Has system calls on this processor push to that address.
pub fn set_stack(processor: usize, end: u64) {
    if has_sysenter() {
        super::cpu::write_msr(SYSENTER_ESP, end);
    }
    assert!(processor < processor::MAX);
    let data = (&raw const syscall_data).cast_mut().cast::<u64>();
    // SAFETY: two words a processor; only the processor itself uses its words.
    unsafe { data.add(processor * 2 + 1).write_volatile(end) }
}

#[repr(C, align(16))]
struct Idt([[u64; 2]; VECTORS]);

static IDT: Once<Idt> = Once::new();

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// An interrupt gate (AMD64 Architecture Programmer's Manual, volume 2, section 4.8.4).
fn gate(vector: usize) -> [u64; 2] {
    let handler = &raw const trap_entries as u64 + ENTRY * vector as u64;
    let stack = match vector {
        1 => 1,
        2 => 2,
        18 => 3,
        8 => 4,
        _ => 0,
    };
    // Guests may use int3 and into.
    let ring = if matches!(vector, 3 | 4) { 3 } else { 0 };
    let low = handler & 0xffff | u64::from(CODE) << 16 | stack << 32 | 0x8e << 40 | ring << 45;
    [low | (handler >> 16 & 0xffff) << 48, handler >> 32]
}

/// Model-specific registers of system calls (AMD64 Architecture Programmer's Manual, volume 2,
/// section 6.1.1).
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const CSTAR: u32 = 0xc000_0083;
const FMASK: u32 = 0xc000_0084;
/// And of `sysenter` (Intel SDM, volume 2, SYSENTER).
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;

/// Whether `sysenter` leads to the hypervisor: in long mode it is Intel's only.
fn has_sysenter() -> bool {
    static KNOWN: Once<bool> = Once::new();
    *KNOWN.call_once(|| {
        const PRESENT: u32 = 1 << 11;
        let vendor = __cpuid(0);
        let is_intel =
            (vendor.ebx, vendor.edx, vendor.ecx) == (0x756e_6547, 0x4965_6e69, 0x6c65_746e);
        is_intel && __cpuid(1).edx & PRESENT != 0
    })
}

/// Whether `sysenter` with single steps on has just led here: the flags are not saved yet.
pub fn is_in_sysenter(rip: u64) -> bool {
    (&raw const sysenter_entry as u64..&raw const sysenter_saved as u64).contains(&rip)
}

/// Has this processor use our gates and our entries for system calls.
pub fn load(number: usize) {
    let idt = IDT.call_once(|| Idt(core::array::from_fn(gate)));
    let limit = (size_of::<Idt>() - 1) as u16;
    let pointer = Pointer { limit, base: core::ptr::from_ref(idt) as u64 };
    // SAFETY: the table is static and every gate leads to an entry point.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(nostack)) }
    let entry = &raw const syscall_entries as u64 + 32 * number as u64;
    super::cpu::write_msr(STAR, (0xe023 << 48) | u64::from(CODE) << 32);
    super::cpu::write_msr(LSTAR, entry);
    super::cpu::write_msr(CSTAR, &raw const syscall32_entry as u64);
    if has_sysenter() {
        super::cpu::write_msr(SYSENTER_CS, CODE.into());
        super::cpu::write_msr(SYSENTER_EIP, &raw const sysenter_entry as u64);
    }
    // TF, IF, DF, IOPL, NT, AC are off in the hypervisor.
    super::cpu::write_msr(FMASK, 0x4_7700);
}
