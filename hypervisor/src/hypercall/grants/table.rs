//! A domain's own table: its size, its layout, its entries.

use hypervisor::grants::TableError;
use xen::abi::errno::{EBUSY, EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, ESRCH, Errno};
use xen::abi::grant::{
    BAD_GNTREF, CACHE_CLEAN, CACHE_INVAL, GENERAL_ERROR, OKAY, PERMISSION_DENIED, SetupTable,
};
use xen::abi::{DomId, plain_structs};

use super::{Operation, Status, controlled};
use crate::guest::memory;
use crate::hypercall::Answer;
use crate::vcpu::Guest;

plain_structs! {
    /// `struct gnttab_query_size`
    pub struct Query { domain: DomId, pad: u16, frames: u32, most: u32, status: Status, pad2: u16 }
    /// `struct gnttab_get_status_frames`
    pub struct StatusFrames { count: u32, domain: DomId, status: Status, list: u64 }
    /// `struct gnttab_get_version`
    struct Version { domain: DomId, pad: u16, version: u32 }
    /// `struct gnttab_swap_grant_ref`
    pub struct Swap { a: u32, b: u32, status: Status, pad: u16 }
    /// `struct gnttab_cache_flush`
    pub struct Flush { address: u64, offset: u16, length: u16, kind: u32 }
}

/// The number for why a table can't be as it should.
pub fn errno(error: TableError) -> Errno {
    match error {
        TableError::TooLarge | TableError::NoEntry => EINVAL,
        TableError::NoMemory => ENOMEM,
        TableError::NoSuchVersion => ENOSYS,
        TableError::InUse => EBUSY,
    }
}

/// Makes a table as large as asked for, and says where it is.
pub fn set_up(guest: &Guest<'_>, setup: &mut SetupTable) -> Result<(), Errno> {
    let domain = match controlled(guest, setup.dom) {
        Ok(domain) => domain,
        Err(status) => return settled(&mut setup.status, status),
    };
    let mut table = domain.grants.lock();
    if table.grow(setup.nr_frames as usize).is_err() {
        return settled(&mut setup.status, GENERAL_ERROR);
    }
    write_list(setup.frame_list, &table.frames()[..setup.nr_frames as usize])?;
    settled(&mut setup.status, OKAY)
}

fn settled(place: &mut Status, status: Status) -> Result<(), Errno> {
    *place = status;
    Ok(())
}

fn write_list(place: u64, frames: &[u64]) -> Result<(), Errno> {
    for (index, frame) in (0..).zip(frames) {
        memory::write(place + 8 * index, frame)?;
    }
    Ok(())
}

/// How large a table is and may become.
pub fn query_size(guest: &Guest<'_>, query: &mut Query) -> Result<(), Errno> {
    query.status = match controlled(guest, query.domain) {
        Ok(domain) => {
            let table = domain.grants.lock();
            (query.frames, query.most) = (table.frames().len() as u32, table.limit() as u32);
            OKAY
        }
        Err(status) => status,
    };
    Ok(())
}

/// Where the marks of the second layout are.
pub fn status_frames(guest: &Guest<'_>, get: &mut StatusFrames) -> Result<(), Errno> {
    let domain = match controlled(guest, get.domain) {
        Ok(domain) => domain,
        Err(status) => return settled(&mut get.status, status),
    };
    let table = domain.grants.lock();
    let Some(frames) = table.status_frames().get(..get.count as usize) else {
        return settled(&mut get.status, GENERAL_ERROR);
    };
    write_list(get.list, frames)?;
    settled(&mut get.status, OKAY)
}

/// Changes the layout; what it is afterwards is written in any case.
pub fn set_version(guest: &Guest<'_>, place: u64, count: u64) -> Answer {
    if count != 1 {
        return Err(EINVAL.into());
    }
    let wanted: u32 = memory::read(place)?;
    let mut table = guest.domain().grants.lock();
    let result = match wanted {
        0 => Err(EINVAL),
        _ => table.set_version(wanted).map_err(errno),
    };
    memory::write(place, &table.version())?;
    result?;
    Ok(0)
}

/// Which layout a table has.
pub fn version(guest: &Guest<'_>, place: u64, count: u64) -> Answer {
    if count != 1 {
        return Err(EINVAL.into());
    }
    let mut get: Version = memory::read(place)?;
    let domain = controlled(guest, get.domain)
        .map_err(|status| if status == PERMISSION_DENIED { EPERM } else { ESRCH })?;
    get.version = domain.grants.lock().version();
    memory::write(place, &get)?;
    Ok(0)
}

impl Operation for Swap {
    fn perform(&mut self, guest: &mut Guest<'_>) -> Result<(), Errno> {
        self.status = match guest.domain().grants.lock().swap(self.a, self.b) {
            Ok(()) => OKAY,
            Err(TableError::NoEntry) => BAD_GNTREF,
            Err(_) => GENERAL_ERROR,
        };
        Ok(())
    }
}

impl Operation for Flush {
    /// Caches are coherent with each other and with devices: nothing has to be written back, and
    /// nothing may be thrown away.
    fn perform(&mut self, _: &mut Guest<'_>) -> Result<(), Errno> {
        let Self { offset, length, kind, .. } = *self;
        if kind & !(CACHE_CLEAN | CACHE_INVAL) != 0 || u32::from(offset) + u32::from(length) > 4096
        {
            return Err(EINVAL);
        }
        if kind & CACHE_INVAL != 0 { Err(EOPNOTSUPP) } else { Ok(()) }
    }
}
