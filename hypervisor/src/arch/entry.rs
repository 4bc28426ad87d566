//! Where the processor enters the hypervisor, and where it leaves for a guest.
//!
//! From a guest, registers are pushed straight into what the vcpu has for its own, then the
//! processor's stack is used: nothing is copied when another vcpu runs next. From the hypervisor
//! itself, registers are pushed to the stack in use. The four exceptions that may come between the
//! first two instructions of a system call have stacks of their own.

use core::arch::{asm, global_asm};

use spin::Once;

use super::descriptors::{CODE, GUEST_CODE, GUEST_STACK};
use super::processor;

/// What a trap leaves: the order of `struct cpu_user_regs` in arch-x86/xen-x86_64.h, as far as the
/// processor and the stubs save it.
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
const _: () = assert!(core::mem::offset_of!(Frame, stack) % 16 == 0);

const VECTORS: usize = 256;
/// A stub's size in bytes.
const STUB: u64 = 16;
/// Offsets in [`Registers`].
const SIZE: usize = size_of::<Registers>();
const CS: usize = core::mem::offset_of!(Registers, cs);
const RIP: usize = core::mem::offset_of!(Registers, rip);

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

    .balign 16
    .globl trap_stubs, syscall_stubs, syscall_data
trap_stubs:
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
    call {return_failed}
    jmp resume_guest

exception_entry:
    cld
    push_registers
    mov rdi, rsp
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

    // syscall changes no stack and leaves no register free: each processor has a stub of its own.
    .balign 32
syscall_stubs:
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
syscall_entry:
    push r11
    push {code_selector}
    push rcx
    push 0
    mov dword ptr [rsp + 4], {syscall}
    push_registers
    mov rdi, rsp
    mov rsp, [rsp + {size}]
    call {guest_syscall}
    jmp resume_guest

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
    rsp = const core::mem::offset_of!(Registers, rsp),
    size = const SIZE,
    processors = const processor::MAX,
    stack_selector = const GUEST_STACK,
    code_selector = const GUEST_CODE,
    syscall = const SYSCALL,
    guest_trap = sym crate::guest::traps::trap,
    guest_syscall = sym crate::guest::traps::syscall,
    return_failed = sym crate::guest::traps::return_failed,
    hypervisor_trap = sym super::traps::trap,
    exception = sym super::traps::exception,
);

unsafe extern "C" {
    static trap_stubs: u8;
    static syscall_stubs: u8;
    static syscall_data: u8;
    fn leave_for_guest(registers: *mut Registers) -> !;
}

/// Goes on where those registers say; they are a vcpu's own, with a stack behind them.
pub fn leave(registers: *mut Registers) -> ! {
    // SAFETY: registers of a vcpu always say ring 3 and interrupts on: who writes them sees to it.
    unsafe { leave_for_guest(registers) }
}

/// Has system calls on this processor push to that address.
pub fn set_syscall_stack(processor: usize, end: u64) {
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
    let handler = &raw const trap_stubs as u64 + STUB * vector as u64;
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

/// Has this processor use our gates and our entry for system calls.
pub fn load(number: usize) {
    let idt = IDT.call_once(|| Idt(core::array::from_fn(gate)));
    let limit = (size_of::<Idt>() - 1) as u16;
    let pointer = Pointer { limit, base: core::ptr::from_ref(idt) as u64 };
    // SAFETY: the table is static and every gate leads to a stub.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(nostack)) }
    let stub = &raw const syscall_stubs as u64 + 32 * number as u64;
    super::cpu::write_msr(STAR, (0xe023 << 48) | u64::from(CODE) << 32);
    super::cpu::write_msr(LSTAR, stub);
    super::cpu::write_msr(CSTAR, stub);
    // TF, IF, DF, IOPL, NT, AC are off in the hypervisor.
    super::cpu::write_msr(FMASK, 0x4_7700);
}
