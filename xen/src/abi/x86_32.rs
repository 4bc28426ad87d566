//! What has another layout for guests of 32 bits: addresses, frame numbers and `unsigned long` are
//! half as wide there, and words of 64 bits are aligned to 32 (xen.h and others, compiled for i386).

use super::{DomId, plain};

/// Code segment of the kernel (`FLAT_KERNEL_CS`, arch-x86/xen-x86_32.h).
pub const FLAT_KERNEL_CS: u16 = 0xe019;
/// Data segment of the kernel (`FLAT_KERNEL_DS`).
pub const FLAT_KERNEL_DS: u16 = 0xe021;
/// Stack segment of the kernel (`FLAT_KERNEL_SS`).
pub const FLAT_KERNEL_SS: u16 = 0xe021;
/// Where the hypervisor's part of the address space begins (`HYPERVISOR_VIRT_START`), and in it each
/// frame's pfn, 4 bytes (`MACH2PHYS_VIRT_START`).
pub const HYPERVISOR_START: u32 = 0xf580_0000;

/// Offset in a vcpu's part of the shared page: which words of pending bits are not 0, 4 bytes.
pub const PENDING_SELECTOR: usize = 4;
/// In a vcpu's part: the address of the last page fault, 4 bytes.
pub const FAULT_ADDRESS: usize = 8;
/// In the shared page: the ports' pending bits.
pub const PENDING: usize = 2048;
/// The ports' masks.
pub const MASKS: usize = 2176;
/// The wall clock's version, seconds, nanoseconds.
pub const WALL_CLOCK: usize = 2304;
/// Entries of the pfn-to-mfn list, 4 bytes.
pub const MAX_PFN: usize = 2316;
/// The upper half of the wall clock's seconds.
pub const WALL_CLOCK_HIGH: usize = 2340;

/// The start info page (`start_info`), with the console as a domU has it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct StartInfo {
    pub magic: [u8; 32],
    pub nr_pages: u32,
    pub shared_info: u32,
    pub flags: u32,
    pub store_mfn: u32,
    pub store_evtchn: u32,
    pub console_mfn: u32,
    pub console_evtchn: u32,
    pub pt_base: u32,
    pub nr_pt_frames: u32,
    pub mfn_list: u32,
    pub mod_start: u32,
    pub mod_len: u32,
    pub cmd_line: [u8; super::start_info::MAX_GUEST_CMDLINE],
    pub first_p2m_pfn: u32,
    pub nr_p2m_frames: u32,
}

/// General registers (`cpu_user_regs`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct UserRegs {
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
    pub ebp: u32,
    pub eax: u32,
    pub error_code: u16,
    pub entry_vector: u16,
    pub eip: u32,
    pub cs: u16,
    pub saved_upcall_mask: u8,
    pub pad0: u8,
    pub eflags: u32,
    pub esp: u32,
    pub ss: u16,
    pub pad1: u16,
    pub es: u16,
    pub pad2: u16,
    pub ds: u16,
    pub pad3: u16,
    pub fs: u16,
    pub pad4: u16,
    pub gs: u16,
    pub pad5: u16,
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
    /// Code offset.
    pub address: u32,
}

/// All of a vcpu (`vcpu_guest_context`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct GuestContext {
    pub fpu_ctxt: [u8; 512],
    pub flags: u32,
    pub user_regs: UserRegs,
    pub trap_ctxt: [TrapInfo; 256],
    pub ldt_base: u32,
    pub ldt_ents: u32,
    pub gdt_frames: [u32; 16],
    pub gdt_ents: u32,
    pub kernel_ss: u32,
    pub kernel_sp: u32,
    pub ctrlreg: [u32; 8],
    pub debugreg: [u32; 8],
    pub event_callback_cs: u32,
    pub event_callback_eip: u32,
    pub failsafe_callback_cs: u32,
    pub failsafe_callback_eip: u32,
    pub vm_assist: u32,
}

/// How long a vcpu ran and waited (`vcpu_runstate_info`); words of 64 bits are in halves, the lower
/// one first.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Runstate {
    /// What it does.
    pub state: u32,
    /// Since when, in nanoseconds.
    pub state_entry_time: [u32; 2],
    /// How long it was in each state, in nanoseconds.
    pub time: [[u32; 2]; 4],
}

/// When a timer fires once (`vcpu_set_singleshot_timer`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Singleshot {
    /// In nanoseconds since boot, in halves.
    pub timeout_abs_ns: [u32; 2],
    /// `VCPU_SSHOTTMR_*`
    pub flags: u32,
}

/// One operation on page tables or translations (`mmuext_op`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MmuextOp {
    /// Which.
    pub cmd: u32,
    /// A machine frame or a linear address.
    pub arg1: u32,
    /// The operation's second argument.
    pub arg2: u32,
}

/// One of a list of hypercalls (`multicall_entry`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MulticallEntry {
    /// Which.
    pub op: u32,
    /// What came of it.
    pub result: u32,
    /// Its arguments.
    pub args: [u32; 6],
}

/// Which pages of which domain (`xen_memory_reservation`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    /// Address of an array of frame numbers of 4 bytes, in and out.
    pub extent_start: u32,
    /// How many there are.
    pub nr_extents: u32,
    /// Each stands for 2^order pages.
    pub extent_order: u32,
    /// `XENMEMF_*`.
    pub mem_flags: u32,
    /// Whose memory.
    pub domid: DomId,
    /// Padding.
    pub pad: u16,
}

/// Where the machine-to-physical table is (`xen_machphys_mapping`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MachphysMapping {
    /// Its address.
    pub v_start: u32,
    /// Where it can reach to.
    pub v_end: u32,
    /// The last frame it could have an entry for.
    pub max_mfn: u32,
}

/// A memory map (`xen_memory_map`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MemoryMap {
    /// How many entries there is room for, and how many there are.
    pub nr_entries: u32,
    /// Their address.
    pub buffer: u32,
}

/// Waiting for ports (`sched_poll`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// Address of the ports' numbers.
    pub ports: u32,
    /// How many there are.
    pub nr_ports: u32,
    /// Until when, in nanoseconds since boot, in halves.
    pub timeout: [u32; 2],
}

/// An entry point (`callback_register`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CallbackRegister {
    /// `CALLBACKTYPE_*`
    pub r#type: u16,
    /// `CALLBACKF_*`
    pub flags: u16,
    /// Its code segment.
    pub cs: u32,
    /// Its address.
    pub eip: u32,
}

/// A grant table's size (`gnttab_setup_table`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SetupTable {
    /// Whose.
    pub dom: DomId,
    /// Padding.
    pub pad: u16,
    /// Frames that it shall have.
    pub nr_frames: u32,
    /// `GNTST_*`
    pub status: i16,
    /// Padding.
    pub pad2: u16,
    /// Where their numbers go, 4 bytes each.
    pub frame_list: u32,
}

/// Where a grant table's marks are (`gnttab_get_status_frames`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StatusFrames {
    /// How many frames.
    pub nr_frames: u32,
    /// Whose.
    pub dom: DomId,
    /// `GNTST_*`
    pub status: i16,
    /// Where their numbers go, 8 bytes each.
    pub frame_list: u32,
}

/// A piece to be copied between frames (`gnttab_copy`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct GrantCopy {
    /// The source's grant or frame.
    pub source: u32,
    /// Whose it is.
    pub source_domid: DomId,
    /// Where in it.
    pub source_offset: u16,
    /// The destination's grant or frame.
    pub dest: u32,
    /// Whose it is.
    pub dest_domid: DomId,
    /// Where in it.
    pub dest_offset: u16,
    /// How many bytes.
    pub len: u16,
    /// `GNTCOPY_*`
    pub flags: u16,
    /// `GNTST_*`
    pub status: i16,
    /// Padding.
    pub pad: u16,
}

plain!(
    StartInfo,
    UserRegs,
    TrapInfo,
    GuestContext,
    Runstate,
    Singleshot,
    MmuextOp,
    MulticallEntry,
    Reservation,
    MachphysMapping,
    MemoryMap,
    Poll,
    CallbackRegister,
    SetupTable,
    StatusFrames,
    GrantCopy,
);

/// The frame that CR3 names: it is turned, so that 32 bits are enough (`xen_cr3_to_pfn`).
pub fn cr3_to_mfn(cr3: u32) -> u64 {
    u64::from(cr3.rotate_right(12))
}

/// What CR3 is for a frame (`xen_pfn_to_cr3`).
pub fn mfn_to_cr3(mfn: u64) -> u32 {
    (mfn as u32).rotate_left(12)
}
