//! The end of a domain: everything it has and everything it holds of others is given back, step by
//! step. Frames that others still map are free when they don't any more.

use core::sync::atomic::Ordering;

use hypervisor::paging::page::Page;
use hypervisor::paging::{Outcome, Walk};

use crate::domain::{self, Domain};
use crate::hypercall::descriptors;
use crate::vcpu::Vcpu;
use crate::{events, frames, granting, interrupts, scheduler, shutdown};

/// What is done next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Event channels are closed.
    #[default]
    Channels,
    /// Mappings of others' grants are given up.
    Grants,
    /// What vcpus hold is released, from that one on.
    Vcpus(usize),
    /// Pinned page tables are released, from that frame on.
    Tables(u64),
    /// Memory is given back, from that frame on.
    Memory(u64),
    /// It is no domain any more.
    Rest,
    /// Nothing is left.
    Over,
}

/// How far the end of a domain is.
#[derive(Debug, Default)]
pub struct Teardown {
    stage: Stage,
    walk: Walk,
}

/// Goes on until the end, or until something else is to be done first.
pub fn go_on(domain: &Domain) -> Outcome {
    // Somebody else is at it: they go on, and this call is made again.
    let Some(mut teardown) = domain.teardown.try_lock() else { return Outcome::Again };
    domain.is_dying.store(true, Ordering::SeqCst);
    scheduler::stop(domain);
    while teardown.stage != Stage::Over {
        if interrupts::are_waiting() || step(domain, &mut teardown) == Outcome::Again {
            return Outcome::Again;
        }
    }
    Outcome::Done
}

/// Does one stage, or a part of one.
fn step(domain: &Domain, teardown: &mut Teardown) -> Outcome {
    let rules = domain.rules();
    // The toolstack, on another processor, may be at its tables, too.
    let tables = domain.tables.lock();
    if rules.settle(&mut teardown.walk) == Outcome::Again {
        return Outcome::Again;
    }
    teardown.stage = match teardown.stage {
        Stage::Channels => {
            domain.channels.lock().seal();
            events::close_all(domain);
            frames::claim(&domain.claim, 0);
            Stage::Grants
        }
        Stage::Grants if granting::end_some(domain) => Stage::Grants,
        Stage::Grants => Stage::Vcpus(0),
        Stage::Vcpus(number) => match domain.vcpu(number) {
            Some(vcpu) if release_vcpu(domain, vcpu) == Outcome::Again => return Outcome::Again,
            Some(_) => Stage::Vcpus(number + 1),
            None => Stage::Tables(0),
        },
        Stage::Tables(from) => match find(domain, from, |page| page.unpin()) {
            Found::At(mfn) => {
                let kind = frames::page(mfn).map(|page| page.usage().0);
                if let Some(kind) = kind.filter(|kind| kind.level().is_some()) {
                    rules.put_table(mfn, kind, &mut teardown.walk);
                }
                Stage::Tables(mfn + 1)
            }
            Found::NotBelow(next) => Stage::Tables(next),
            Found::Nothing => Stage::Memory(0),
        },
        Stage::Memory(from) => match find(domain, from, |page| page.is_allocated()) {
            Found::At(mfn) => {
                // That it isn't the domain's any more is what was wanted.
                let _ = domain.give_back(mfn);
                Stage::Memory(mfn + 1)
            }
            Found::NotBelow(next) => Stage::Memory(next),
            Found::Nothing => Stage::Rest,
        },
        Stage::Rest => {
            drop(tables);
            domain::forget(domain);
            shutdown::tell_of_domains();
            Stage::Over
        }
        Stage::Over => Stage::Over,
    };
    Outcome::Done
}

/// Where a search came to.
enum Found {
    /// This frame is one.
    At(u64),
    /// None below that frame; others first.
    NotBelow(u64),
    /// None at all.
    Nothing,
}

/// The next of a domain's frames of which something is so.
fn find(domain: &Domain, from: u64, is_wanted: impl Fn(Page<'_>) -> bool) -> Found {
    /// Frames that are looked at in one go.
    const SOME: u64 = 4096;
    let to = frames::end().min(from + SOME);
    let wanted = |mfn: &u64| {
        frames::page(*mfn).is_some_and(|page| page.owner() == Some(domain.owner) && is_wanted(page))
    };
    match (from..to).find(wanted) {
        Some(mfn) => Found::At(mfn),
        None if to < frames::end() => Found::NotBelow(to),
        None => Found::Nothing,
    }
}

/// Releases the tables, segments and the shared part of a vcpu, which doesn't run.
fn release_vcpu(domain: &Domain, vcpu: &Vcpu) -> Outcome {
    let rules = domain.rules();
    // Whoever reads or sets its registers is done soon.
    let Some(_lock) = vcpu.starting.try_lock() else { return Outcome::Again };
    // SAFETY: the domain was stopped for good, and one goes on with its end at a time.
    let own = unsafe { vcpu.own() };
    own.walk.cancel();
    for is_kernels in [true, false] {
        if rules.settle(&mut own.walk) == Outcome::Again {
            return Outcome::Again;
        }
        let table = match is_kernels {
            true => own.set_top_table(0),
            false => core::mem::take(&mut own.user_table),
        };
        if table != 0 {
            rules.put_table(table, rules.shape.top(), &mut own.walk);
        }
    }
    if rules.settle(&mut own.walk) == Outcome::Again {
        return Outcome::Again;
    }
    descriptors::release(domain, own);
    vcpu.take_info_back();
    Outcome::Done
}
