//! Mapping what others grant, and giving it up.

use core::sync::atomic::Ordering;

use hypervisor::grants::{Access, What};
use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::{Owner, Use};
use xen::abi::errno::Errno;
use xen::abi::grant::{
    self as op, BAD_DEV_ADDR, BAD_GNTREF, BAD_HANDLE, BAD_PAGE, BAD_VIRT_ADDR, GENERAL_ERROR,
    NO_DEVICE_SPACE, OKAY,
};
use xen::abi::{DomId, plain_structs};

use super::{Operation, Status, named, status};
use crate::arch::memory as machine;
use crate::granting::{self, Mapping};
use crate::guest::memory;
use crate::hypercall::{Answer, Stop};
use crate::vcpu::Guest;
use crate::{frames, host, interrupts, tables};

plain_structs! {
    /// `struct gnttab_map_grant_ref`
    struct Map {
        address: u64, flags: u32, reference: u32, domain: DomId,
        status: Status, handle: u32, device_address: u64,
    }
    /// `struct gnttab_unmap_grant_ref`
    struct Unmap { address: u64, device_address: u64, handle: u32, status: Status, pad: u16 }
    /// `struct gnttab_unmap_and_replace`
    pub struct Replace { address: u64, new_address: u64, handle: u32, status: Status, pad: u16 }
}

const MAP_SIZE: u64 = size_of::<Map>() as u64;
const UNMAP_SIZE: u64 = size_of::<Unmap>() as u64;

/// Maps a list of grants.
pub fn map(guest: &mut Guest<'_>, list: u64, count: u64) -> Answer {
    for index in 0..count {
        let place = list + MAP_SIZE * index;
        if index > 0 && interrupts::are_waiting() {
            return Err(Stop::Again([op::MAP_GRANT_REF, place, count - index, 0, 0, 0]));
        }
        let mut map: Map = memory::read(place)?;
        map.status = match map_one(guest, &mut map) {
            Ok(()) => OKAY,
            Err(status) => status,
        };
        memory::write(place, &map)?;
    }
    Ok(0)
}

fn map_one(guest: &Guest<'_>, map: &mut Map) -> Result<(), Status> {
    let flags = map.flags;
    if flags & (op::MAP_DEVICE_MAP | op::MAP_HOST_MAP) == 0 {
        return Err(BAD_GNTREF);
    }
    let is_writable = flags & op::MAP_READONLY == 0;
    let own = guest.domain();
    let granter = named(guest, map.domain)?;
    let access = Access { is_write: is_writable, is_copy: false };
    let mut table = granter.grants.lock();
    if granter.is_dying.load(Ordering::SeqCst) {
        return Err(GENERAL_ERROR);
    }
    let frame = match table.acquire(map.reference, own.number, access).map_err(status)? {
        What::Frame(held) => held.frame,
        What::Transitive { .. } => {
            table.release(map.reference, is_writable);
            return Err(GENERAL_ERROR);
        }
    };
    drop(table);
    let release = || granter.grants.lock().release(map.reference, is_writable);
    if granting::hold(&granter, frame, is_writable).is_err() {
        release();
        return Err(BAD_PAGE);
    }
    let mapping = Mapping {
        table: granter.grants.clone(),
        reference: map.reference,
        frame,
        is_writable,
        parts: flags & (op::MAP_DEVICE_MAP | op::MAP_HOST_MAP),
        names_entry: flags & op::MAP_CONTAINS_PTE != 0,
    };
    let handle = match own.mappings.lock().insert(mapping) {
        Ok(handle) => handle,
        Err(mapping) => {
            granting::end(own, mapping);
            return Err(NO_DEVICE_SPACE);
        }
    };
    if flags & op::MAP_HOST_MAP != 0 {
        let shown = show(guest, map.address, flags, Some((frame, granter.owner)), |_| true);
        if let Err(status) = shown {
            let mapping = own.mappings.lock().remove(handle);
            mapping.into_iter().for_each(|mapping| granting::end(own, mapping));
            return Err(status);
        }
    }
    map.handle = handle;
    map.device_address = frame << 12;
    Ok(())
}

/// An entry of a page table, now.
fn read(table: u64, index: usize) -> Entry {
    Entry(machine::word(table, index).load(Ordering::Relaxed))
}

/// The entry that an address means: that of a page, or the machine address of the entry itself.
fn entry_of(guest: &Guest<'_>, address: u64, names_entry: bool) -> Result<(u64, usize), Status> {
    let own = guest.domain();
    let (table, index) = match names_entry {
        true if address & 7 == 0 => (address >> 12, (address & 4095) as usize / 8),
        true => return Err(GENERAL_ERROR),
        false => {
            let found = tables::lookup(guest.own.kernel_table, address).ok_or(GENERAL_ERROR)?;
            (found.0, found.1)
        }
    };
    let page = frames::page(table).ok_or(GENERAL_ERROR)?;
    if page.is_table_of(Use::L1, own.owner) { Ok((table, index)) } else { Err(GENERAL_ERROR) }
}

/// Has a page table show a granted frame, or nothing, where it shows what `is_expected` finds good.
fn show(
    guest: &Guest<'_>,
    address: u64,
    flags: u32,
    granted: Option<(u64, Owner)>,
    is_expected: impl Fn(Entry) -> bool,
) -> Result<(), Status> {
    let own = guest.domain();
    let _lock = own.tables.lock();
    let (table, index) = entry_of(guest, address, flags & op::MAP_CONTAINS_PTE != 0)?;
    let rules = own.rules();
    if !is_expected(read(table, index)) {
        return Err(GENERAL_ERROR);
    }
    let (entry, from) = match granted {
        Some((frame, owner)) => (Entry::new(frame, entry_flags(flags)), owner),
        None => (Entry(0), own.owner),
    };
    rules.update_mapping(table, index, from, |_| entry).map(|_| ()).map_err(|_| GENERAL_ERROR)
}

/// The flags of an entry for a grant that is mapped with those (GNTMAP_*).
fn entry_flags(flags: u32) -> u64 {
    /// Bits of an entry that are the guest's.
    const AVAILABLE: u64 = 0xe00;
    let set = |wanted: bool, bit| if wanted { bit } else { 0 };
    Entry::PRESENT
        | Entry::ACCESSED
        | Entry::DIRTY
        | set(flags & op::MAP_READONLY == 0, Entry::WRITABLE)
        | set(flags & op::MAP_APPLICATION_MAP != 0, Entry::USER)
        | u64::from(flags >> op::MAP_GUEST_AVAIL0) << 9 & AVAILABLE
}

/// Gives a list of mappings up. Frames are let go when no processor remembers them.
pub fn unmap(guest: &mut Guest<'_>, list: u64, count: u64) -> Answer {
    let mut result = Ok(0);
    for index in 0..count {
        let place = list + UNMAP_SIZE * index;
        if index > 0 && interrupts::are_waiting() {
            result = Err(Stop::Again([op::UNMAP_GRANT_REF, place, count - index, 0, 0, 0]));
            break;
        }
        let unmapped = memory::read(place).and_then(|mut unmap: Unmap| {
            unmap.status = unmap_one(guest, &unmap).err().unwrap_or(OKAY);
            memory::write(place, &unmap)
        });
        if let Err(error) = unmapped {
            result = Err(error.into());
            break;
        }
    }
    host::flush(guest.domain().owner);
    result
}

fn unmap_one(guest: &Guest<'_>, unmap: &Unmap) -> Result<(), Status> {
    let own = guest.domain();
    let mut mappings = own.mappings.lock();
    let mapping = mappings.get(unmap.handle).ok_or(BAD_HANDLE)?;
    let frame = mapping.frame;
    let mut parts = mapping.parts;
    if unmap.device_address != 0 && parts & op::MAP_DEVICE_MAP != 0 {
        if unmap.device_address >> 12 != frame {
            return Err(BAD_DEV_ADDR);
        }
        parts &= !op::MAP_DEVICE_MAP;
    }
    if unmap.address != 0 && parts & op::MAP_HOST_MAP != 0 {
        hide(guest, unmap.address, mapping)?;
        parts &= !op::MAP_HOST_MAP;
    }
    mapping.parts = parts;
    if parts == 0 {
        let ended = mappings.remove(unmap.handle);
        drop(mappings);
        ended.into_iter().for_each(|mapping| granting::end(own, mapping));
    }
    Ok(())
}

/// Has a page table show a frame no more.
fn hide(guest: &Guest<'_>, address: u64, mapping: &Mapping) -> Result<(), Status> {
    let flags = if mapping.names_entry { op::MAP_CONTAINS_PTE } else { 0 };
    let shows = |entry: Entry| entry.is_present() && entry.mfn() == mapping.frame;
    show(guest, address, flags, None, shows).map_err(|_| BAD_VIRT_ADDR)
}

impl Operation for Replace {
    /// Gives a mapping up, and has what another address shows in its place.
    fn perform(&mut self, guest: &mut Guest<'_>) -> Result<(), Errno> {
        self.status = replace(guest, self).err().unwrap_or(OKAY);
        host::flush(guest.domain().owner);
        Ok(())
    }
}

fn replace(guest: &Guest<'_>, replace: &Replace) -> Result<(), Status> {
    let own = guest.domain();
    let mut mappings = own.mappings.lock();
    let mapping = mappings.get(replace.handle).ok_or(BAD_HANDLE)?;
    if mapping.parts != op::MAP_HOST_MAP {
        return Err(GENERAL_ERROR);
    }
    let frame = mapping.frame;
    {
        let _lock = own.tables.lock();
        let rules = own.rules();
        let (table, index) = entry_of(guest, replace.address, false)?;
        let (new_table, new_index) = entry_of(guest, replace.new_address, false)?;
        let (old, new) = (read(table, index), read(new_table, new_index));
        if !old.is_present() || old.mfn() != frame {
            return Err(GENERAL_ERROR);
        }
        rules.update_mapping(table, index, own.owner, |_| new).map_err(|_| GENERAL_ERROR)?;
        let emptied = rules.update_mapping(new_table, new_index, own.owner, |_| Entry(0));
        emptied.map_err(|_| GENERAL_ERROR)?;
    }
    let ended = mappings.remove(replace.handle);
    drop(mappings);
    ended.into_iter().for_each(|mapping| granting::end(own, mapping));
    Ok(())
}
