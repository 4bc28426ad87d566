//! Grant tables (grant_table.h).

use super::{DomId, plain};

/// The entry that the builder fills in for the console ring.
pub const RESERVED_CONSOLE: u32 = 0;
/// The entry that the builder fills in for the store's ring.
pub const RESERVED_XENSTORE: u32 = 1;

/// Make the grant table and say where it is.
pub const SETUP_TABLE: u64 = 2;

/// The frame may be mapped by the named domain.
pub const PERMIT_ACCESS: u16 = 1;
/// What another domain granted may be used by the named one.
pub const TRANSITIVE: u16 = 3;
/// Which of these an entry is.
pub const TYPE_MASK: u16 = 3;
/// Not to be written to.
pub const READ_ONLY: u16 = 1 << 2;
/// It is in use.
pub const READING: u16 = 1 << 3;
/// It is in use for writing.
pub const WRITING: u16 = 1 << 4;
/// A part of a frame.
pub const SUB_PAGE: u16 = 1 << 8;

/// Argument of [`SETUP_TABLE`] (`gnttab_setup_table`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SetupTable {
    /// Whose table.
    pub dom: DomId,
    /// Padding.
    pub pad: u16,
    /// How many frames it shall have.
    pub nr_frames: u32,
    /// 0, or a negative error (out).
    pub status: i16,
    /// Padding.
    pub pad2: [u16; 3],
    /// Address of an array of frame numbers (out).
    pub frame_list: u64,
}

/// One entry of the first version's table (`grant_entry_v1`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct EntryV1 {
    /// `GTF_*`.
    pub flags: u16,
    /// To whom.
    pub domid: DomId,
    /// Which frame.
    pub frame: u32,
}

plain!(SetupTable, EntryV1);
