//! Updates of page table entries and of the machine-to-physical table.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::{Owner, Use};
use hypervisor::paging::{Error, Outcome};
use xen::abi::errno::{EFAULT, EINVAL, ENOSYS, EPERM, ESRCH, Errno};
use xen::abi::mmuext::{self as op, MmuUpdate};
use xen::abi::{DOMID_IO, DOMID_SELF, DomId};

use super::{Answer, Arguments, Stop, errno};
use crate::arch::entry::Registers;
use crate::arch::memory::word;
use crate::domain::{self, Domain};
use crate::guest::memory;
use crate::vcpu::Guest;
use crate::{frames, host, interrupts, tables};

/// In a count: it goes on (MMU_UPDATE_PREEMPTED).
pub const PREEMPTED: u64 = 0x8000_0000;

const KIND: u64 = 7;

/// Whose frames a caller means, if it may use them.
pub fn owner_of(guest: &Guest<'_>, number: DomId) -> Result<Owner, Errno> {
    let own = guest.domain();
    match number {
        // Of device memory the caller's own right counts.
        DOMID_SELF | DOMID_IO => Ok(own.owner),
        // Who is foreign is somebody else.
        _ if number == own.number => Err(ESRCH),
        _ => {
            let other = domain::find(number).ok_or(ESRCH)?;
            if own.is_privileged { Ok(other.owner) } else { Err(EPERM) }
        }
    }
}

/// Adds what was done to the count that the caller wants it in.
pub fn count_done(place: u64, before: u64, done: u64) -> Result<(), Errno> {
    if place == 0 { Ok(()) } else { memory::write(place, &((before + done) as u32)) }
}

/// What was done before a call was put off.
pub fn done_before(place: u64, count: u64) -> u64 {
    match count & PREEMPTED != 0 && place != 0 {
        true => memory::read::<u32>(place).unwrap_or_default().into(),
        false => 0,
    }
}

/// mmu_update of a few entries that map pages, in tables of the domain's own: what is done most.
/// `None`: it is for [`update`], which does again what was done of it.
#[inline(never)]
pub fn usual(guest: &mut Guest<'_>) -> Option<()> {
    const MOST: u64 = 32;
    let &mut Registers { rdi: list, rsi: count, rdx: done_place, r10: whose, .. } =
        guest.registers();
    let is_usual = (done_place, whose) == (0, DOMID_SELF.into()) && (1..=MOST).contains(&count);
    if !is_usual || guest.own.walk.is_pending() {
        return None;
    }
    let domain = guest.domain();
    let rules = domain.rules();
    let _lock = domain.tables.lock();
    for index in 0..count {
        let MmuUpdate { ptr, val } = memory::read(list + 16 * index).ok()?;
        let kept = kept_flags(ptr & KIND)?;
        if !frames::page(ptr >> 12)?.is_table_of(Use::L1, domain.owner) {
            return None;
        }
        let change = |old: Entry| Entry(val | old.0 & kept);
        let place = (ptr & 4095) as usize / 8;
        rules.update_mapping(ptr >> 12, place, domain.owner, change).ok()?;
    }
    Some(())
}

/// What an update of a table leaves of the entry's flags; `None` if it is none of a table.
fn kept_flags(kind: u64) -> Option<u64> {
    match kind {
        op::MMU_NORMAL_PT_UPDATE | op::MMU_PT_UPDATE_NO_TRANSLATE => Some(0),
        op::MMU_PT_UPDATE_PRESERVE_AD => Some(Entry::ACCESSED | Entry::DIRTY),
        _ => None,
    }
}

/// mmu_update: a list of updates, and whose frames they name.
pub fn update(guest: &mut Guest<'_>, arguments: Arguments) -> Answer {
    let [list, count, done_place, whose, ..] = arguments;
    let before = done_before(done_place, count);
    let count = count & 0xffff_ffff & !PREEMPTED;
    let from = owner_of(guest, whose as DomId)?;
    let other: Arc<Domain>;
    let tables_of = match (whose >> 16) as DomId {
        0 => guest.domain(),
        number if number - 1 == guest.domain().number => guest.domain(),
        number => {
            other = domain::find(number - 1).ok_or(ESRCH)?;
            if !guest.domain().is_privileged {
                return Err(EPERM.into());
            }
            &other
        }
    };
    let mut result = Ok(());
    let mut done = 0;
    while done < count {
        if done > 0 && interrupts::are_waiting() {
            result = Err(None);
            break;
        }
        result = memory::read(list + 16 * done)
            .map_err(Some)
            .and_then(|update| update_one(guest, tables_of, from, update));
        if result.is_err() {
            break;
        }
        done += 1;
    }
    let _ = count_done(done_place, before, done);
    match result {
        Ok(()) => settle(guest, tables_of, arguments, done),
        Err(Some(error)) => Err(error.into()),
        Err(None) => Err(again(arguments, done)),
    }
}

/// The call as it is made again, when so many updates are done.
fn again([list, count, place, whose, ..]: Arguments, done: u64) -> Stop {
    let left = (count & 0xffff_ffff & !PREEMPTED) - done;
    Stop::Again([list + 16 * done, left | PREEMPTED, place, whose, 0, 0])
}

/// Releases what updates left to be released, and is made again until that is done.
fn settle(guest: &mut Guest<'_>, domain: &Domain, arguments: Arguments, done: u64) -> Answer {
    if !guest.own.walk.is_pending() {
        return Ok(0);
    }
    let _lock = domain.tables.lock();
    match domain.rules().settle(&mut guest.own.walk) {
        Outcome::Done => Ok(0),
        Outcome::Again => Err(again(arguments, done)),
    }
}

/// One update; `None` as the error: again later.
fn update_one(
    guest: &mut Guest<'_>,
    tables_of: &Domain,
    from: Owner,
    update: MmuUpdate,
) -> Result<(), Option<Errno>> {
    let mfn = update.ptr >> 12;
    match update.ptr & KIND {
        op::MMU_MACHPHYS_UPDATE => {
            let page = frames::page(mfn).ok_or(EINVAL)?;
            page.get(from).map_err(|_| EINVAL)?;
            frames::set_pfn(mfn, update.val);
            guest.domain().rules().put_reference(mfn);
            Ok(())
        }
        kind => {
            let kept = kept_flags(kind).ok_or(ENOSYS)?;
            let index = (update.ptr & 4095) as usize / 8;
            set_entry(guest, tables_of, (mfn, index), from, Entry(update.val), kept)
        }
    }
}

/// Sets an entry of a page table, or a word of a page that is none.
fn set_entry(
    guest: &mut Guest<'_>,
    domain: &Domain,
    (mfn, index): (u64, usize),
    from: Owner,
    new: Entry,
    kept: u64,
) -> Result<(), Option<Errno>> {
    let rules = domain.rules();
    let page = frames::page(mfn).ok_or(EINVAL)?;
    let _lock = domain.tables.lock();
    // Tables stay what they are while the lock is held.
    let outcome = match page.table_of(domain.owner) {
        Some(Use::L1) => {
            let change = |old: Entry| Entry(new.0 | old.0 & kept);
            rules.update_mapping(mfn, index, from, change).map(|_| Outcome::Done)
        }
        Some(kind) if from == domain.owner => {
            // What the walk had left to do may be the last that keeps the table.
            page.get(domain.owner).map_err(|_| EINVAL)?;
            let outcome = rules.update_table((mfn, kind), index, new, &mut guest.own.walk);
            rules.put_reference(mfn);
            outcome
        }
        _ => rules.get(mfn, domain.owner, Use::Writable).map(|_| {
            word(mfn, index).store(new.0, Ordering::Relaxed);
            rules.release(Entry::new(mfn, Entry::PRESENT | Entry::WRITABLE));
            Outcome::Done
        }),
    };
    match outcome {
        Ok(Outcome::Done) => Ok(()),
        Ok(Outcome::Again) | Err(Error::Busy) => Err(None),
        Err(error) => Err(Some(errno(error))),
    }
}

/// Sets what maps one address, and has translations forgotten (UVMF_*, xen.h).
pub fn update_va_mapping(
    guest: &mut Guest<'_>,
    address: u64,
    value: u64,
    flags: u64,
    whose: u64,
) -> Answer {
    let from = owner_of(guest, whose as DomId)?;
    let domain = guest.domain();
    {
        let _lock = domain.tables.lock();
        let (table, index, _) = tables::lookup(guest.own.kernel_table, address).ok_or(EINVAL)?;
        let page = frames::page(table).ok_or(EINVAL)?;
        if !page.is_table_of(Use::L1, domain.owner) {
            return Err(EINVAL.into());
        }
        domain.rules().update_mapping(table, index, from, |_| Entry(value)).map_err(errno)?;
    }
    match flags & op::UVMF_FLUSHTYPE_MASK {
        op::UVMF_TLB_FLUSH => flush(guest, flags & !op::UVMF_FLUSHTYPE_MASK, None)?,
        op::UVMF_INVLPG => flush(guest, flags & !op::UVMF_FLUSHTYPE_MASK, Some(address))?,
        _ => (),
    }
    Ok(0)
}

/// Has the processors of some vcpus forget; `which` is `UVMF_LOCAL`, `UVMF_ALL` or the address of a
/// bitmap.
pub fn flush(guest: &Guest<'_>, which: u64, address: Option<u64>) -> Result<(), Errno> {
    if !matches!(which, op::UVMF_LOCAL | op::UVMF_ALL) {
        let _: u64 = memory::read(which).map_err(|_| EFAULT)?;
    }
    match (which, address) {
        (op::UVMF_LOCAL, Some(address)) => crate::arch::memory::flush_one(address),
        (op::UVMF_LOCAL, None) => host::flush_here(guest.domain().owner),
        // Those that were not meant lose nothing but time.
        _ => host::flush(guest.domain().owner),
    }
    Ok(())
}
