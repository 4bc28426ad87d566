//! domctl: what dom0's tools ask of one domain (domctl.h).

mod context;
mod life;
mod pages;
mod scheduling;
mod settings;
mod vcpus;

use core::sync::atomic::Ordering;

use xen::abi::domctl::{self, DOMINF_BLOCKED, DOMINF_DYING, DOMINF_PAUSED, DOMINF_RUNNING};
use xen::abi::domctl::{
    DOMINF_SHUTDOWN, DOMINF_SHUTDOWN_SHIFT, GetDomainInfo, INTERFACE_VERSION, INVALID_MAX_VCPU_ID,
};
use xen::abi::errno::{EACCES, EPERM, ESRCH};
use xen::abi::{DomId, Plain};

pub use context::set_context;
pub use scheduling::write_set;

use super::{Answer, cpuid};
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
    let (answer, body) = (place + 8, place + 16);
    let number = match number as DomId {
        xen::abi::DOMID_SELF => guest.domain().number,
        number => number,
    };
    match command {
        domctl::CREATE_DOMAIN => {
            life::create(number, answer, body)?;
            return Ok(0);
        }
        domctl::GET_DOMAIN_INFO => {
            // The one that is asked for, or the next.
            let domain = domain::find_from(number).ok_or(ESRCH)?;
            memory::write(answer, &domain.number)?;
            memory::write(body, &info(&domain))?;
            return Ok(0);
        }
        _ => (),
    }
    let domain = domain::find(number).ok_or(ESRCH)?;
    match command {
        domctl::DESTROY_DOMAIN => return life::destroy(guest, &domain, place),
        domctl::PAUSE_DOMAIN => life::pause(guest, &domain)?,
        domctl::UNPAUSE_DOMAIN => life::unpause(&domain)?,
        domctl::RESUME_DOMAIN => life::resume(&domain)?,
        domctl::MAX_VCPUS => context::max_vcpus(&domain, memory::read(body)?)?,
        domctl::SET_VCPU_CONTEXT => return context::set(guest, &domain, place),
        domctl::GET_VCPU_CONTEXT => context::get(guest, &domain, body)?,
        domctl::HYPERCALL_INIT => pages::hypercall_init(&domain, memory::read(body)?)?,
        domctl::GET_PAGE_FRAME_INFO => pages::info(&domain, body)?,
        domctl::GET_CPU_POLICY => cpuid::of_domain(&domain, body)?,
        domctl::SET_CPU_POLICY => cpuid::set(&domain, body)?,
        domctl::GET_VCPU_INFO => vcpus::info(&domain, body)?,
        domctl::GET_VCPU_AFFINITY => scheduling::affinity(&domain, body)?,
        domctl::SET_VCPU_AFFINITY => scheduling::set_affinity(&domain, body)?,
        domctl::SCHEDULER_OP => scheduling::credit(&domain, body)?,
        _ => settings::operation(&domain, command, body)?,
    }
    Ok(0)
}

/// What there is to say of a domain.
pub fn info(domain: &Domain) -> GetDomainInfo {
    let online = |vcpu: &&Vcpu| vcpu.online.load(Ordering::Relaxed);
    let is_awake = domain.vcpus().any(Vcpu::may_run);
    let is_paused = domain.pauses.load(Ordering::Relaxed) != 0;
    let is_over = domain.is_over.load(Ordering::Relaxed);
    let mut flags = match () {
        () if domain.is_dying.load(Ordering::Relaxed) => DOMINF_DYING,
        () if is_paused || is_over => 0,
        () if is_awake => DOMINF_RUNNING,
        () => DOMINF_BLOCKED,
    };
    if is_paused {
        flags |= DOMINF_PAUSED;
    }
    if is_over {
        let reason = u32::from(domain.reason.load(Ordering::Relaxed));
        flags |= DOMINF_SHUTDOWN | reason << DOMINF_SHUTDOWN_SHIFT;
    }
    GetDomainInfo {
        domain: domain.number,
        flags,
        tot_pages: domain.frames(),
        max_pages: domain.max_frames.load(Ordering::Relaxed),
        outstanding_pages: domain.claim.load(Ordering::Relaxed),
        shared_info_frame: domain.shared_info,
        cpu_time: domain.vcpus().map(Vcpu::run_time).sum(),
        nr_online_vcpus: domain.vcpus().filter(online).count() as u32,
        max_vcpu_id: (domain.vcpus().count() as u32).checked_sub(1).unwrap_or(INVALID_MAX_VCPU_ID),
        handle: *domain.handle.lock(),
        gpaddr_bits: 52,
        ..GetDomainInfo::zeroed()
    }
}
