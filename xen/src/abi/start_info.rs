//! What a PV kernel is told at its start (xen.h).

use super::plain;

/// `mod_start` is a pfn (`SIF_MOD_START_PFN`).
pub const SIF_MOD_START_PFN: u32 = 1 << 3;
/// The tools understand a virtually mapped p2m (`SIF_VIRT_P2M_4TOOLS`).
pub const SIF_VIRT_P2M_4TOOLS: u32 = 1 << 4;
/// Bytes for the command line, its NUL included.
pub const MAX_GUEST_CMDLINE: usize = 1024;

/// The start info page (`start_info`), with the console as a domU has it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StartInfo {
    /// `xen-<version>-<platform>`.
    pub magic: [u8; 32],
    /// Pages of this domain.
    pub nr_pages: u64,
    /// Machine address of the shared info page.
    pub shared_info: u64,
    /// `SIF_*`.
    pub flags: u32,
    /// Padding.
    pub pad: u32,
    /// Machine frame of the store's ring.
    pub store_mfn: u64,
    /// Event channel of the store.
    pub store_evtchn: u32,
    /// Padding.
    pub pad2: u32,
    /// Machine frame of the console ring.
    pub console_mfn: u64,
    /// Event channel of the console.
    pub console_evtchn: u32,
    /// Padding.
    pub pad3: u32,
    /// Virtual address of the top page table.
    pub pt_base: u64,
    /// How many pages are page tables.
    pub nr_pt_frames: u64,
    /// Virtual address of the pfn-to-mfn list.
    pub mfn_list: u64,
    /// Virtual address, or pfn, of the ramdisk.
    pub mod_start: u64,
    /// Bytes of the ramdisk.
    pub mod_len: u64,
    /// NUL-terminated.
    pub cmd_line: [u8; MAX_GUEST_CMDLINE],
    /// First pfn of the pfn-to-mfn list, when it is outside the initial mapping.
    pub first_p2m_pfn: u64,
    /// How many pages it has, its page tables included.
    pub nr_p2m_frames: u64,
}

plain!(StartInfo);
