//! Copying between frames that are granted or the caller's own.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use hypervisor::grants::{Access, Held, What};
use xen::abi::grant::{self as op, BAD_COPY_ARG, BAD_PAGE, GENERAL_ERROR, OKAY, PERMISSION_DENIED};
use xen::abi::{DomId, plain_structs};

use super::{Named, Status, named, status};
use crate::arch::memory as machine;
use crate::granting::{self, GrantTable};
use crate::guest::memory;
use crate::hypercall::{Answer, Stop};
use crate::interrupts;
use crate::vcpu::Guest;

const PAGE: u16 = 4096;

plain_structs! {
    /// One end of it: a grant or a frame, whose, and where in it.
    struct End { place: u64, domain: DomId, offset: u16, pad: u32 }
    /// `struct gnttab_copy`
    struct Copy { source: End, destination: End, length: u16, flags: u16, status: Status, pad: u16 }
}

const SIZE: u64 = size_of::<Copy>() as u64;

/// Copies a list of pieces.
pub fn copy(guest: &mut Guest<'_>, list: u64, count: u64) -> Answer {
    for index in 0..count {
        let place = list + SIZE * index;
        if index > 0 && interrupts::are_waiting() {
            return Err(Stop::Again([op::COPY, place, count - index, 0, 0, 0]));
        }
        let copy: Copy = memory::read(place)?;
        let status: Status = copy_one(guest, &copy).err().unwrap_or(OKAY);
        memory::write(place + offset_of!(Copy, status) as u64, &status.to_le_bytes())?;
    }
    Ok(0)
}

fn copy_one(guest: &Guest<'_>, copy: &Copy) -> Result<(), Status> {
    let is_beyond = |end: &End| u32::from(end.offset) + u32::from(copy.length) > PAGE.into();
    if is_beyond(&copy.source) || is_beyond(&copy.destination) {
        return Err(BAD_COPY_ARG);
    }
    let is_grant = |bit| copy.flags & bit != 0;
    let source = Piece::get(guest, &copy.source, is_grant(op::COPY_SOURCE_GREF), false)?;
    let destination = Piece::get(guest, &copy.destination, is_grant(op::COPY_DEST_GREF), true)?;
    let from = source.place(copy.source.offset, copy.length)?;
    let to = destination.place(copy.destination.offset, copy.length)?;
    machine::copy_part(from, to, copy.length.into());
    Ok(())
}

/// Entries that are used as long as this lives: the granter's, and the one that it leads to.
struct Uses {
    entries: [Option<(GrantTable, u32)>; 2],
    is_write: bool,
}

impl Drop for Uses {
    fn drop(&mut self) {
        for (table, reference) in self.entries.iter().flatten() {
            table.lock().release(*reference, self.is_write);
        }
    }
}

/// A frame that is held as long as this lives.
struct Piece<'a> {
    domain: Named<'a>,
    held: Held,
    uses: Uses,
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        granting::let_go(&self.domain, self.held.frame, self.uses.is_write);
    }
}

impl<'a> Piece<'a> {
    fn get(guest: &Guest<'a>, end: &End, is_grant: bool, is_write: bool) -> Result<Self, Status> {
        let mut uses = Uses { entries: [None, None], is_write };
        let domain = named(guest, end.domain)?;
        let (domain, held) = match is_grant {
            true => granted(guest, domain, end.place as u32, &mut uses)?,
            // What isn't granted has to be the caller's own.
            false if matches!(domain, Named::Other(_)) => return Err(PERMISSION_DENIED),
            false => (domain, Held { frame: end.place, offset: 0, length: PAGE }),
        };
        granting::hold(&domain, held.frame, is_write).map_err(|_| BAD_PAGE)?;
        Ok(Self { domain, held, uses })
    }

    /// The physical address of a part of it.
    fn place(&self, offset: u16, length: u16) -> Result<u64, Status> {
        let end = u32::from(offset) + u32::from(length);
        let held_end = u32::from(self.held.offset) + u32::from(self.held.length);
        if offset < self.held.offset || end > held_end {
            return Err(GENERAL_ERROR);
        }
        Ok((self.held.frame << 12) + u64::from(offset))
    }
}

/// The frame that an entry gives, and whose it is; one entry may lead to another.
fn granted<'a>(
    guest: &Guest<'a>,
    mut granter: Named<'a>,
    mut reference: u32,
    uses: &mut Uses,
) -> Result<(Named<'a>, Held), Status> {
    let access = Access { is_write: uses.is_write, is_copy: true };
    let mut who = guest.domain().number;
    for used in &mut uses.entries {
        if granter.is_dying.load(Ordering::SeqCst) {
            return Err(GENERAL_ERROR);
        }
        let what = granter.grants.lock().acquire(reference, who, access).map_err(status)?;
        *used = Some((granter.grants.clone(), reference));
        match what {
            What::Frame(held) => return Ok((granter, held)),
            What::Transitive { domain, reference: its } => {
                who = granter.number;
                (granter, reference) = (named(guest, domain)?, its);
            }
        }
    }
    Err(GENERAL_ERROR)
}
