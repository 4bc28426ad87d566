//! What a vcpu does, and where it may run.

use core::sync::atomic::Ordering;

use xen::abi::domctl::{Bitmap, GetVcpuInfo, VCPU_AFFINITY_HARD, VcpuAffinity};
use xen::abi::errno::{EINVAL, ESRCH, Errno};

use crate::arch::processor;
use crate::domain::Domain;
use crate::guest::memory;

/// What a vcpu is doing.
pub fn info(domain: &Domain, body: u64) -> Result<(), Errno> {
    let asked: GetVcpuInfo = memory::read(body)?;
    let vcpu = domain.vcpu(asked.vcpu as usize).ok_or(ESRCH)?;
    let blocked = vcpu.blocked.load(Ordering::Relaxed);
    let online = vcpu.online.load(Ordering::Relaxed);
    let info = GetVcpuInfo {
        online: online.into(),
        blocked: blocked.into(),
        running: u8::from(online && !blocked),
        cpu_time: vcpu.run_time(),
        cpu: 0,
        ..asked
    };
    memory::write(body, &info)
}

/// Where a vcpu may run.
pub fn affinity(domain: &Domain, body: u64) -> Result<(), Errno> {
    let asked: VcpuAffinity = memory::read(body)?;
    domain.vcpu(asked.vcpu as usize).ok_or(EINVAL)?;
    let is_hard = asked.flags & VCPU_AFFINITY_HARD != 0;
    write_all_processors(if is_hard { asked.cpumap_hard } else { asked.cpumap_soft })
}

/// A bitmap with every processor in it: vcpus run anywhere.
pub fn write_all_processors(bitmap: Bitmap) -> Result<(), Errno> {
    let count = processor::all().count() as u32;
    for byte in 0..bitmap.nr_bits.div_ceil(8) {
        let set = count.saturating_sub(byte * 8).min(8);
        memory::write(bitmap.bitmap + u64::from(byte), &((1_u16 << set).wrapping_sub(1) as u8))?;
    }
    Ok(())
}
