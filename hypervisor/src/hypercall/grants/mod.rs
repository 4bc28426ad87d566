//! grant_table_op: tables of grants, mapping and copying what they grant (grant_table.h).

mod copy;
mod map;
mod table;

use alloc::sync::Arc;

use hypervisor::grants::Refused;
use xen::abi::errno::{EINVAL, ENOSYS, Errno};
use xen::abi::grant::{self as op, BAD_DOMAIN, BAD_GNTREF, GENERAL_ERROR, PERMISSION_DENIED};
use xen::abi::{DOMID_SELF, DomId, Plain};

use super::{Answer, Stop};
use crate::domain::{self, Domain};
use crate::guest::memory;
use crate::interrupts;
use crate::vcpu::Guest;

/// What comes of one operation of a list (GNTST_*).
type Status = i16;

fn status(refused: Refused) -> Status {
    match refused {
        Refused::NoEntry => BAD_GNTREF,
        Refused::NotPermitted | Refused::Unstable | Refused::TooOften => GENERAL_ERROR,
    }
}

/// Operations are a list of structures, each of which says what came of it.
trait Operation: Plain {
    /// Does it; an error is for the whole list.
    fn perform(&mut self, guest: &mut Guest<'_>) -> Result<(), Errno>;
}

/// Does what the command says, for a list.
pub fn operation(guest: &mut Guest<'_>, command: u64, list: u64, count: u64) -> Answer {
    // The number may be that of a call that is made again.
    let count = count & 0xffff_ffff;
    if count > i32::MAX as u64 {
        return Err(EINVAL.into());
    }
    match command & 0xffff_ffff {
        op::MAP_GRANT_REF => map::map(guest, list, count),
        op::UNMAP_GRANT_REF => map::unmap(guest, list, count),
        op::SETUP_TABLE => one(list, count, |setup| table::set_up(guest, setup)),
        op::COPY => copy::copy(guest, list, count),
        op::QUERY_SIZE => one(list, count, |query| table::query_size(guest, query)),
        op::UNMAP_AND_REPLACE => each::<map::Replace>(guest, op::UNMAP_AND_REPLACE, list, count),
        op::SET_VERSION => table::set_version(guest, list, count),
        op::GET_STATUS_FRAMES => one(list, count, |get| table::status_frames(guest, get)),
        op::GET_VERSION => table::version(guest, list, count),
        op::SWAP_GRANT_REF => each::<table::Swap>(guest, op::SWAP_GRANT_REF, list, count),
        op::CACHE_FLUSH => each::<table::Flush>(guest, op::CACHE_FLUSH, list, count),
        _ => Err(ENOSYS.into()),
    }
}

/// Does a command that takes a single structure.
fn one<T: Plain>(place: u64, count: u64, act: impl FnOnce(&mut T) -> Result<(), Errno>) -> Answer {
    if count != 1 {
        return Err(EINVAL.into());
    }
    let mut value: T = memory::read(place)?;
    act(&mut value)?;
    memory::write(place, &value)?;
    Ok(0)
}

/// Does a list of operations, one after the other.
fn each<T: Operation>(guest: &mut Guest<'_>, command: u64, list: u64, count: u64) -> Answer {
    let size = size_of::<T>() as u64;
    for index in 0..count {
        let place = list + size * index;
        if index > 0 && interrupts::are_waiting() {
            return Err(Stop::Again([command, place, count - index, 0, 0, 0]));
        }
        let mut operation: T = memory::read(place)?;
        operation.perform(guest)?;
        memory::write(place, &operation)?;
    }
    Ok(0)
}

/// A domain that is named, or the caller's own.
enum Named<'a> {
    Own(&'a Domain),
    Other(Arc<Domain>),
}

impl core::ops::Deref for Named<'_> {
    type Target = Domain;
    fn deref(&self) -> &Domain {
        match self {
            Self::Own(domain) => domain,
            Self::Other(domain) => domain,
        }
    }
}

/// The domain with that number.
fn named<'a>(guest: &Guest<'a>, number: DomId) -> Result<Named<'a>, Status> {
    let own = guest.domain();
    if number == DOMID_SELF || number == own.number {
        return Ok(Named::Own(own));
    }
    domain::find(number).map(Named::Other).ok_or(BAD_DOMAIN)
}

/// The same, if the caller may control it.
fn controlled<'a>(guest: &Guest<'a>, number: DomId) -> Result<Named<'a>, Status> {
    match named(guest, number)? {
        Named::Other(_) if !guest.domain().is_privileged => Err(PERMISSION_DENIED),
        named => Ok(named),
    }
}
