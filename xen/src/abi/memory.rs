//! Memory reservations (memory.h).

use super::{DomId, plain};

/// Get pages, to be placed later.
pub const INCREASE_RESERVATION: u64 = 0;
/// Give pages back.
pub const DECREASE_RESERVATION: u64 = 1;
/// The machine's last frame.
pub const MAXIMUM_RAM_PAGE: u64 = 2;
/// Pages that a domain has.
pub const CURRENT_RESERVATION: u64 = 3;
/// Pages that a domain may have.
pub const MAXIMUM_RESERVATION: u64 = 4;
/// The frames of the machine-to-physical table.
pub const MACHPHYS_MFN_LIST: u64 = 5;
/// Give a domain pages at frame numbers of its own.
pub const POPULATE_PHYSMAP: u64 = 6;
/// The caller's own memory map.
pub const MEMORY_MAP: u64 = 9;
/// The machine's memory map.
pub const MACHINE_MEMORY_MAP: u64 = 10;
/// Pages for others, in a row or low ones.
pub const EXCHANGE: u64 = 11;
/// Where the machine-to-physical table is.
pub const MACHPHYS_MAPPING: u64 = 12;
/// A domain's last frame number of its own.
pub const MAXIMUM_GPFN: u64 = 14;
/// Pages that sharing saved.
pub const GET_SHARING_FREED_PAGES: u64 = 18;
/// Pages that are shared.
pub const GET_SHARING_SHARED_PAGES: u64 = 19;
/// Promise a domain pages.
pub const CLAIM_PAGES: u64 = 24;
/// Memory that devices need as it is.
pub const RESERVED_DEVICE_MEMORY_MAP: u64 = 27;
/// Frames of another domain's that are no memory of its own.
pub const ACQUIRE_RESOURCE: u64 = 28;

/// The frames of a grant table.
pub const RESOURCE_GRANT_TABLE: u16 = 1;
/// Of a grant table: its entries.
pub const RESOURCE_GRANT_TABLE_SHARED: u32 = 0;
/// Of a grant table: the second layout's marks.
pub const RESOURCE_GRANT_TABLE_STATUS: u32 = 1;

/// Which pages of which domain (`xen_memory_reservation`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    /// Address of an array of frame numbers, in and out.
    pub extent_start: u64,
    /// How many there are.
    pub nr_extents: u64,
    /// Each stands for 2^order pages.
    pub extent_order: u32,
    /// `XENMEMF_*`.
    pub mem_flags: u32,
    /// Whose memory.
    pub domid: DomId,
    /// Padding.
    pub pad: [u16; 3],
}

plain!(Reservation);
