//! xen_version: what the hypervisor says of itself (version.h, features.h).

use core::sync::atomic::Ordering;

use xen::abi::errno::{EFAULT, EINVAL, ENOSYS, EPERM};
use xen::abi::version::CompileInfo;

use super::Answer;
use crate::guest::memory;
use crate::start;
use crate::vcpu::Guest;

/// The version whose ABI this is.
const VERSION: u64 = 4 << 16 | 17;
const HYPERVISOR_START: u64 = 0xffff_8000_0000_0000;

fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let length = text.len().min(N - 1);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    bytes
}

/// Answers.
pub fn operation(guest: &mut Guest<'_>, command: u32, place: u64) -> Answer {
    let is_privileged = guest.domain().is_privileged;
    match command {
        0 => return Ok(VERSION),
        1 => memory::write(place, &text::<16>(concat!(".7-escalus-", env!("CARGO_PKG_VERSION"))))?,
        2 if is_privileged => memory::write(
            place,
            &CompileInfo {
                compiler: text("rustc"),
                compile_by: text("escalus"),
                compile_domain: text("escalus"),
                compile_date: text(""),
            },
        )?,
        2 => return Err(EPERM.into()),
        3 => memory::write(place, &text::<1024>("xen-3.0-x86_64 "))?,
        4 => memory::write(place, &text::<64>(env!("CARGO_PKG_VERSION")))?,
        5 => memory::write(place, &HYPERVISOR_START)?,
        6 => return features(guest, place),
        7 => return Ok(4096),
        8 => memory::write(place, &[0_u64; 2])?,
        9 if is_privileged => {
            let line = start::command_line();
            memory::write_bytes(place, line.as_bytes())?;
            memory::write_bytes(place + line.len() as u64, &[0])?;
        }
        9 => memory::write_bytes(place, b"<denied>\0")?,
        10 => return Err(EINVAL.into()),
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

/// XENVER_get_features: `struct xen_feature_info`.
fn features(guest: &Guest<'_>, place: u64) -> Answer {
    const PAE_EXTENDED_CR3: u32 = 3;
    const PAGE_DIRECTORY_ABOVE_4GB: u32 = 4;
    const PRESERVE_ACCESSED_DIRTY: u32 = 5;
    const HIGHMEM_ASSIST: u32 = 6;
    const GRANT_AVAILABLE_BITS: u32 = 7;
    const DOM0: u32 = 11;
    const NODES: u32 = 13;
    const NOT_DIRECT_MAPPED: u32 = 16;
    let index: u32 = memory::read(place).map_err(|_| EFAULT)?;
    let mut features = 0_u32;
    if index == 0 {
        let always = [
            PRESERVE_ACCESSED_DIRTY,
            HIGHMEM_ASSIST,
            GRANT_AVAILABLE_BITS,
            NODES,
            NOT_DIRECT_MAPPED,
        ];
        always.iter().for_each(|bit| features |= 1 << bit);
        if guest.domain().assists.load(Ordering::Relaxed) & 1 << PAE_EXTENDED_CR3 != 0 {
            features |= 1 << PAGE_DIRECTORY_ABOVE_4GB;
        }
        if guest.domain().is_privileged {
            features |= 1 << DOM0;
        }
    } else if index > 0 {
        return Err(EINVAL.into());
    }
    memory::write(place + 4, &features)?;
    Ok(0)
}
