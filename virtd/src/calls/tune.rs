//! Calls about memory, vcpus, and shares of the processors.

use xend::config::CpuSet;
use xend::sxp;

use super::domain::{find, find_active};
use super::settings::{affected, id, mebibytes, redefine};
use crate::error::{Code, Error, Result};
use crate::guest::Guest;
use crate::protocol::{Domain, Param, ParamValue};
use crate::session::Call;
use crate::xdr::Opaque;

/// `VIR_DOMAIN_MEM_MAXIMUM` and `VIR_DOMAIN_VCPU_MAXIMUM`.
const MAXIMUM: u32 = 4;

/// The most memory of a domain, in KiB.
pub fn max_memory(call: &Call, domain: Domain) -> Result<u64> {
    Ok(find(call, &domain)?.max_memory)
}

/// Sets the most memory of a domain.
pub fn set_max_memory(call: &Call, (domain, kib): (Domain, u64)) -> Result<()> {
    set_memory_flags(call, (domain, kib, MAXIMUM))
}

/// Sets the memory of a domain that runs.
pub fn set_memory(call: &Call, (domain, kib): (Domain, u64)) -> Result<()> {
    const LIVE: u32 = 1;
    set_memory_flags(call, (domain, kib, LIVE))
}

/// Sets the memory, or the most memory, of a domain as it runs or as it is defined.
pub fn set_memory_flags(call: &Call, (domain, kib, flags): (Domain, u64, u32)) -> Result<()> {
    let it = affected(call, &domain, flags, MAXIMUM)?;
    let (mib, most) = (mebibytes(kib), flags & MAXIMUM != 0);
    if it.live {
        let method = if most { "xend.domain.maxmem_set" } else { "xend.domain.setMemoryTarget" };
        call.xend().tell(method, vec![id(&it.guest), (mib as i64).into()])?;
    }
    if it.config {
        redefine(call, &it.guest, |config| {
            if most {
                config.maxmem = mib;
                config.memory = config.memory.min(mib);
            } else if mib > config.maxmem {
                return Err(Error::invalid("cannot set memory higher than max memory"));
            } else {
                config.memory = mib;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The most vcpus of a domain.
pub fn max_vcpus(call: &Call, domain: Domain) -> Result<i32> {
    vcpus_flags(call, (domain, MAXIMUM))
}

/// How many vcpus a domain has, as it runs or as it is defined.
pub fn vcpus_flags(call: &Call, (domain, flags): (Domain, u32)) -> Result<i32> {
    let it = affected(call, &domain, flags, MAXIMUM)?;
    let most = flags & MAXIMUM != 0;
    if it.config {
        let config = super::settings::of(call, &it.guest, true)?;
        return Ok((if most { config.maxvcpus } else { config.vcpus }) as i32);
    }
    let guest = call.xend().guest(it.guest.uuid)?;
    Ok((if most { guest.vcpus } else { guest.online_vcpus }) as i32)
}

/// Sets how many vcpus a domain that runs uses.
pub fn set_vcpus(call: &Call, (domain, count): (Domain, u32)) -> Result<()> {
    const LIVE: u32 = 1;
    set_vcpus_flags(call, (domain, count, LIVE))
}

/// Sets how many vcpus a domain uses, or may use, as it runs or as it is defined.
pub fn set_vcpus_flags(call: &Call, (domain, count, flags): (Domain, u32, u32)) -> Result<()> {
    let it = affected(call, &domain, flags, MAXIMUM)?;
    let most = flags & MAXIMUM != 0;
    if it.live && most {
        return Err(Error::invalid("cannot adjust maximum vcpus on running domain"));
    }
    if it.live {
        let params = vec![id(&it.guest), i64::from(count).into()];
        call.xend().tell("xend.domain.setVCpuCount", params)?;
    }
    if it.config {
        redefine(call, &it.guest, |config| {
            if most {
                config.maxvcpus = count;
                config.vcpus = config.vcpus.min(count);
                if config.cpus.len() > 1 {
                    config.cpus.resize(count as usize, CpuSet::default());
                }
            } else if count > config.maxvcpus {
                return Err(Error::invalid(format!(
                    "requested vcpus is greater than max allowable vcpus for the domain: \
                     {count} > {}",
                    config.maxvcpus
                )));
            } else {
                config.vcpus = count;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What `cpumap` says, bit by bit.
fn cpu_set(cpumap: &Opaque) -> CpuSet {
    let bits = (0u32..).zip(&cpumap.0);
    let cpus = bits.flat_map(|(index, byte)| {
        (0..8).filter(move |bit| byte >> bit & 1 != 0).map(move |bit| index * 8 + bit)
    });
    CpuSet(cpus.collect())
}

/// Processors as bits, in `length` bytes.
fn cpu_map(cpus: impl IntoIterator<Item = u32>, length: usize) -> Vec<u8> {
    let mut map = vec![0; length];
    for cpu in cpus {
        if let Some(byte) = map.get_mut(cpu as usize / 8) {
            *byte |= 1 << (cpu % 8);
        }
    }
    map
}

/// Says where a vcpu of a domain that runs may run.
pub fn pin_vcpu(call: &Call, (domain, vcpu, cpumap): (Domain, u32, Opaque)) -> Result<()> {
    const LIVE: u32 = 1;
    pin_vcpu_flags(call, (domain, vcpu, cpumap, LIVE))
}

/// Says where a vcpu may run.
pub fn pin_vcpu_flags(
    call: &Call,
    (domain, vcpu, cpumap, flags): (Domain, u32, Opaque, u32),
) -> Result<()> {
    let it = affected(call, &domain, flags, 0)?;
    let host = processors(call)?;
    let mut cpus = cpu_set(&cpumap);
    cpus.0.retain(|cpu| *cpu < host);
    if cpus.0.is_empty() {
        return Err(Error::invalid("empty cpu list for pinning"));
    }
    if it.live {
        let params = vec![id(&it.guest), i64::from(vcpu).into(), cpus.text().into()];
        call.xend().tell("xend.domain.pincpu", params)?;
    }
    if it.config {
        redefine(call, &it.guest, |config| {
            if vcpu >= config.maxvcpus {
                let most = config.maxvcpus;
                return Err(Error::invalid(format!("vcpu {vcpu} is out of range of {most}")));
            }
            let set = |vcpu| config.cpus_of(vcpu).cloned().unwrap_or_default();
            let mut each: Vec<CpuSet> = (0..config.maxvcpus).map(set).collect();
            each[vcpu as usize] = cpus;
            config.cpus = each;
            Ok(())
        })?;
    }
    Ok(())
}

fn processors(call: &Call) -> Result<u32> {
    let node = call.xend().ask("xend.node.info", vec![])?;
    Ok(sxp::int(&node, "nr_cpus").and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1))
}

/// A vcpu as it is now.
#[derive(Debug, Clone)]
pub struct Vcpu {
    /// Its number.
    pub number: u32,
    /// `virVcpuState`: offline, running, blocked.
    pub state: i32,
    /// The time it ran, in nanoseconds.
    pub time: u64,
    /// The processor it is on.
    pub cpu: i32,
    /// The processors it may be on.
    pub may: Vec<u32>,
}

/// The vcpus of a guest that runs.
pub fn vcpus(call: &Call, guest: &Guest) -> Result<Vec<Vcpu>> {
    let domain = call.xend().ask("xend.domain.getVCPUInfo", vec![id(guest)])?;
    let vcpus = sxp::children(&domain, "vcpu").map(|vcpu| {
        let int = |name| sxp::int(vcpu, name).unwrap_or(0);
        let cpus = sxp::value(vcpu, "cpumap").and_then(|map| map.as_array()).unwrap_or_default();
        let cpus = cpus.iter().filter_map(|cpu| cpu.as_int()?.try_into().ok());
        Vcpu {
            number: int("number") as u32,
            state: match (int("online"), int("blocked")) {
                (0, _) => 0,
                (_, 0) => 1,
                _ => 2,
            },
            time: (sxp::number(vcpu, "cpu_time").unwrap_or(0.0) * 1e9) as u64,
            cpu: int("cpu") as i32,
            may: cpus.collect(),
        }
    });
    Ok(vcpus.collect())
}

/// The answer to [`vcpu_info`]: number, state, time and processor of each, and their maps.
pub type VcpuInfo = (Vec<(u32, i32, u64, i32)>, Opaque);

/// How a domain's vcpus are, and where they may run, in maps of `length` bytes.
pub fn vcpu_info(call: &Call, (domain, most, length): (Domain, i32, i32)) -> Result<VcpuInfo> {
    let guest = find_active(call, &domain)?;
    let (most, length) = sizes(most, length)?;
    let vcpus: Vec<Vcpu> = vcpus(call, &guest)?.into_iter().take(most).collect();
    let infos = vcpus.iter().map(|it| (it.number, it.state, it.time, it.cpu)).collect();
    let maps = vcpus.iter().flat_map(|it| cpu_map(it.may.iter().copied(), length)).collect();
    Ok((infos, Opaque(maps)))
}

/// As many maps, each as long, as a client may ask for (`REMOTE_VCPUINFO_MAX`,
/// `REMOTE_CPUMAP_MAX`).
fn sizes(count: i32, length: i32) -> Result<(usize, usize)> {
    match (usize::try_from(count), usize::try_from(length)) {
        (Ok(count), Ok(length)) if count <= 16384 && length <= 2048 => Ok((count, length)),
        _ => Err(Error::invalid("too many vcpus, or too long maps, are asked for")),
    }
}

/// Where a domain's vcpus may run, as it runs or as it is defined.
pub fn vcpu_pins(
    call: &Call,
    (domain, most, length, flags): (Domain, i32, i32, u32),
) -> Result<(Opaque, i32)> {
    let it = affected(call, &domain, flags, 0)?;
    let (most, length) = sizes(most, length)?;
    let host = processors(call)?;
    let maps: Vec<Vec<u8>> = if it.live {
        let vcpus = vcpus(call, &it.guest)?;
        vcpus.into_iter().map(|it| cpu_map(it.may, length)).collect()
    } else {
        let config = super::settings::of(call, &it.guest, true)?;
        let map = |vcpu| match config.cpus_of(vcpu) {
            Some(set) => cpu_map(set.0.iter().copied(), length),
            None => cpu_map(0..host, length),
        };
        (0..config.maxvcpus).map(map).collect()
    };
    let maps: Vec<Vec<u8>> = maps.into_iter().take(most).collect();
    let count = maps.len() as i32;
    Ok((Opaque(maps.concat()), count))
}

/// The scheduler, and how many parameters it has for a domain.
pub fn scheduler_type(call: &Call, domain: Domain) -> Result<(String, i32)> {
    find(call, &domain)?;
    let node = call.xend().ask("xend.node.info", vec![])?;
    Ok((sxp::text(&node, "xen_scheduler").unwrap_or_default(), 2))
}

/// A domain's share of the processors.
pub fn scheduler(call: &Call, (domain, count): (Domain, i32)) -> Result<Vec<Param>> {
    scheduler_flags(call, (domain, count, 0))
}

/// A domain's share of the processors.
pub fn scheduler_flags(
    call: &Call,
    (domain, count, flags): (Domain, i32, u32),
) -> Result<Vec<Param>> {
    /// `VIR_TYPED_PARAM_STRING_OKAY`.
    const STRINGS: u32 = 4;
    let it = affected(call, &domain, flags, STRINGS)?;
    only_live(&it)?;
    let share = call.xend().ask("xend.domain.sched_credit_get", vec![id(&it.guest)])?;
    let part = |name| sxp::int(&share, name).unwrap_or(0) as u32;
    let params = [Param::new("weight", part("weight")), Param::new("cap", part("cap"))];
    let count = usize::try_from(count).unwrap_or(0);
    Ok(params.into_iter().take(if count == 0 { 2 } else { count }).collect())
}

fn only_live(it: &super::settings::Affected) -> Result<()> {
    if it.live {
        return Ok(());
    }
    Err(Error::state("scheduler parameters are those of a running domain; they are not defined"))
}

/// Sets a domain's share of the processors.
pub fn set_scheduler(call: &Call, (domain, params): (Domain, Vec<Param>)) -> Result<()> {
    set_scheduler_flags(call, (domain, params, 0))
}

/// Sets a domain's share of the processors.
pub fn set_scheduler_flags(
    call: &Call,
    (domain, params, flags): (Domain, Vec<Param>, u32),
) -> Result<()> {
    let it = affected(call, &domain, flags, 0)?;
    only_live(&it)?;
    let share = call.xend().ask("xend.domain.sched_credit_get", vec![id(&it.guest)])?;
    let old = |name| sxp::int(&share, name).unwrap_or(0);
    let (mut weight, mut cap) = (old("weight"), old("cap"));
    for Param { field, value } in params {
        match (field.as_str(), value) {
            ("weight", ParamValue::Uint(value)) => weight = i64::from(value),
            ("cap", ParamValue::Uint(value)) => cap = i64::from(value),
            (name, _) => return Err(Error::invalid(format!("parameter '{name}' not supported"))),
        }
    }
    let params = vec![id(&it.guest), weight.into(), cap.into()];
    call.xend().tell("xend.domain.sched_credit_set", params).map(drop)
}

/// Memory statistics: tag and value.
pub fn memory_stats(
    call: &Call,
    (domain, most, _flags): (Domain, u32, u32),
) -> Result<Vec<(i32, u64)>> {
    /// `VIR_DOMAIN_MEMORY_STAT_AVAILABLE` and `_ACTUAL_BALLOON`, in KiB.
    const AVAILABLE: i32 = 5;
    const BALLOON: i32 = 6;
    let guest = call.xend().guest(find_active(call, &domain)?.uuid)?;
    let stats = [(BALLOON, guest.memory), (AVAILABLE, guest.max_memory)];
    Ok(stats.into_iter().take(most as usize).collect())
}

/// The time that a domain ran, in all or on each processor, which Xen does not tell.
pub fn cpu_stats(
    call: &Call,
    (domain, count, first, _cpus, _flags): (Domain, u32, i32, u32, u32),
) -> Result<(Vec<Param>, i32)> {
    if first != -1 {
        return Err(Error::new(Code::ArgumentUnsupported, "only the time in all is known"));
    }
    let guest = call.xend().guest(find_active(call, &domain)?.uuid)?;
    if count == 0 {
        return Ok((Vec::new(), 1));
    }
    Ok((vec![Param::new("cpu_time", guest.cpu_time)], 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_bits_from_the_lowest() {
        let set = cpu_set(&Opaque(vec![0b101, 0b1]));
        assert_eq!(set.0.iter().copied().collect::<Vec<_>>(), [0, 2, 8]);
        assert_eq!(cpu_map(set.0, 2), [0b101, 0b1]);
        assert_eq!(cpu_map([99], 1), [0]);
        assert!(sizes(-1, 1).is_err() && sizes(1, 1 << 20).is_err());
    }
}
