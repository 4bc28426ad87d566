//! Statistics of many domains at once.

use super::domain::{all_wanted, find};
use super::{settings, tune};
use crate::domain_xml::interface_name;
use crate::error::{Code, Error, Result};
use crate::guest::Guest;
use crate::live;
use crate::protocol::{Domain, Param};
use crate::session::Call;

/// Groups of statistics (`virDomainStatsTypes`).
mod group {
    pub const STATE: u32 = 1 << 0;
    pub const CPU: u32 = 1 << 1;
    pub const BALLOON: u32 = 1 << 2;
    pub const VCPU: u32 = 1 << 3;
    pub const INTERFACE: u32 = 1 << 4;
    pub const BLOCK: u32 = 1 << 5;
    pub const ALL: u32 = STATE | CPU | BALLOON | VCPU | INTERFACE | BLOCK;
}

/// How to gather them (`virConnectGetAllDomainStatsFlags`), beside which domains.
mod flag {
    pub const NOWAIT: u32 = 1 << 29;
    pub const BACKING: u32 = 1 << 30;
    pub const ENFORCE: u32 = 1 << 31;
    pub const FILTERS: u32 = 0xff;
}

/// Statistics of the domains named, or of those that `flags` select.
pub fn all(
    call: &Call,
    (domains, groups, flags): (Vec<Domain>, u32, u32),
) -> Result<Vec<(Domain, Vec<Param>)>> {
    settings::known_flags(flags, flag::NOWAIT | flag::BACKING | flag::ENFORCE | flag::FILTERS)?;
    let unknown = groups & !group::ALL;
    if flags & flag::ENFORCE != 0 && unknown != 0 {
        let reason = format!("Stats types bits {unknown:#x} are not supported by this daemon");
        return Err(Error::new(Code::ArgumentUnsupported, reason));
    }
    let groups = if groups == 0 { group::ALL } else { groups & group::ALL };
    let guests = if domains.is_empty() {
        all_wanted(call, flags & flag::FILTERS)?
    } else {
        domains.iter().map(|domain| find(call, domain)).collect::<Result<_>>()?
    };
    // Times and memory are wanted as they are now, in one question.
    call.xend().outdated();
    let fresh = call.xend().guests()?;
    let one =
        |guest: &Guest| fresh.by_uuid(guest.uuid).map(|it| (it.domain(), of(call, it, groups)));
    Ok(guests.iter().filter_map(one).collect())
}

/// The statistics of a guest. One that goes away meanwhile has fewer.
fn of(call: &Call, guest: &Guest, groups: u32) -> Vec<Param> {
    let has = |group| groups & group != 0;
    let mut params = Vec::new();
    if has(group::STATE) {
        params.push(Param::new("state.state", guest.state as i32));
        params.push(Param::new("state.reason", guest.state.reason()));
    }
    if has(group::CPU) && guest.is_active() {
        params.push(Param::new("cpu.time", guest.cpu_time));
    }
    if has(group::BALLOON) {
        if guest.is_active() {
            params.push(Param::new("balloon.current", guest.memory));
        }
        params.push(Param::new("balloon.maximum", guest.max_memory));
    }
    if has(group::VCPU) {
        vcpus(call, guest, &mut params);
    }
    if has(group::INTERFACE | group::BLOCK) {
        devices(call, guest, groups, &mut params);
    }
    params
}

fn vcpus(call: &Call, guest: &Guest, params: &mut Vec<Param>) {
    params.push(Param::new("vcpu.current", guest.online_vcpus));
    params.push(Param::new("vcpu.maximum", guest.vcpus));
    if !guest.is_active() {
        return;
    }
    for vcpu in tune::vcpus(call, guest).unwrap_or_default() {
        let number = vcpu.number;
        params.push(Param::new(format!("vcpu.{number}.state"), vcpu.state));
        params.push(Param::new(format!("vcpu.{number}.time"), vcpu.time));
    }
}

fn devices(call: &Call, guest: &Guest, groups: u32, params: &mut Vec<Param>) {
    let Ok(config) = settings::of(call, guest, !guest.is_active()) else { return };
    let domid = guest.domid.unwrap_or_default();
    if groups & group::INTERFACE != 0 && guest.is_active() {
        let live = live::of(domid);
        params.push(Param::new("net.count", config.vifs.len() as u32));
        for (index, vif) in config.vifs.iter().enumerate() {
            let Some(name) = interface_name(vif, &live) else { continue };
            let stats = live::interface(&name).unwrap_or_default();
            params.push(Param::new(format!("net.{index}.name"), name));
            for (side, counts) in [("rx", stats.rx), ("tx", stats.tx)] {
                for (what, count) in ["bytes", "pkts", "errs", "drop"].into_iter().zip(counts) {
                    params.push(Param::new(format!("net.{index}.{side}.{what}"), count));
                }
            }
        }
    }
    if groups & group::BLOCK != 0 {
        params.push(Param::new("block.count", config.disks.len() as u32));
        for (index, disk) in config.disks.iter().enumerate() {
            let mut add = |name: &str, value: u64| {
                params.push(Param::new(format!("block.{index}.{name}"), value));
            };
            if let Some(it) = live::disk(domid, disk.vdev.number).filter(|_| guest.is_active()) {
                add("rd.reqs", it.rd_req);
                add("rd.bytes", it.rd_bytes);
                add("wr.reqs", it.wr_req);
                add("wr.bytes", it.wr_bytes);
                add("fl.reqs", it.flush_req);
            }
            if let Ok(size) = crate::files::size(&disk.target) {
                add("allocation", size.allocation);
                add("capacity", size.capacity);
                add("physical", size.capacity);
            }
            let name = disk.vdev.name.clone();
            params.push(Param::new(format!("block.{index}.name"), name));
            let path = disk.target.display().to_string();
            params.push(Param::new(format!("block.{index}.path"), path));
        }
    }
}
