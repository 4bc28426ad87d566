//! grant_table_op: tables of grants, mapping and copying what they grant (grant_table.h).

mod copy;
mod map;
mod table;

use alloc::sync::Arc;

use hypervisor::grants::Refused;
use xen::abi::errno::{EINVAL, ENOSYS, Errno};
use xen::abi::{DOMID_SELF, DomId, Plain};

use super::{Answer, Stop};
use crate::domain::{self, Domain};
use crate::guest::memory;
use crate::interrupts;
use crate::vcpu::Guest;

/// What comes of one operation of a list (GNTST_*).
type Status = i16;

const OKAY: Status = 0;
const GENERAL_ERROR: Status = -1;
const BAD_DOMAIN: Status = -2;
const BAD_REFERENCE: Status = -3;
const BAD_HANDLE: Status = -4;
const BAD_ADDRESS: Status = -5;
const BAD_DEVICE_ADDRESS: Status = -6;
const NO_DEVICE_SPACE: Status = -7;
const PERMISSION_DENIED: Status = -8;
const BAD_PAGE: Status = -9;
const BAD_COPY: Status = -10;

fn status(refused: Refused) -> Status {
    match refused {
        Refused::NoEntry => BAD_REFERENCE,
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
        0 => map::map(guest, list, count),
        1 => map::unmap(guest, list, count),
        2 => one(list, count, |setup| table::set_up(guest, setup)),
        5 => copy::copy(guest, list, count),
        6 => one(list, count, |query| table::query_size(guest, query)),
        7 => each::<map::Replace>(guest, 7, list, count),
        8 => table::set_version(guest, list, count),
        9 => one(list, count, |get| table::status_frames(guest, get)),
        10 => table::version(guest, list, count),
        11 => each::<table::Swap>(guest, 11, list, count),
        12 => each::<table::Flush>(guest, 12, list, count),
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
