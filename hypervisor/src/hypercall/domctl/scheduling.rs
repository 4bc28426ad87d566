//! How much of the processors a domain gets, and which.

use hypervisor::credit::{Affinity, Set, Settings};
use xen::abi::domctl::{
    Bitmap, SCHEDOP_GET, SCHEDOP_PUT, SCHEDULER_CREDIT, SchedulerOp, VCPU_AFFINITY_HARD,
    VCPU_AFFINITY_SOFT, VcpuAffinity,
};
use xen::abi::errno::{EINVAL, Errno};

use crate::domain::Domain;
use crate::guest::memory;
use crate::scheduler;

/// Weight and cap of a domain, in or out.
pub fn credit(domain: &Domain, body: u64) -> Result<(), Errno> {
    let mut asked: SchedulerOp = memory::read(body)?;
    if asked.sched_id != SCHEDULER_CREDIT {
        return Err(EINVAL);
    }
    let mut settings = scheduler::settings(domain);
    match asked.cmd {
        SCHEDOP_PUT => {
            // A weight of 0, and a cap that is all ones, are to stay as they are.
            if asked.credit.weight != 0 {
                settings.weight = asked.credit.weight;
            }
            if asked.credit.cap != u16::MAX {
                settings.cap = asked.credit.cap;
            }
            scheduler::set_settings(domain, settings);
            Ok(())
        }
        SCHEDOP_GET => {
            let Settings { weight, cap } = settings;
            (asked.credit.weight, asked.credit.cap) = (weight, cap);
            memory::write(body, &asked)
        }
        _ => Err(EINVAL),
    }
}

/// Where a vcpu may run, and where it would rather. The answer is what holds, within what is online.
pub fn set_affinity(domain: &Domain, body: u64) -> Result<(), Errno> {
    let asked: VcpuAffinity = memory::read(body)?;
    let vcpu = domain.vcpu(asked.vcpu as usize).ok_or(EINVAL)?;
    let mut affinity = scheduler::affinity(vcpu);
    if asked.flags & (VCPU_AFFINITY_HARD | VCPU_AFFINITY_SOFT) == 0 {
        return Err(EINVAL);
    }
    if asked.flags & VCPU_AFFINITY_HARD != 0 {
        affinity.hard = read_set(asked.cpumap_hard)?;
        if affinity.hard.and(scheduler::online()).is_empty() {
            return Err(EINVAL);
        }
    }
    if asked.flags & VCPU_AFFINITY_SOFT != 0 {
        affinity.soft = read_set(asked.cpumap_soft)?;
    }
    scheduler::set_affinity(vcpu, affinity);
    write_affinity(&asked, affinity)
}

/// Where a vcpu may run.
pub fn affinity(domain: &Domain, body: u64) -> Result<(), Errno> {
    let asked: VcpuAffinity = memory::read(body)?;
    let vcpu = domain.vcpu(asked.vcpu as usize).ok_or(EINVAL)?;
    write_affinity(&asked, scheduler::affinity(vcpu))
}

fn write_affinity(asked: &VcpuAffinity, affinity: Affinity) -> Result<(), Errno> {
    let online = scheduler::online();
    if asked.flags & VCPU_AFFINITY_HARD != 0 {
        write_set(asked.cpumap_hard, affinity.hard.and(online))?;
    }
    if asked.flags & VCPU_AFFINITY_SOFT != 0 {
        write_set(asked.cpumap_soft, affinity.soft.and(affinity.hard).and(online))?;
    }
    Ok(())
}

/// Processors beyond those there can be count for nothing.
fn read_set(bitmap: Bitmap) -> Result<Set, Errno> {
    let bits = bitmap.nr_bits.min(64);
    let mut bytes = [0; 8];
    memory::read_bytes(bitmap.bitmap, &mut bytes[..bits.div_ceil(8) as usize])?;
    let beyond = u64::MAX.checked_shl(bits).unwrap_or(0);
    Ok(Set(u64::from_le_bytes(bytes) & !beyond))
}

/// Writes a set of processors.
pub fn write_set(bitmap: Bitmap, set: Set) -> Result<(), Errno> {
    let bytes = set.0.to_le_bytes();
    for byte in 0..bitmap.nr_bits.div_ceil(8) as usize {
        let value = bytes.get(byte).copied().unwrap_or(0);
        memory::write(bitmap.bitmap.wrapping_add(byte as u64), &value)?;
    }
    Ok(())
}
