//! memory_op: frames a domain gets and gives back, and what it may know of memory (memory.h).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use hypervisor::memory_map::Kind;
use xen::abi::errno::{EFAULT, EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, ESRCH, Errno};
use xen::abi::memory::{self as op, Reservation};
use xen::abi::{DOMID_SELF, DomId, plain_structs};

use super::{Answer, Stop};
use crate::arch::memory::MACHINE_TO_PHYSICAL;
use crate::domain::{self, Domain};
use crate::guest::memory;
use crate::vcpu::Guest;
use crate::{frames, granting, interrupts};

/// In the command: how much was done before (MEMOP_EXTENT_SHIFT).
const DONE_SHIFT: u32 = 6;
/// Where a large page's machine-to-physical table ends (MACH2PHYS_VIRT_END).
const MACHINE_TO_PHYSICAL_END: u64 = 0xffff_8040_0000_0000;
const LARGE_PAGE: u64 = 2 << 20;

plain_structs! {
    /// `struct xen_machphys_mapping`
    struct MachineToPhysical { start: u64, end: u64, max: u64 }
    /// `struct xen_machphys_mfn_list`
    struct MachineToPhysicalList { max: u32, pad: u32, list: u64, count: u32, pad2: u32 }
    /// `struct xen_memory_map`
    struct Map { count: u32, pad: u32, buffer: u64 }
    /// `struct xen_mem_acquire_resource`
    struct Resource { domain: DomId, kind: u16, id: u32, count: u32, pad: u32, first: u64, list: u64 }
    /// An entry of it, 20 bytes.
    struct Exchange { from: [u64; 4], to: [u64; 4], done: u64 }
}

/// Whose memory is meant.
enum Whom<'a> {
    Own(&'a Domain),
    Other(Arc<Domain>),
}

impl core::ops::Deref for Whom<'_> {
    type Target = Domain;
    fn deref(&self) -> &Domain {
        match self {
            Self::Own(domain) => domain,
            Self::Other(domain) => domain,
        }
    }
}

fn whom<'a>(guest: &Guest<'a>, number: DomId) -> Result<Whom<'a>, Errno> {
    let own = guest.domain();
    if number == DOMID_SELF || number == own.number {
        return Ok(Whom::Own(own));
    }
    let other = domain::find(number).ok_or(ESRCH)?;
    if own.is_privileged { Ok(Whom::Other(other)) } else { Err(EPERM) }
}

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, command: u64, place: u64) -> Answer {
    let done = command >> DONE_SHIFT;
    match command & ((1 << DONE_SHIFT) - 1) {
        kind @ (op::INCREASE_RESERVATION | op::DECREASE_RESERVATION | op::POPULATE_PHYSMAP) => {
            reservation(guest, kind, done, place)
        }
        op::MAXIMUM_RAM_PAGE => Ok(frames::end() - 1),
        kind @ (op::CURRENT_RESERVATION | op::MAXIMUM_RESERVATION) => {
            let number: DomId = memory::read(place)?;
            let domain = whom(guest, number)?;
            match kind {
                op::CURRENT_RESERVATION => Ok(domain.frames()),
                _ => Ok(domain.max_frames.load(Ordering::Relaxed)),
            }
        }
        op::MACHPHYS_MFN_LIST => list_of_tables(place),
        op::MEMORY_MAP => memory_map(guest, place),
        op::MACHINE_MEMORY_MAP => machine_memory_map(guest, place),
        op::EXCHANGE => exchange(guest, place),
        op::MACHPHYS_MAPPING => {
            let (start, max) = (MACHINE_TO_PHYSICAL, frames::end() - 1);
            memory::write(place, &MachineToPhysical { start, end: MACHINE_TO_PHYSICAL_END, max })?;
            Ok(0)
        }
        op::MAXIMUM_GPFN => {
            let number: DomId = memory::read(place)?;
            Ok(whom(guest, number)?.max_pfn())
        }
        // Pages are never shared behind a domain's back.
        op::GET_SHARING_FREED_PAGES | op::GET_SHARING_SHARED_PAGES => Ok(0),
        op::CLAIM_PAGES => claim(guest, memory::read(place)?),
        op::ACQUIRE_RESOURCE => acquire_resource(guest, place),
        // No region of memory is wanted by devices.
        op::RESERVED_DEVICE_MEMORY_MAP => Err(ENOSYS.into()),
        _ => Err(ENOSYS.into()),
    }
}

/// Gives or takes pages, one extent after the other.
fn reservation(guest: &mut Guest<'_>, kind: u64, start: u64, place: u64) -> Answer {
    // What can't be begun has been done as far as it was before, as on Xen.
    let Ok(reservation) = memory::read::<Reservation>(place) else { return Ok(start) };
    if reservation.extent_order > 9 && !guest.domain().is_privileged
        || reservation.extent_order > 18
    {
        return Ok(start);
    }
    if start > reservation.nr_extents {
        return Ok(start);
    }
    let Ok(domain) = whom(guest, reservation.domid) else { return Ok(start) };
    let mut done = start;
    while done < reservation.nr_extents {
        if done > start && interrupts::are_waiting() {
            return Err(Stop::Again([kind | done << DONE_SHIFT, place, 0, 0, 0, 0]));
        }
        let slot = reservation.extent_start.wrapping_add(8 * done);
        let one = match kind {
            op::DECREASE_RESERVATION => decrease(&domain, slot, reservation.extent_order),
            _ => populate(&domain, slot, reservation.extent_order, kind == op::POPULATE_PHYSMAP),
        };
        if one.is_err() {
            break;
        }
        done += 1;
    }
    Ok(done)
}

/// Promises a domain memory, as much as it shall have all together; 0 takes the promise back.
fn claim(guest: &Guest<'_>, claim: Reservation) -> Answer {
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    if claim.extent_order != 0 || claim.mem_flags != 0 {
        return Err(EINVAL.into());
    }
    let domain = whom(guest, claim.domid)?;
    let is_promised = domain.claim.load(Ordering::Relaxed) != 0;
    let more = match claim.nr_extents.checked_sub(domain.frames()) {
        _ if claim.nr_extents == 0 => 0,
        Some(more @ 1..) if !is_promised => more,
        _ => return Err(EINVAL.into()),
    };
    let most = domain.max_frames.load(Ordering::Relaxed);
    if claim.nr_extents > most || domain.is_dying.load(Ordering::SeqCst) {
        return Err(EINVAL.into());
    }
    if frames::claim(&domain.claim, more) { Ok(0) } else { Err(ENOMEM.into()) }
}

/// Takes frames back.
fn decrease(domain: &Domain, slot: u64, order: u32) -> Result<(), Errno> {
    let first: u64 = memory::read(slot)?;
    for mfn in first..first.checked_add(1 << order).ok_or(EINVAL)? {
        domain.give_back(mfn)?;
    }
    Ok(())
}

/// Gives frames, at pfns that the caller chose.
fn populate(domain: &Domain, slot: u64, order: u32, is_placed: bool) -> Result<(), Errno> {
    let pfn: Option<u64> = if is_placed { Some(memory::read(slot)?) } else { None };
    let count = 1 << order;
    let first = domain.take_frames(count, pfn)?;
    // Without the answer nobody knows of the frames: they go back.
    if memory::write(slot, &first).is_err() {
        for mfn in first..first + count {
            domain.give_back(mfn)?;
        }
        return Err(EFAULT);
    }
    Ok(())
}

/// The frames of the machine-to-physical table, one for each 2 MiB of it.
fn list_of_tables(place: u64) -> Answer {
    let mut list: MachineToPhysicalList = memory::read(place)?;
    let pages = (frames::end() * 8).div_ceil(LARGE_PAGE).min(list.max.into());
    let first = frames::machine_to_physical();
    for index in 0..pages {
        memory::write(list.list + 8 * index, &(first + index * 512))?;
    }
    list.count = pages as u32;
    memory::write(place, &list)?;
    Ok(0)
}

/// A domain's own view of its memory: as much as it may have, from 0.
fn memory_map(guest: &Guest<'_>, place: u64) -> Answer {
    if guest.domain().is_privileged {
        return Err(ENOSYS.into());
    }
    let bytes = guest.domain().max_frames.load(Ordering::Relaxed) << 12;
    write_map(place, core::iter::once((0, bytes, 1)))
}

/// The machine's, for dom0.
fn machine_memory_map(guest: &Guest<'_>, place: u64) -> Answer {
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    let regions = frames::firmware_map().regions().iter();
    write_map(
        place,
        regions.map(|region| {
            let kind = match region.kind {
                Kind::Ram => 1,
                Kind::Reserved => 2,
                Kind::AcpiData => 3,
                Kind::AcpiNvs => 4,
                Kind::Bad => 5,
            };
            (region.start, region.end, kind)
        }),
    )
}

fn write_map(place: u64, regions: impl Iterator<Item = (u64, u64, u32)>) -> Answer {
    const ENTRY: u64 = 20;
    let mut map: Map = memory::read(place)?;
    let mut count = 0;
    for (start, end, kind) in regions {
        if count >= map.count {
            return Err(EINVAL.into());
        }
        let to = map.buffer + ENTRY * u64::from(count);
        memory::write_words(to, &[start, end - start])?;
        memory::write(to + 16, &kind)?;
        count += 1;
    }
    map.count = count;
    memory::write(place, &map)?;
    Ok(0)
}

/// Frames for others in a row, or below an address: dom0's devices want that.
fn exchange(guest: &mut Guest<'_>, place: u64) -> Answer {
    const DONE: u64 = 64;
    let [input, in_count, in_shape, in_domain] = memory::read_words::<4>(place)?;
    let [output, out_count, out_shape, out_domain] = memory::read_words::<4>(place + 32)?;
    let order = |shape: u64| shape as u32;
    let bits = (out_shape >> 32) as u32 & 0xff;
    let (in_order, out_order) = (order(in_shape), order(out_shape));
    if in_order > 18 || out_order > 18 || in_domain as DomId != out_domain as DomId {
        return Err(EINVAL.into());
    }
    const MOST: u64 = 1 << 18;
    if in_count > MOST || out_count > MOST {
        return Err(EPERM.into());
    }
    if in_count << in_order != out_count << out_order {
        return Err(EINVAL.into());
    }
    // Either many single frames become one run, or one run many single frames.
    if in_count != 1 && out_count != 1 && in_order != out_order {
        return Err(EINVAL.into());
    }
    let domain = whom(guest, in_domain as DomId)?;
    let total = in_count << in_order;
    if total > MOST {
        return Err(EPERM.into());
    }
    let run = frames::take_run_below(1 << out_order, out_count, bits)?;
    let result = exchange_frames(&domain, &run, (input, in_order), (output, out_order), total);
    match result {
        Ok(()) => {
            memory::write(place + DONE, &in_count)?;
            Ok(0)
        }
        Err(error) => {
            run.iter().flat_map(|first| *first..first + (1 << out_order)).for_each(frames::give);
            Err(error.into())
        }
    }
}

fn exchange_frames(
    domain: &Domain,
    runs: &[u64],
    (input, in_order): (u64, u32),
    (output, out_order): (u64, u32),
    total: u64,
) -> Result<(), Errno> {
    // Everything is read, and the answer written, before anything is given away: what fails then
    // has changed nothing.
    let incoming = read_list(input, total >> in_order)?;
    for first in &incoming {
        for mfn in *first..first.checked_add(1 << in_order).ok_or(EINVAL)? {
            let page = frames::page(mfn).ok_or(EINVAL)?;
            if page.owner() != Some(domain.owner) || page.references() != 1 || !page.is_allocated()
            {
                return Err(EINVAL);
            }
        }
    }
    let pfns = read_list(output, runs.len() as u64)?;
    for (index, first) in (0..).zip(runs) {
        memory::write(output + 8 * index, first)?;
    }
    for first in &incoming {
        // Another vcpu may have given it back since; what is given by now was to be given.
        (*first..first + (1 << in_order)).try_for_each(|mfn| domain.give_back(mfn))?;
    }
    domain.adopt_runs(runs.iter().copied().zip(pfns), 1 << out_order);
    Ok(())
}

/// Reads so many words.
fn read_list(place: u64, count: u64) -> Result<alloc::vec::Vec<u64>, Errno> {
    let mut list = alloc::vec::Vec::new();
    list.try_reserve_exact(count as usize).map_err(|_| ENOMEM)?;
    for index in 0..count {
        list.push(memory::read(place.wrapping_add(8 * index))?);
    }
    Ok(list)
}

/// Frames that another domain shares with the hypervisor, to be mapped.
fn acquire_resource(guest: &Guest<'_>, place: u64) -> Answer {
    let mut resource: Resource = memory::read(place)?;
    let domain = domain::find(resource.domain).ok_or(ESRCH)?;
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    if resource.pad != 0 {
        return Err(EINVAL.into());
    }
    let are_marks = match (resource.kind, resource.id) {
        (
            op::RESOURCE_GRANT_TABLE,
            id @ (op::RESOURCE_GRANT_TABLE_SHARED | op::RESOURCE_GRANT_TABLE_STATUS),
        ) => id == op::RESOURCE_GRANT_TABLE_STATUS,
        (op::RESOURCE_GRANT_TABLE, _) => return Err(EINVAL.into()),
        _ => return Err(EOPNOTSUPP.into()),
    };
    if resource.list == 0 {
        if resource.count != 0 {
            return Err(EINVAL.into());
        }
        // As many frames as there may ever be; an eighth as many have marks.
        let limit = domain.grants.lock().limit();
        resource.count = if are_marks { limit.div_ceil(8) } else { limit } as u32;
        memory::write(place, &resource)?;
        return Ok(0);
    }
    let mut to = resource.list;
    let (first, count) = (resource.first as usize, resource.count as usize);
    granting::frames_of(&domain, are_marks, first, count, |frame| {
        memory::write(to, &frame)?;
        to += 8;
        Ok(())
    })?;
    Ok(0)
}
