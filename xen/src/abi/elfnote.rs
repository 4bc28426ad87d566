//! Notes by which a kernel says what it needs (elfnote.h, features.h).

/// Entry point.
pub const ENTRY: u32 = 1;
/// Where the hypercall page goes.
pub const HYPERCALL_PAGE: u32 = 2;
/// Where the kernel is mapped.
pub const VIRT_BASE: u32 = 3;
/// What to subtract from physical addresses in the file.
pub const PADDR_OFFSET: u32 = 4;
/// Interface version.
pub const XEN_VERSION: u32 = 5;
/// Operating system.
pub const GUEST_OS: u32 = 6;
/// Its version.
pub const GUEST_VERSION: u32 = 7;
/// Kind of loader.
pub const LOADER: u32 = 8;
/// 32-bit kernels: PAE.
pub const PAE_MODE: u32 = 9;
/// Features, as words.
pub const FEATURES: u32 = 10;
/// Where to map the pfn-to-mfn list.
pub const INIT_P2M: u32 = 15;
/// The ramdisk may be outside the initial mapping.
pub const MOD_START_PFN: u32 = 16;
/// Features, as a bitmap.
pub const SUPPORTED_FEATURES: u32 = 17;

/// The kernel bears being told that page tables are writable by it (`XENFEAT_writable_page_tables`).
pub const FEATURE_WRITABLE_PAGE_TABLES: u32 = 0;
/// The kernel expects pfns where others expect mfns (`XENFEAT_auto_translated_physmap`).
pub const FEATURE_AUTO_TRANSLATED_PHYSMAP: u32 = 2;
