//! Operations on whole page tables and on translations (MMUEXT_*, xen.h).

use hypervisor::paging::Outcome;
use hypervisor::paging::entry::is_guest_address;
use hypervisor::paging::page::{Owner, Use};
use xen::abi::errno::{EINVAL, ENOSYS, EOPNOTSUPP, EPERM, Errno};
use xen::abi::mmuext::{self as op, MmuextOp};
use xen::abi::{DOMID_IO, DOMID_SELF, DomId};

use super::mmu::{PREEMPTED, count_done, done_before, flush, owner_of};
use super::{Answer, Arguments, Stop, descriptors, errno};
use crate::arch::entry::Registers;
use crate::arch::{memory as machine, processor};
use crate::guest::memory;
use crate::vcpu::Guest;
use crate::{domain, frames, host, interrupts};

const SIZE: u64 = size_of::<MmuextOp>() as u64;

/// mmuext_op that has one translation forgotten here: what is done most. `None`: nothing was done,
/// and it is for [`operations`].
#[inline(never)]
pub fn usual(guest: &mut Guest<'_>) -> Option<()> {
    let &mut Registers { rdi: list, rsi: count, rdx: done_place, r10: whose, .. } =
        guest.registers();
    if (count, done_place, whose) != (1, 0, DOMID_SELF.into()) || guest.own.walk.is_pending() {
        return None;
    }
    let operation: MmuextOp = memory::read(list).ok()?;
    (operation.cmd == op::INVLPG_LOCAL).then(|| machine::flush_one(operation.arg1))
}

/// mmuext_op: a list of operations, and whose frames they name.
pub fn operations(guest: &mut Guest<'_>, arguments: Arguments) -> Answer {
    let [list, count, done_place, whose, ..] = arguments;
    let before = done_before(done_place, count);
    let count = count & 0xffff_ffff & !PREEMPTED;
    let owner = owner_of(guest, whose as DomId)?;
    let is_io = whose as DomId == DOMID_IO;
    let mut result = Ok(());
    let mut done = 0;
    while done < count {
        if done > 0 && interrupts::are_waiting() {
            result = Err(None);
            break;
        }
        result = memory::read(list + SIZE * done).map_err(Some).and_then(|operation: MmuextOp| {
            match operation.cmd {
                // Devices have no tables, and no memory to be cleared.
                op::PIN_L1_TABLE..=op::UNPIN_TABLE | op::CLEAR_PAGE | op::COPY_PAGE if is_io => {
                    Err(Some(EINVAL))
                }
                op::NEW_BASEPTR..=op::FLUSH_CACHE_GLOBAL if is_io => Err(Some(EPERM)),
                _ => one(guest, owner, operation),
            }
        });
        if result.is_err() {
            break;
        }
        done += 1;
    }
    let _ = count_done(done_place, before, done);
    let again =
        Stop::Again([list + SIZE * done, (count - done) | PREEMPTED, done_place, whose, 0, 0]);
    match result {
        Ok(()) => {
            if !guest.own.walk.is_pending() {
                return Ok(0);
            }
            let domain = guest.domain();
            let _lock = domain.tables.lock();
            match domain.rules().settle(&mut guest.own.walk) {
                Outcome::Done => Ok(0),
                Outcome::Again => Err(again),
            }
        }
        Err(Some(error)) => Err(error.into()),
        Err(None) => Err(again),
    }
}

/// One operation; `None` as the error: again later.
fn one(guest: &mut Guest<'_>, owner: Owner, operation: MmuextOp) -> Result<(), Option<Errno>> {
    let (mfn, is_own) = (operation.arg1, owner == guest.domain().owner);
    match operation.cmd {
        command @ op::PIN_L1_TABLE..=op::PIN_L4_TABLE => {
            pin(guest, owner, mfn, Use::table(command as u8 + 1))
        }
        op::UNPIN_TABLE => unpin(guest, owner, mfn),
        op::CLEAR_PAGE => with_writable(owner, mfn, machine::clear),
        op::COPY_PAGE => copy(guest, owner, operation.arg2, mfn),
        op::NEW_BASEPTR..=op::FLUSH_CACHE_GLOBAL if !is_own => Err(Some(EPERM)),
        op::NEW_BASEPTR => new_base(guest, mfn),
        op::TLB_FLUSH_LOCAL => {
            host::flush_here(owner);
            Ok(())
        }
        op::INVLPG_LOCAL => {
            machine::flush_one(mfn);
            Ok(())
        }
        op::TLB_FLUSH_MULTI | op::INVLPG_MULTI => {
            let _vcpus: u64 = memory::read(operation.arg2).map_err(|_| EINVAL)?;
            flush(guest, op::UVMF_ALL, (operation.cmd == op::INVLPG_MULTI).then_some(mfn))
                .map_err(Some)
        }
        op::TLB_FLUSH_ALL => flush(guest, op::UVMF_ALL, None).map_err(Some),
        op::INVLPG_ALL if is_guest_address(mfn) => {
            flush(guest, op::UVMF_ALL, Some(mfn)).map_err(Some)
        }
        op::INVLPG_ALL => Ok(()),
        // Caches are coherent here; devices of dom0 that want it flushed get it.
        op::FLUSH_CACHE | op::FLUSH_CACHE_GLOBAL => {
            crate::arch::cpu::flush_caches(guest.domain().is_privileged).map_err(Some)
        }
        op::SET_LDT => descriptors::set_ldt(guest, mfn, operation.arg2 as u32).map_err(Some),
        op::NEW_USER_BASEPTR => new_user_base(guest, mfn),
        op::MARK_SUPER | op::UNMARK_SUPER => Err(Some(EOPNOTSUPP)),
        _ => Err(Some(ENOSYS)),
    }
}

/// Copies a frame of the same owner to one that is writable.
fn copy(guest: &mut Guest<'_>, owner: Owner, source: u64, mfn: u64) -> Result<(), Option<Errno>> {
    frames::page(source).ok_or(EINVAL)?.get(owner).map_err(|_| EINVAL)?;
    let copied = with_writable(owner, mfn, |mfn| machine::copy(source, mfn));
    guest.domain().rules().put_reference(source);
    copied
}

fn outcome(outcome: Result<Outcome, hypervisor::paging::Error>) -> Result<(), Option<Errno>> {
    match outcome {
        Ok(Outcome::Done) => Ok(()),
        Ok(Outcome::Again) | Err(hypervisor::paging::Error::Busy) => Err(None),
        Err(error) => Err(Some(errno(error))),
    }
}

/// Has a table checked, and kept so.
fn pin(guest: &mut Guest<'_>, owner: Owner, mfn: u64, kind: Use) -> Result<(), Option<Errno>> {
    let domain = domain::at(owner).ok_or(EINVAL)?;
    let _lock = domain.tables.lock();
    let rules = domain.rules();
    outcome(rules.get_table(mfn, kind, &mut guest.own.walk))?;
    if !frames::page(mfn).ok_or(EINVAL)?.pin() {
        rules.put_table(mfn, kind, &mut guest.own.walk);
        return Err(Some(EINVAL));
    }
    Ok(())
}

/// Lets a table go that was pinned.
fn unpin(guest: &mut Guest<'_>, owner: Owner, mfn: u64) -> Result<(), Option<Errno>> {
    let domain = domain::at(owner).ok_or(EINVAL)?;
    let _lock = domain.tables.lock();
    let rules = domain.rules();
    if rules.settle(&mut guest.own.walk) == Outcome::Again {
        return Err(None);
    }
    let page = frames::page(mfn).ok_or(EINVAL)?;
    if page.owner() != Some(owner) || !page.unpin() {
        return Err(Some(EINVAL));
    }
    let kind = page.usage().0;
    kind.level().ok_or(EINVAL)?;
    rules.put_table(mfn, kind, &mut guest.own.walk);
    Ok(())
}

/// Loads another of the kernel's top tables.
pub fn new_base(guest: &mut Guest<'_>, mfn: u64) -> Result<(), Option<Errno>> {
    let domain = guest.domain();
    let _lock = domain.tables.lock();
    let rules = domain.rules();
    if mfn == guest.own.top_table() {
        host::flush_here(domain.owner);
        return Ok(());
    }
    let kind = rules.shape.top();
    outcome(rules.get_table(mfn, kind, &mut guest.own.walk))?;
    if kind == Use::L4 {
        machine::show_machine_to_physical(mfn, true);
    }
    let old = guest.own.set_top_table(mfn);
    if guest.own.in_kernel {
        processor::this().load(guest.own.kernel_table << 12);
    }
    // What programs see is global: it outlives the tables.
    host::flush_here(domain.owner);
    rules.put_table(old, kind, &mut guest.own.walk);
    Ok(())
}

/// Names another of the programs' tables of level 4; 0 is none.
fn new_user_base(guest: &mut Guest<'_>, mfn: u64) -> Result<(), Option<Errno>> {
    let domain = guest.domain();
    let _lock = domain.tables.lock();
    let rules = domain.rules();
    if mfn == guest.own.user_table {
        return Ok(());
    }
    match mfn {
        0 => outcome(Ok(rules.settle(&mut guest.own.walk)))?,
        _ => outcome(rules.get_table(mfn, Use::L4, &mut guest.own.walk))?,
    }
    // Programs have no business with the machine-to-physical table.
    if mfn != 0 && mfn != guest.own.kernel_table {
        machine::show_machine_to_physical(mfn, false);
    }
    let old = core::mem::replace(&mut guest.own.user_table, mfn);
    if old != 0 {
        rules.put_table(old, Use::L4, &mut guest.own.walk);
    }
    Ok(())
}

/// Does something to a frame that may be written to.
fn with_writable(owner: Owner, mfn: u64, act: impl FnOnce(u64)) -> Result<(), Option<Errno>> {
    use hypervisor::paging::entry::Entry;
    let domain = domain::at(owner).ok_or(EINVAL)?;
    let rules = domain.rules();
    rules.get(mfn, owner, Use::Writable).map_err(|_| EINVAL)?;
    act(mfn);
    rules.release(Entry::new(mfn, Entry::PRESENT | Entry::WRITABLE));
    Ok(())
}
