//! Tells a processor where it enters the hypervisor: gates for traps, registers for system calls.

use core::arch::asm;
use core::arch::x86_64::__cpuid;

use spin::Once;

use super::descriptors::CODE;
use super::{cpu, entry};

const VECTORS: usize = 256;
/// By which kernels of 32 bits make hypercalls (`HYPERCALL_VECTOR` of Xen; kernels have it from the
/// page for hypercalls).
pub const NARROW_HYPERCALL: usize = 0x82;

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
    let handler = entry::trap(vector);
    let stack = match vector {
        1 => 1,
        2 => 2,
        18 => 3,
        8 => 4,
        _ => 0,
    };
    // Guests may use int3 and into; kernels of 32 bits, in ring 1, make hypercalls.
    let ring = match vector {
        3 | 4 => 3,
        NARROW_HYPERCALL => 1,
        _ => 0,
    };
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
    entry::sysenter().contains(&rip)
}

/// Has system calls on this processor push to that address.
pub fn set_stack(number: usize, end: u64) {
    if has_sysenter() {
        cpu::write_msr(SYSENTER_ESP, end);
    }
    entry::set_syscall_stack(number, end);
}

/// Has this processor use our gates and our entries for system calls.
pub fn load(number: usize) {
    let idt = IDT.call_once(|| Idt(core::array::from_fn(gate)));
    let limit = (size_of::<Idt>() - 1) as u16;
    let pointer = Pointer { limit, base: core::ptr::from_ref(idt) as u64 };
    // SAFETY: the table is static and every gate leads to an entry point.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(nostack)) }
    cpu::write_msr(STAR, (0xe023 << 48) | u64::from(CODE) << 32);
    cpu::write_msr(LSTAR, entry::syscall(number));
    cpu::write_msr(CSTAR, entry::syscall32());
    if has_sysenter() {
        cpu::write_msr(SYSENTER_CS, CODE.into());
        cpu::write_msr(SYSENTER_EIP, entry::sysenter().start);
    }
    // TF, IF, DF, IOPL, NT, AC are off in the hypervisor.
    cpu::write_msr(FMASK, 0x4_7700);
}
