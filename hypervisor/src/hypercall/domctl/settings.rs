//! What the toolstack sets of a domain.

use core::sync::atomic::Ordering;

use xen::abi::domctl::{self, Bitmap, TscInfo};
use xen::abi::errno::{EINVAL, ENOSYS, EOPNOTSUPP, EPERM, Errno};

use crate::arch::time::timestamp_hertz;
use crate::domain::Domain;
use crate::guest::memory;
use crate::time;

/// Does what the command says.
pub fn operation(domain: &Domain, command: u32, body: u64) -> Result<(), Errno> {
    match command {
        domctl::MAX_MEM => {
            let kib: u64 = memory::read(body)?;
            domain.max_frames.store(kib >> 2, Ordering::Relaxed);
        }
        domctl::SET_DOMAIN_HANDLE => *domain.handle.lock() = memory::read(body)?,
        domctl::SET_TIME_OFFSET => {
            domain.time_offset.store(memory::read(body)?, Ordering::Relaxed);
            time::show_wall_clock(domain);
        }
        domctl::SET_ADDRESS_SIZE => match (memory::read::<u32>(body)?, domain.is_narrow()) {
            (32, true) | (64, false) => (),
            (32, false) => domain.make_narrow()?,
            _ => return Err(EINVAL),
        },
        domctl::GET_ADDRESS_SIZE => {
            memory::write(body, if domain.is_narrow() { &32_u32 } else { &64 })?
        }
        // All memory is near all processors.
        domctl::SET_NODE_AFFINITY => drop(memory::read::<Bitmap>(body)?),
        domctl::GET_NODE_AFFINITY => nodes(memory::read(body)?)?,
        domctl::SET_TSC_INFO => set_tsc(memory::read(body)?)?,
        domctl::GET_TSC_INFO => {
            let khz = (timestamp_hertz() / 1000) as u32;
            let elapsed_nsec = time::now();
            let info = TscInfo { tsc_mode: 0, gtsc_khz: khz, incarnation: 0, pad: 0, elapsed_nsec };
            memory::write(body, &info)?;
        }
        // Other domains have no devices; that they may not use them is so already.
        domctl::IRQ_PERMISSION => refuse(memory::read(body + 4)?)?,
        domctl::IOPORT_PERMISSION => refuse(memory::read(body + 8)?)?,
        domctl::IOMEM_PERMISSION => refuse(memory::read(body + 16)?)?,
        _ => return Err(ENOSYS),
    }
    Ok(())
}

/// A permission can only be taken away.
fn refuse(is_allowed: u8) -> Result<(), Errno> {
    if is_allowed == 0 { Ok(()) } else { Err(EPERM) }
}

/// The nodes whose memory is preferred: the one that there is.
fn nodes(map: Bitmap) -> Result<(), Errno> {
    for byte in 0..map.nr_bits.div_ceil(8) {
        memory::write(map.bitmap + u64::from(byte), &u8::from(byte == 0))?;
    }
    Ok(())
}

/// Guests read the counter itself, which is what all but "always emulate" (1) mean here.
fn set_tsc(info: TscInfo) -> Result<(), Errno> {
    match info.tsc_mode {
        0 | 2 => Ok(()),
        1 => Err(EOPNOTSUPP),
        _ => Err(EINVAL),
    }
}
