//! Operations on vcpus (vcpu.h) and their registers (arch-x86/xen.h, arch-x86/xen-x86_64.h).

use super::plain;

/// Its first registers.
pub const INITIALISE: u64 = 0;
/// Have it run.
pub const UP: u64 = 1;
/// Have it run no more.
pub const DOWN: u64 = 2;
/// Whether it is to run.
pub const IS_UP: u64 = 3;
/// How long it ran and waited.
pub const GET_RUNSTATE_INFO: u64 = 4;
/// Where the same is shown from now on.
pub const REGISTER_RUNSTATE_MEMORY_AREA: u64 = 5;
/// A timer that comes again and again.
pub const SET_PERIODIC_TIMER: u64 = 6;
/// Stop that.
pub const STOP_PERIODIC_TIMER: u64 = 7;
/// A timer that comes once.
pub const SET_SINGLESHOT_TIMER: u64 = 8;
/// Stop that.
pub const STOP_SINGLESHOT_TIMER: u64 = 9;
/// Another place for what it shares with the hypervisor.
pub const REGISTER_VCPU_INFO: u64 = 10;
/// A non-maskable interrupt for it.
pub const SEND_NMI: u64 = 11;
/// The numbers of the processor that it is tied to.
pub const GET_PHYSID: u64 = 12;

/// The vcpu starts in kernel mode (`VGCF_in_kernel`).
pub const IN_KERNEL: u64 = 1 << 2;
/// The vcpu is online (`VGCF_online`).
pub const ONLINE: u64 = 1 << 5;
/// The FPU's state is there (`VGCF_i387_valid`).
pub const I387_VALID: u64 = 1 << 0;
/// The failsafe callback masks events (`VGCF_failsafe_disables_events`).
pub const FAILSAFE_DISABLES_EVENTS: u64 = 1 << 3;
/// That of system calls does (`VGCF_syscall_disables_events`).
pub const SYSCALL_DISABLES_EVENTS: u64 = 1 << 4;
/// In iret's frame: back from a system call (`VGCF_in_syscall`).
pub const IN_SYSCALL: u64 = 1 << 8;
/// Code segment of a 64-bit kernel (`FLAT_KERNEL_CS64`).
pub const FLAT_KERNEL_CS: u16 = 0xe033;
/// Data segment of a 64-bit kernel (`FLAT_KERNEL_DS64`).
pub const FLAT_KERNEL_DS: u16 = 0;
/// Stack segment of a 64-bit kernel (`FLAT_KERNEL_SS64`).
pub const FLAT_KERNEL_SS: u16 = 0xe02b;
/// FS's base (`SEGBASE_FS`).
pub const SEGBASE_FS: u64 = 0;
/// The base of the programs' GS (`SEGBASE_GS_USER`).
pub const SEGBASE_GS_USER: u64 = 1;
/// The base of the kernel's GS (`SEGBASE_GS_KERNEL`).
pub const SEGBASE_GS_KERNEL: u64 = 2;
/// The selector of the programs' GS (`SEGBASE_GS_USER_SEL`).
pub const SEGBASE_GS_USER_SEL: u64 = 3;

/// General registers (`cpu_user_regs`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct UserRegs {
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
    pub error_code: u32,
    pub entry_vector: u32,
    pub rip: u64,
    pub cs: u16,
    pub pad0: u16,
    pub saved_upcall_mask: u8,
    pub pad1: [u8; 3],
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u16,
    pub pad2: [u16; 3],
    pub es: u16,
    pub pad3: [u16; 3],
    pub ds: u16,
    pub pad4: [u16; 3],
    pub fs: u16,
    pub pad5: [u16; 3],
    pub gs: u16,
    pub pad6: [u16; 3],
}

/// One gate of the virtual interrupt table (`trap_info`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TrapInfo {
    /// Exception.
    pub vector: u8,
    /// Privilege level, and whether events are masked.
    pub flags: u8,
    /// Code segment.
    pub cs: u16,
    /// Padding.
    pub pad: u32,
    /// Code offset.
    pub address: u64,
}

/// All of a vcpu (`vcpu_guest_context`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct GuestContext {
    pub fpu_ctxt: [u8; 512],
    pub flags: u64,
    pub user_regs: UserRegs,
    pub trap_ctxt: [TrapInfo; 256],
    pub ldt_base: u64,
    pub ldt_ents: u64,
    pub gdt_frames: [u64; 16],
    pub gdt_ents: u64,
    pub kernel_ss: u64,
    pub kernel_sp: u64,
    pub ctrlreg: [u64; 8],
    pub debugreg: [u64; 8],
    pub event_callback_eip: u64,
    pub failsafe_callback_eip: u64,
    pub syscall_callback_eip: u64,
    pub vm_assist: u64,
    pub fs_base: u64,
    pub gs_base_kernel: u64,
    pub gs_base_user: u64,
}

plain!(UserRegs, TrapInfo, GuestContext);
