//! What guests see of CPUID, as the toolstack gets and sets it: leaf by leaf (cpu_policy in sysctl.h
//! and domctl.h).

use xen::abi::errno::{EINVAL, ENOBUFS, EOPNOTSUPP, Errno};
use xen::abi::plain_structs;
use xen::abi::sysctl as op;

use crate::domain::Domain;
use crate::guest::memory;
use crate::policy::{self, Features};

plain_structs! {
    /// `struct xen_cpuid_leaf`
    struct Leaf { leaf: u32, subleaf: u32, words: [u32; 4] }
    /// `struct xen_sysctl_cpu_policy`
    struct HostPolicy {
        index: u32, leaves: u32, msrs: u32, reserved: u32, leaf_list: u64, msr_list: u64,
    }
    /// `struct xen_domctl_cpu_policy`
    struct DomainPolicy {
        leaves: u32, msrs: u32, leaf_list: u64, msr_list: u64,
        bad_leaf: u32, bad_subleaf: u32, bad_msr: u32, pad: u32,
    }
    /// `struct xen_sysctl_cpu_featureset`
    struct FeatureSet { index: u32, count: u32, list: u64 }
}

/// Leaves at most: what any processor's policy takes.
const MOST_LEAVES: u32 = 128;
/// Leaves of processors' caches, topology and extended state have subleaves.
const WITH_SUBLEAVES: [(u32, u32); 4] = [(4, 6), (7, 1), (0xb, 2), (0xd, 3)];
const LAST_BASIC: u32 = 0xd;
const EXTENDED: u32 = 0x8000_0000;
const LAST_EXTENDED: u32 = 0x8000_0008;

/// Calls for each leaf that a policy has.
fn for_each_leaf(
    mut leaf: impl FnMut(u32, u32) -> [u32; 4],
    mut each: impl FnMut(Leaf) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let last = |first: u32, limit: u32| policy::last_leaf(first).min(limit);
    for number in (0..=last(0, LAST_BASIC)).chain(EXTENDED..=last(EXTENDED, LAST_EXTENDED)) {
        match WITH_SUBLEAVES.iter().find(|(with, _)| *with == number) {
            None => {
                each(Leaf { leaf: number, subleaf: op::CPUID_NO_SUBLEAF, words: leaf(number, 0) })?
            }
            Some((_, count)) => {
                for subleaf in 0..*count {
                    each(Leaf { leaf: number, subleaf, words: leaf(number, subleaf) })?;
                }
            }
        }
    }
    Ok(())
}

/// Writes the leaves of a policy to a list with room for so many; gives how many there are.
fn write_leaves(
    list: u64,
    room: u32,
    leaf: impl FnMut(u32, u32) -> [u32; 4],
) -> Result<u32, Errno> {
    if list == 0 {
        return Ok(MOST_LEAVES);
    }
    let mut count = 0;
    for_each_leaf(leaf, |leaf| {
        if count == room {
            return Err(ENOBUFS);
        }
        memory::write(list + u64::from(count) * size_of::<Leaf>() as u64, &leaf)?;
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// What the host has, or what its guests see of it.
pub fn of_host(place: u64) -> Result<(), Errno> {
    let mut policy: HostPolicy = memory::read(place)?;
    if policy.reserved != 0 {
        return Err(EINVAL);
    }
    let is_raw = match policy.index {
        op::CPU_POLICY_RAW | op::CPU_POLICY_HOST => true,
        op::CPU_POLICY_PV_MAX | op::CPU_POLICY_PV_DEFAULT => false,
        // There are no guests of that kind.
        op::CPU_POLICY_HVM_MAX | op::CPU_POLICY_HVM_DEFAULT => return Err(EOPNOTSUPP),
        _ => return Err(EINVAL),
    };
    policy.leaves = write_leaves(policy.leaf_list, policy.leaves, |leaf, subleaf| match is_raw {
        true => policy::raw(leaf, subleaf),
        false => policy::visible(false, leaf, subleaf),
    })?;
    policy.msrs = 0;
    memory::write(place, &policy)
}

/// The words of features, in the order of arch-x86/cpufeatureset.h.
pub fn features_of_host(place: u64) -> Result<(), Errno> {
    let mut set: FeatureSet = memory::read(place)?;
    let leaf = |leaf, subleaf| match set.index {
        op::CPU_FEATURESET_RAW | op::CPU_FEATURESET_HOST => Ok(policy::raw(leaf, subleaf)),
        op::CPU_FEATURESET_PV | op::CPU_FEATURESET_PV_MAX => {
            Ok(policy::visible(false, leaf, subleaf))
        }
        op::CPU_FEATURESET_HVM | op::CPU_FEATURESET_HVM_MAX => Err(EOPNOTSUPP),
        _ => Err(EINVAL),
    };
    let (basic, extended, structured) = (leaf(1, 0)?, leaf(EXTENDED + 1, 0)?, leaf(7, 0)?);
    let features = [
        basic[3],
        basic[2],
        extended[3],
        extended[2],
        leaf(0xd, 1)?[0],
        structured[1],
        structured[2],
        leaf(EXTENDED + 7, 0)?[3],
        leaf(EXTENDED + 8, 0)?[1],
        structured[3],
    ];
    if set.list != 0 {
        set.count = set.count.min(features.len() as u32);
        for (index, word) in (0..set.count).zip(features) {
            memory::write(set.list + 4 * u64::from(index), &word)?;
        }
    } else {
        set.count = features.len() as u32;
    }
    memory::write(place, &set)
}

/// What a domain sees.
pub fn of_domain(domain: &Domain, body: u64) -> Result<(), Errno> {
    let mut policy: DomainPolicy = memory::read(body)?;
    policy.leaves = write_leaves(policy.leaf_list, policy.leaves, |leaf, subleaf| {
        policy::of_domain(domain, leaf, subleaf)
    })?;
    policy.msrs = 0;
    memory::write(body, &policy)
}

/// Sets what a domain sees: features can be hidden, and that is all.
pub fn set(domain: &Domain, body: u64) -> Result<(), Errno> {
    let policy: DomainPolicy = memory::read(body)?;
    if policy.leaves > MOST_LEAVES || policy.msrs > 8 {
        return Err(EINVAL);
    }
    let mut features = Features::default();
    for index in 0..policy.leaves {
        let place = policy.leaf_list + u64::from(index) * size_of::<Leaf>() as u64;
        let leaf: Leaf = memory::read(place)?;
        features.limit(leaf.leaf, leaf.subleaf, leaf.words);
    }
    *domain.features.lock() = features;
    Ok(())
}
