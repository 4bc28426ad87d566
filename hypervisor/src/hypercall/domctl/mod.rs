//! domctl: what dom0's tools ask of one domain (domctl.h).

mod vcpus;

use core::sync::atomic::Ordering;

use xen::abi::domctl::{
    DOMINF_BLOCKED, DOMINF_RUNNING, DOMINF_SHUTDOWN, GET_DOMAIN_INFO, GET_VCPU_AFFINITY,
    GET_VCPU_INFO, GetDomainInfo, INTERFACE_VERSION,
};
use xen::abi::errno::{EACCES, ENOSYS, EPERM, ESRCH};
use xen::abi::{DomId, Plain};

use super::Answer;
use crate::domain::{self, Domain};
use crate::guest::memory;
use crate::vcpu::{Guest, Vcpu};

/// Does what the structure at that address says.
pub fn operation(guest: &mut Guest<'_>, place: u64) -> Answer {
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    let [head, number] = memory::read_words::<2>(place)?;
    let (command, version) = (head as u32, (head >> 32) as u32);
    if version != INTERFACE_VERSION {
        return Err(EACCES.into());
    }
    let number = match number as DomId {
        xen::abi::DOMID_SELF => guest.domain().number,
        number => number,
    };
    // The one that is asked for, or for information the next.
    let mut found = domain::find(number);
    if command == GET_DOMAIN_INFO && found.is_none() {
        found = (number..=u16::MAX).take(1 << 15).find_map(domain::find);
    }
    let domain = found.ok_or(ESRCH)?;
    let body = place + 16;
    match command {
        GET_DOMAIN_INFO => {
            memory::write(place + 8, &domain.number)?;
            memory::write(body, &info(&domain))?;
        }
        GET_VCPU_INFO => vcpus::info(&domain, body)?,
        GET_VCPU_AFFINITY => vcpus::affinity(&domain, body)?,
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

/// What there is to say of a domain.
pub fn info(domain: &Domain) -> GetDomainInfo {
    let online = |vcpu: &&Vcpu| vcpu.online.load(Ordering::Relaxed);
    let is_running = domain.vcpus().any(|vcpu| !vcpu.blocked.load(Ordering::Relaxed));
    let mut flags = if is_running { DOMINF_RUNNING } else { DOMINF_BLOCKED };
    if domain.is_over.load(Ordering::Relaxed) {
        flags = DOMINF_SHUTDOWN;
    }
    GetDomainInfo {
        domain: domain.number,
        flags,
        tot_pages: domain.frames.load(Ordering::Relaxed),
        max_pages: domain.max_frames.load(Ordering::Relaxed),
        shared_info_frame: domain.shared_info,
        cpu_time: domain.vcpus().map(Vcpu::run_time).sum(),
        nr_online_vcpus: domain.vcpus().filter(online).count() as u32,
        max_vcpu_id: domain.vcpus().count() as u32 - 1,
        gpaddr_bits: 52,
        ..GetDomainInfo::zeroed()
    }
}
