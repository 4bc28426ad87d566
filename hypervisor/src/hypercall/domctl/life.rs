//! Making, pausing and ending domains.

use core::sync::atomic::Ordering;

use hypervisor::paging::Outcome;
use xen::abi::domctl::{CREATE_IOMMU, CreateDomain, GRANT_VERSION_MASK};
use xen::abi::errno::{EINVAL, EOPNOTSUPP, ESRCH, Errno};
use xen::abi::{DOMID_FIRST_RESERVED, DomId};

use crate::domain::{Domain, MAX_VCPUS, Spec};
use crate::events::PORTS;
use crate::granting::{DEFAULT_FRAMES, DEFAULT_MAPTRACK, MAPPINGS_PER_FRAME};
use crate::guest::memory;
use crate::hypercall::{Answer, Stop};
use crate::scheduler;
use crate::teardown;
use crate::time;
use crate::vcpu::Guest;

/// Makes a domain, paused once. A `number` that no domain can have asks for any; what it is, is
/// written at `answer`.
pub fn create(number: DomId, answer: u64, body: u64) -> Result<(), Errno> {
    let asked: CreateDomain = memory::read(body)?;
    // Only PV guests; memory of devices isn't translated, so that permission to do so is harmless.
    if asked.flags & !CREATE_IOMMU != 0 || asked.arch.emulation_flags != 0 {
        return Err(EINVAL);
    }
    if asked.max_vcpus == 0 || asked.max_vcpus as usize > MAX_VCPUS {
        return Err(EINVAL);
    }
    if asked.vmtrace_size != 0 {
        return Err(EOPNOTSUPP);
    }
    if asked.cpupool_id != 0 {
        return Err(ESRCH);
    }
    let versions = asked.grant_opts & GRANT_VERSION_MASK;
    if versions == 0 || versions > 2 || asked.grant_opts & !GRANT_VERSION_MASK != 0 {
        return Err(EINVAL);
    }
    let or_usual = |count: i32, usual| usize::try_from(count).unwrap_or(usual);
    let domain = Domain::create(&Spec {
        number: Some(number).filter(|number| (1..DOMID_FIRST_RESERVED).contains(number)),
        is_privileged: false,
        handle: asked.handle,
        max_vcpus: asked.max_vcpus as usize,
        max_grant_frames: or_usual(asked.max_grant_frames, DEFAULT_FRAMES),
        grant_versions: versions,
        max_mappings: MAPPINGS_PER_FRAME
            .saturating_mul(or_usual(asked.max_maptrack_frames, DEFAULT_MAPTRACK)),
        max_ports: (asked.max_evtchn_port as usize).saturating_add(1).min(PORTS),
    })?;
    domain.pauses.store(1, Ordering::Release);
    memory::write(answer, &domain.number)
}

/// Pauses the domain once more.
pub fn pause(guest: &Guest<'_>, domain: &Domain) -> Result<(), Errno> {
    if core::ptr::eq(domain, guest.domain()) {
        return Err(EINVAL);
    }
    hold(domain)
}

/// Has the domain, which is not the caller's, stand still until [`let_go`].
pub fn hold(domain: &Domain) -> Result<(), Errno> {
    let count = domain
        .pauses
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| count.checked_add(1));
    count.map_err(|_| EINVAL)?;
    scheduler::stop(domain);
    Ok(())
}

/// Takes one pause back. Who builds a domain clears what it shares with the hypervisor, so that it is
/// shown the clock before it runs.
pub fn unpause(domain: &Domain) -> Result<(), Errno> {
    time::show_wall_clock(domain);
    domain.vcpus().for_each(time::show_clock);
    let_go(domain)
}

/// Lets it go on, if nobody else holds it.
pub fn let_go(domain: &Domain) -> Result<(), Errno> {
    let count = domain
        .pauses
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| count.checked_sub(1));
    count.map_err(|_| EINVAL)?;
    scheduler::go_on(domain);
    Ok(())
}

/// Has a domain go on that had shut down.
pub fn resume(domain: &Domain) -> Result<(), Errno> {
    if domain.is_over.swap(false, Ordering::AcqRel) {
        scheduler::go_on(domain);
    }
    Ok(())
}

/// Destroys a domain; the same call is made again until all is done.
pub fn destroy(guest: &mut Guest<'_>, domain: &Domain, place: u64) -> Answer {
    if core::ptr::eq(domain, guest.domain()) || domain.number == 0 {
        return Err(EINVAL.into());
    }
    match teardown::go_on(domain) {
        Outcome::Done => Ok(0),
        Outcome::Again => Err(Stop::Again([place, 0, 0, 0, 0, 0])),
    }
}
