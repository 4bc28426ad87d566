//! physdev_op: dom0's interrupts and devices (physdev.h).

use xen::abi::errno::{ENOSYS, EPERM};
use xen::abi::plain_structs;

use super::Answer;
use crate::guest::memory;
use crate::vcpu::Guest;

plain_structs! {
    /// `struct physdev_set_iopl`
    struct SetIopl { iopl: u32 }
}

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, command: u32, place: u64) -> Answer {
    match command {
        // Which ports programs may use is decided at each access.
        6 => {
            let set: SetIopl = memory::read(place)?;
            guest.own.iopl = u64::from(set.iopl & 3) << 12;
            Ok(0)
        }
        7 => Ok(0),
        _ if !guest.domain().is_privileged => Err(EPERM.into()),
        _ => Err(ENOSYS.into()),
    }
}
