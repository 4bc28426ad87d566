//! Memory reservations (memory.h).

use super::{DomId, plain};

/// Give pages back.
pub const DECREASE_RESERVATION: u64 = 1;
/// Pages that a domain has.
pub const CURRENT_RESERVATION: u64 = 3;
/// Pages that a domain may have.
pub const MAXIMUM_RESERVATION: u64 = 4;
/// Give a domain pages at frame numbers of its own.
pub const POPULATE_PHYSMAP: u64 = 6;

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
