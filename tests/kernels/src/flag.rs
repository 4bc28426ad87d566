//! Flags of a page table's entries (AMD64 Architecture Programmer's Manual, volume 2).
#![allow(missing_docs)]

pub const PRESENT: u64 = 1;
pub const WRITABLE: u64 = 2;
pub const USER: u64 = 4;
pub const ACCESSED: u64 = 1 << 5;
pub const DIRTY: u64 = 1 << 6;
pub const LARGE: u64 = 1 << 7;
pub const NO_EXECUTE: u64 = 1 << 63;

/// A kernel of 64 bits is in ring 3, as programs are; what has no USER is that of 32 bits' alone.
const OWN: u64 = if cfg!(target_pointer_width = "64") { USER } else { 0 };
pub const READ_ONLY: u64 = PRESENT | ACCESSED | OWN;
pub const DATA: u64 = READ_ONLY | WRITABLE | DIRTY;
pub const TABLE: u64 = DATA | USER;
