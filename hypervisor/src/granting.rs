//! Grant tables of the machine's domains, and what they map of each other's.

use alloc::sync::Arc;
use core::sync::atomic::AtomicU64;

use hypervisor::grants::maptrack::Maptrack;
use hypervisor::grants::{Memory, Table};
use hypervisor::paging::Error;
use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::{Owner, Use};
use xen::abi::errno::{EINVAL, Errno};

use crate::arch::memory;
use crate::domain::Domain;
use crate::frames;
use crate::lock::Mutex;

/// A table has so many frames at most if nobody says otherwise, as on Xen.
pub const DEFAULT_FRAMES: usize = 64;
/// Mappings in what Xen calls a frame of the maptrack.
pub const MAPPINGS_PER_FRAME: usize = 512;
/// Frames of mappings, if nobody says otherwise.
pub const DEFAULT_MAPTRACK: usize = 1024;

/// Frames that are shared with a granter.
pub struct Shared(pub Owner);

impl Memory for Shared {
    fn take(&self) -> Option<u64> {
        frames::take_shared(self.0)
    }

    fn give(&self, frame: u64) {
        frames::give_shared(frame);
    }

    fn word(&self, frame: u64, index: usize) -> &AtomicU64 {
        memory::word(frame, index)
    }
}

/// A domain's table. It outlives the domain as long as others map what it grants.
pub type GrantTable = Arc<Mutex<Table<Shared>>>;

/// A grant of another domain that is mapped.
pub struct Mapping {
    /// Whose.
    pub table: GrantTable,
    /// Which entry.
    pub reference: u32,
    /// The frame.
    pub frame: u64,
    /// It may be written to.
    pub is_writable: bool,
    /// For what it was mapped and not yet unmapped: GNTMAP_device_map, GNTMAP_host_map.
    pub parts: u32,
    /// It was mapped at the machine address of an entry (GNTMAP_contains_pte).
    pub names_entry: bool,
}

/// A domain's mappings.
pub type Mappings = Mutex<Maptrack<Mapping>>;

/// Holds a granted frame: it stays what it is, and whose it is.
pub fn hold(domain: &Domain, frame: u64, is_write: bool) -> Result<(), Error> {
    let page = frames::page(frame).ok_or(Error::Invalid)?;
    match is_write {
        true if page.count(domain.owner, Use::Writable) => Ok(()),
        true => domain.rules().get(frame, domain.owner, Use::Writable).map(|_| ()),
        false => Ok(page.get(domain.owner)?),
    }
}

/// Lets go of one.
pub fn let_go(domain: &Domain, frame: u64, is_write: bool) {
    let flags = Entry::PRESENT | if is_write { Entry::WRITABLE } else { 0 };
    domain.rules().release(Entry::new(frame, flags));
}

/// The frames of a table from one on (XENMEM_resource_grant_table): the table grows as it has to.
pub fn frames_of(
    domain: &Domain,
    are_marks: bool,
    first: usize,
    count: usize,
    mut each: impl FnMut(u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut table = domain.grants.lock();
    let end = first.checked_add(count).ok_or(EINVAL)?;
    if !are_marks {
        table.grow(end).map_err(|_| EINVAL)?;
    }
    let frames = if are_marks { table.status_frames() } else { table.frames() };
    frames.get(first..end).ok_or(EINVAL)?.iter().try_for_each(|frame| each(*frame))
}

/// Ends a mapping, which no page table shows any more, or which is shown by tables that hold the
/// frame themselves.
pub fn end(domain: &Domain, mapping: Mapping) {
    let_go(domain, mapping.frame, mapping.is_writable);
    mapping.table.lock().release(mapping.reference, mapping.is_writable);
}

/// Ends all mappings of a domain that is destroyed, or as many as can be at once; true if there are
/// more.
pub fn end_some(domain: &Domain) -> bool {
    for _ in 0..MAPPINGS_PER_FRAME {
        let Some(mapping) = domain.mappings.lock().pop() else { return false };
        end(domain, mapping);
    }
    true
}
