//! Where the processor enters the hypervisor, and where it leaves for a guest.
//!
//! From a guest, registers are pushed straight into what the vcpu has for its own, then the
//! processor's stack is used: nothing is copied when another vcpu runs next. From the hypervisor
//! itself, registers are pushed to the stack in use. The four exceptions that may come between the
//! first two instructions of a system call have stacks of their own.

use core::arch::global_asm;
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use xen::abi::assist::ARCHITECTURAL_IOPL;
use xen::abi::vcpu::{IN_SYSCALL, TrapInfo};

use super::descriptors::{GUEST_CODE, GUEST_CODE_32, GUEST_STACK, NUMBER};
use super::processor;
use crate::domain::Domain;
use crate::guest::bounce::{CLEARED, IF, IOPL, VM};
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
/// What the entry points of traps and of `syscall` are apart, in bytes.
const TRAP_SIZE: u64 = 16;
const SYSCALL_SIZE: u64 = 32;
/// Offsets in [`Registers`].
const SIZE: usize = size_of::<Registers>();
const CS: usize = offset_of!(Registers, cs);
const RIP: usize = offset_of!(Registers, rip);

global_asm!(
    include_str!("entry/macros.s"),
    include_str!("entry/traps.s"),
    include_str!("entry/syscalls.s"),
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
    iret = const xen::abi::hypercall::IRET,
    in_syscall = const IN_SYSCALL,
    guest_end = const GUEST_HIGH,
    direct_map = const super::memory::DIRECT_MAP,
    user_flags = const !(IOPL | VM) & 0xffff_ffff,
    kernel_flags = const !(IF | IOPL) & 0xffff_ffff,
    called_flags = const !CLEARED & 0xffff_ffff,
    stack_failed = sym crate::guest::traps::stack_failed,
    forgets_returns = sym FORGETS_RETURNS,
    empties_buffers = sym EMPTIES_BUFFERS,
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

/// Whether the processor's buffers are emptied before it goes on with a guest.
static EMPTIES_BUFFERS: AtomicBool = AtomicBool::new(false);

/// Has the processor's buffers emptied before it goes on with a guest.
pub fn empty_buffers() {
    EMPTIES_BUFFERS.store(true, Ordering::Relaxed);
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

/// Where the gate of a vector leads to.
pub fn trap(vector: usize) -> u64 {
    &raw const trap_entries as u64 + TRAP_SIZE * vector as u64
}

/// Where `syscall` leads to on a processor.
pub fn syscall(number: usize) -> u64 {
    &raw const syscall_entries as u64 + SYSCALL_SIZE * number as u64
}

/// Where `syscall` leads to from 32-bit code.
pub fn syscall32() -> u64 {
    &raw const syscall32_entry as u64
}

/// Where `sysenter` leads to, up to where the program's flags are saved.
pub fn sysenter() -> Range<u64> {
    &raw const sysenter_entry as u64..&raw const sysenter_saved as u64
}

/// Has `syscall` on a processor push to that address.
pub fn set_syscall_stack(number: usize, end: u64) {
    assert!(number < processor::MAX);
    let data = (&raw const syscall_data).cast_mut().cast::<u64>();
    // SAFETY: two words a processor; only the processor itself uses its words.
    unsafe { data.add(number * 2 + 1).write_volatile(end) }
}
