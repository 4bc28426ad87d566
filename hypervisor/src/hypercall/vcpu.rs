//! vcpu_op (vcpu.h).

use core::sync::atomic::Ordering;

use hypervisor::credit::Account;
use hypervisor::narrow::halves;
use hypervisor::paging::Outcome;
use xen::abi::assist::RUNSTATE_UPDATE_FLAG;
use xen::abi::errno::{EEXIST, EINVAL, ENOENT, ENOSYS, Errno};
use xen::abi::plain_structs;
use xen::abi::sched::SHUTDOWN_POWEROFF;
use xen::abi::vcpu::{self as op, GuestContext, ONLINE};
use xen::abi::x86_32;

use super::domctl::set_context;
use super::{Answer, Stop};
use crate::arch::{platform, processor};
use crate::guest::memory;
use crate::vcpu::{Guest, Vcpu};
use crate::{frames, scheduler, shutdown, time};

plain_structs! {
    /// `struct vcpu_set_singleshot_timer`
    struct Singleshot { at: u64, flags: u32, pad: u32 }
    /// `struct vcpu_register_vcpu_info`
    struct RegisterInfo { mfn: u64, offset: u32, pad: u32 }
    /// `struct vcpu_runstate_info`
    struct Runstate { state: u32, pad: u32, since: u64, times: [u64; 4] }
}

/// Does what the command says of a vcpu of the caller's domain.
pub fn operation(guest: &mut Guest<'_>, command: u32, number: u32, place: u64) -> Answer {
    let vcpu = guest.domain().vcpu(number as usize).ok_or(ENOENT)?;
    match u64::from(command) {
        op::INITIALISE => return initialise(guest, vcpu, place),
        op::UP => up(vcpu)?,
        op::DOWN => down(guest, vcpu)?,
        op::IS_UP => return Ok(u64::from(vcpu.online.load(Ordering::Relaxed))),
        op::GET_RUNSTATE_INFO => {
            write_runstate(guest, place, &runstate(scheduler::account(vcpu)))?;
        }
        op::REGISTER_RUNSTATE_MEMORY_AREA => {
            let area: u64 = memory::read(place)?;
            write_runstate(guest, area, &runstate(scheduler::account(vcpu)))?;
            vcpu.runstate.store(area, Ordering::Relaxed);
        }
        op::SET_PERIODIC_TIMER => {
            let period = memory::read(place)?;
            if !PERIODS.contains(&period) {
                return Err(EINVAL.into());
            }
            set_period(vcpu, period);
        }
        op::STOP_PERIODIC_TIMER => set_period(vcpu, 0),
        op::SET_SINGLESHOT_TIMER => {
            let timer: Singleshot = memory::read(place)?;
            // A time that has passed is now, whatever the flags (VCPU_SSHOTTMR_future) say.
            vcpu.timer.store(timer.at, Ordering::Relaxed);
            scheduler::retime(vcpu);
        }
        op::STOP_SINGLESHOT_TIMER => {
            vcpu.timer.store(u64::MAX, Ordering::Relaxed);
            scheduler::retime(vcpu);
        }
        op::REGISTER_VCPU_INFO => register_info(guest, vcpu, memory::read(place)?)?,
        // It has no argument.
        op::SEND_NMI if place != 0 => return Err(EINVAL.into()),
        op::SEND_NMI => {
            vcpu.nmi.store(true, Ordering::SeqCst);
            scheduler::notify(vcpu);
        }
        op::GET_PHYSID => memory::write(place, &physical(vcpu)?)?,
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

/// Sets the registers of a vcpu that never ran; the call is made again until its page tables are
/// checked.
fn initialise(guest: &mut Guest<'_>, vcpu: &Vcpu, place: u64) -> Answer {
    let again = Err(Stop::Again([op::INITIALISE, vcpu.number as u64, place, 0, 0, 0]));
    // Whoever else is at it is done soon.
    let Some(_lock) = vcpu.starting.try_lock() else { return again };
    let context: GuestContext = memory::read(place)?;
    if vcpu.is_initialised.load(Ordering::SeqCst) {
        return Err(EEXIST.into());
    }
    let context = GuestContext { flags: context.flags & !ONLINE, ..context };
    match set_context(vcpu, &context, &mut guest.own.walk)? {
        Outcome::Done => Ok(0),
        Outcome::Again => again,
    }
}

fn up(vcpu: &Vcpu) -> Result<(), Errno> {
    let _lock = vcpu.starting.lock();
    if !vcpu.is_initialised.load(Ordering::SeqCst) {
        return Err(EINVAL);
    }
    vcpu.online.store(true, Ordering::SeqCst);
    scheduler::update(vcpu);
    Ok(())
}

/// A domain whose last vcpu goes down has ended.
fn down(guest: &Guest<'_>, vcpu: &Vcpu) -> Result<(), Errno> {
    let domain = guest.domain();
    vcpu.online.store(false, Ordering::SeqCst);
    scheduler::update(vcpu);
    if !domain.vcpus().any(|vcpu| vcpu.online.load(Ordering::SeqCst)) {
        shutdown::domain_is_over(domain, SHUTDOWN_POWEROFF);
    }
    Ok(())
}

/// The local APIC's and ACPI's numbers of the only processor that a vcpu of dom0 may run on.
fn physical(vcpu: &Vcpu) -> Result<u64, Errno> {
    let allowed = scheduler::affinity(vcpu).hard.and(scheduler::online());
    let only = allowed.first().filter(|first| allowed.iter().eq([*first]));
    let only = only.filter(|_| vcpu.domain().is_privileged).ok_or(EINVAL)?;
    let apic_id = processor::get(only).ok_or(EINVAL)?.apic_id();
    let mut all = platform::firmware().madt.processors().iter();
    let acpi_id = all.find(|it| it.apic_id == apic_id).map_or(0xff, |it| it.acpi_id);
    Ok(u64::from(apic_id) | u64::from(acpi_id) << 32)
}

/// Has VIRQ_TIMER raised every so many nanoseconds while the vcpu runs; 0 is never.
/// Periods that a timer may have, in nanoseconds.
const PERIODS: core::ops::Range<u64> = 1_000_000..1 << 62;

fn set_period(vcpu: &Vcpu, period: u64) {
    vcpu.period.store(period, Ordering::Relaxed);
    let tick = if period == 0 { u64::MAX } else { time::now() + period };
    vcpu.tick.store(tick, Ordering::Relaxed);
    scheduler::retime(vcpu);
}

fn runstate(account: Account) -> Runstate {
    let Account { state, since, times, .. } = account;
    Runstate { state: state as u32, pad: 0, since, times }
}

/// Where in it is said since when.
fn since_offset(is_narrow: bool) -> u64 {
    match is_narrow {
        true => core::mem::offset_of!(x86_32::Runstate, state_entry_time) as u64,
        false => core::mem::offset_of!(Runstate, since) as u64,
    }
}

/// Writes it as the guest reads it.
fn write_runstate(guest: &Guest<'_>, area: u64, runstate: &Runstate) -> Result<(), Errno> {
    if !guest.is_narrow() {
        return memory::write(area, runstate);
    }
    let &Runstate { state, since, times, .. } = runstate;
    let time = times.map(halves);
    memory::write(area, &x86_32::Runstate { state, state_entry_time: halves(since), time })
}

impl Guest<'_> {
    /// Writes how long the vcpu ran and waited to where it wants it, if anywhere. It runs from now on
    /// and its kernel's page tables are in use.
    pub fn show_runstate(&mut self) {
        const BEING_WRITTEN: u64 = 1 << 63;
        let area = self.vcpu.runstate.load(Ordering::Relaxed);
        if area == 0 {
            return;
        }
        let mut account = scheduler::account(self.vcpu);
        // What passed since it began to run is for the guest to add.
        account.times[account.state as usize] -= account.current;
        let state = runstate(account);
        // It may have taken its area away: nobody is told then.
        let since_place = area + since_offset(self.is_narrow());
        let _ = match self.domain().assists(RUNSTATE_UPDATE_FLAG) {
            false => write_runstate(self, area, &state),
            true => {
                let since = state.since | BEING_WRITTEN;
                memory::write(since_place, &since)
                    .and_then(|()| write_runstate(self, area, &Runstate { since, ..state }))
                    .and_then(|()| memory::write(since_place, &state.since))
            }
        };
    }
}

/// Moves a vcpu's shared part into a page of the guest, which stays the hypervisor's to write to.
fn register_info(guest: &Guest<'_>, vcpu: &Vcpu, register: RegisterInfo) -> Result<(), Errno> {
    use hypervisor::paging::page::Use;
    if u64::from(register.offset) > 4096 - 64 || register.offset & 7 != 0 {
        return Err(EINVAL);
    }
    let domain = guest.domain();
    let shared = domain.shared_info << 12..(domain.shared_info + 1) << 12;
    if !shared.contains(&vcpu.info().address()) {
        return Err(EINVAL);
    }
    frames::page(register.mfn).ok_or(EINVAL)?;
    domain.rules().get(register.mfn, domain.owner, Use::Writable).map_err(|_| EINVAL)?;
    vcpu.move_info((register.mfn << 12) + u64::from(register.offset));
    // What was raised before is heard in the new place, too.
    vcpu.select_all();
    vcpu.info().pending().store(1, Ordering::Release);
    Ok(())
}
