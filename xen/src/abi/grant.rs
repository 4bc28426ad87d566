//! Grant tables (grant_table.h).

use super::{DomId, plain};

/// The entry that the builder fills in for the console ring.
pub const RESERVED_CONSOLE: u32 = 0;
/// The entry that the builder fills in for the store's ring.
pub const RESERVED_XENSTORE: u32 = 1;

/// Map frames that others grant.
pub const MAP_GRANT_REF: u64 = 0;
/// Give such mappings up.
pub const UNMAP_GRANT_REF: u64 = 1;
/// Make the grant table and say where it is.
pub const SETUP_TABLE: u64 = 2;
/// Copy between frames that are granted or own.
pub const COPY: u64 = 5;
/// A table's size, now and at most.
pub const QUERY_SIZE: u64 = 6;
/// Give a mapping up, with another address's entry in its place.
pub const UNMAP_AND_REPLACE: u64 = 7;
/// The table's layout, from now on.
pub const SET_VERSION: u64 = 8;
/// Where the second layout's marks are.
pub const GET_STATUS_FRAMES: u64 = 9;
/// A table's layout.
pub const GET_VERSION: u64 = 10;
/// Two entries change places.
pub const SWAP_GRANT_REF: u64 = 11;
/// Have caches written back or forgotten.
pub const CACHE_FLUSH: u64 = 12;

/// It went well.
pub const OKAY: i16 = 0;
/// It failed, for whatever reason.
pub const GENERAL_ERROR: i16 = -1;
/// No such domain.
pub const BAD_DOMAIN: i16 = -2;
/// No such entry.
pub const BAD_GNTREF: i16 = -3;
/// No such mapping.
pub const BAD_HANDLE: i16 = -4;
/// The frame is not mapped there.
pub const BAD_VIRT_ADDR: i16 = -5;
/// Devices do not have it there.
pub const BAD_DEV_ADDR: i16 = -6;
/// No room for another mapping.
pub const NO_DEVICE_SPACE: i16 = -7;
/// The caller may not.
pub const PERMISSION_DENIED: i16 = -8;
/// That frame will not do.
pub const BAD_PAGE: i16 = -9;
/// More is to be copied than a page has.
pub const BAD_COPY_ARG: i16 = -10;

/// Map for devices.
pub const MAP_DEVICE_MAP: u32 = 1 << 0;
/// Map in page tables.
pub const MAP_HOST_MAP: u32 = 1 << 1;
/// Map without the right to write.
pub const MAP_READONLY: u32 = 1 << 2;
/// Map for programs, too.
pub const MAP_APPLICATION_MAP: u32 = 1 << 3;
/// The address is a page table entry's own.
pub const MAP_CONTAINS_PTE: u32 = 1 << 4;
/// The first of the bits that are for the entry as they are.
pub const MAP_GUEST_AVAIL0: u32 = 16;
/// What is copied is granted.
pub const COPY_SOURCE_GREF: u16 = 1 << 0;
/// What is written to is granted.
pub const COPY_DEST_GREF: u16 = 1 << 1;
/// For `CACHE_FLUSH`: write back.
pub const CACHE_CLEAN: u32 = 1 << 0;
/// For `CACHE_FLUSH`: forget.
pub const CACHE_INVAL: u32 = 1 << 1;

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
