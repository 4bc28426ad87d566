//! Exceptions and interrupts: the gates, what they save, and where they lead.

use core::arch::{asm, global_asm};
use core::fmt;

use spin::Once;

use super::descriptors::{CODE, DOUBLE_FAULT_STACK};

/// What a trap leaves on the stack: the order of `struct cpu_user_regs` in arch-x86/xen-x86_64.h,
/// as far as the processor and the stubs save it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
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

impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rip {:016x}  cs {:04x}  rflags {:08x}", self.rip, self.cs, self.rflags)?;
        writeln!(f, "rsp {:016x}  ss {:04x}", self.rsp, self.ss)?;
        writeln!(f, "rax {:016x}  rbx {:016x}  rcx {:016x}", self.rax, self.rbx, self.rcx)?;
        writeln!(f, "rdx {:016x}  rsi {:016x}  rdi {:016x}", self.rdx, self.rsi, self.rdi)?;
        writeln!(f, "rbp {:016x}  r8  {:016x}  r9  {:016x}", self.rbp, self.r8, self.r9)?;
        writeln!(f, "r10 {:016x}  r11 {:016x}  r12 {:016x}", self.r10, self.r11, self.r12)?;
        write!(f, "r13 {:016x}  r14 {:016x}  r15 {:016x}", self.r13, self.r14, self.r15)
    }
}

const VECTORS: usize = 256;
const DOUBLE_FAULT: usize = 8;
/// A stub's size in bytes.
const STUB: u64 = 16;

global_asm!(
    r#"
    .balign 16
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    // 8, 10 to 14, 17, 21, 29 and 30 push an error code themselves.
    .if ((1 << (vector & 31)) & 0x60227d00) == 0 || vector > 31
    push 0
    .endif
    mov dword ptr [rsp + 4], vector
    jmp trap_entry
    .set vector, vector + 1
    .endr

trap_entry:
    cld
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
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call {trap}
    mov rsp, rbp
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
    add rsp, 8
    iretq
    "#,
    trap = sym trap,
);

unsafe extern "C" {
    static trap_stubs: u8;
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
    let stack = if vector == DOUBLE_FAULT { u64::from(DOUBLE_FAULT_STACK) } else { 0 };
    let low = handler & 0xffff | u64::from(CODE) << 16 | stack << 32 | 0x8e << 40;
    [low | (handler >> 16 & 0xffff) << 48, handler >> 32]
}

/// Has the processor use our gates.
pub fn load() {
    let idt = IDT.call_once(|| Idt(core::array::from_fn(gate)));
    let limit = (size_of::<Idt>() - 1) as u16;
    let pointer = Pointer { limit, base: core::ptr::from_ref(idt) as u64 };
    // SAFETY: the table is static and every gate leads to a stub.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer) }
}

const NAMES: [&str; 21] = [
    "divide error",
    "debug",
    "nmi",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment",
    "invalid tss",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "spurious",
    "x87 error",
    "alignment check",
    "machine check",
    "simd error",
    "virtualization",
];

extern "C" fn trap(registers: &mut Registers) {
    let vector = registers.vector as usize;
    let name = NAMES.get(vector).copied().unwrap_or("interrupt");
    let address = x86_64::registers::control::Cr2::read_raw();
    panic!(
        "{name} (vector {vector}, error {:x}, cr2 {address:016x})\n{registers}",
        registers.error
    );
}
