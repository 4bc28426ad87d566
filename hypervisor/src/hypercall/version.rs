//! xen_version: what the hypervisor says of itself (version.h, features.h).

use core::sync::atomic::Ordering;

use xen::abi::assist::PAE_EXTENDED_CR3;
use xen::abi::errno::{EFAULT, EINVAL, ENOSYS, EPERM};
use xen::abi::version::{self as op, CompileInfo};
use xen::abi::x86_32;

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
    match u64::from(command) {
        op::VERSION => return Ok(VERSION),
        op::EXTRAVERSION => {
            memory::write(place, &text::<16>(concat!(".7-escalus-", env!("CARGO_PKG_VERSION"))))?
        }
        op::COMPILE_INFO if is_privileged => memory::write(
            place,
            &CompileInfo {
                compiler: text("rustc"),
                compile_by: text("escalus"),
                compile_domain: text("escalus"),
                compile_date: text(""),
            },
        )?,
        op::COMPILE_INFO => return Err(EPERM.into()),
        op::CAPABILITIES => memory::write(place, &text::<1024>("xen-3.0-x86_64 xen-3.0-x86_32p "))?,
        op::CHANGESET => memory::write(place, &text::<64>(env!("CARGO_PKG_VERSION")))?,
        op::PLATFORM_PARAMETERS if guest.is_narrow() => {
            memory::write(place, &x86_32::HYPERVISOR_START)?
        }
        op::PLATFORM_PARAMETERS => memory::write(place, &HYPERVISOR_START)?,
        op::GET_FEATURES => return features(guest, place),
        op::PAGESIZE => return Ok(4096),
        op::GUEST_HANDLE => memory::write(place, &[0_u64; 2])?,
        op::COMMANDLINE if is_privileged => {
            let line = start::command_line();
            memory::write_bytes(place, line.as_bytes())?;
            memory::write_bytes(place + line.len() as u64, &[0])?;
        }
        op::COMMANDLINE => memory::write_bytes(place, b"<denied>\0")?,
        op::BUILD_ID => return Err(EINVAL.into()),
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

/// XENVER_get_features: `struct xen_feature_info`.
fn features(guest: &Guest<'_>, place: u64) -> Answer {
    let index: u32 = memory::read(place).map_err(|_| EFAULT)?;
    let mut features = 0_u32;
    if index == 0 {
        let always = [
            op::FEATURE_MMU_PT_UPDATE_PRESERVE_AD,
            op::FEATURE_HIGHMEM_ASSIST,
            op::FEATURE_GNTTAB_MAP_AVAIL_BITS,
            op::FEATURE_MEMORY_OP_VNODE_SUPPORTED,
            op::FEATURE_NOT_DIRECT_MAPPED,
        ];
        always.iter().for_each(|bit| features |= 1 << bit);
        if guest.domain().assists.load(Ordering::Relaxed) & 1 << PAE_EXTENDED_CR3 != 0 {
            features |= 1 << op::FEATURE_PAE_PGDIR_ABOVE_4GB;
        }
        if guest.domain().is_privileged {
            features |= 1 << op::FEATURE_DOM0;
        }
    } else if index > 0 {
        return Err(EINVAL.into());
    }
    memory::write(place + 4, &features)?;
    Ok(0)
}
