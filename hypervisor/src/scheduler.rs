//! Which vcpu runs on which processor, and changing from one to the next.
//!
//! A vcpu that runs nowhere has all that it has in memory, and no processor remembers its
//! translations: it goes on wherever it is chosen. Whether it may run is said by `Vcpu::may_run`;
//! whoever changes what that depends on calls [`update`] afterwards, so that no wake-up is lost.

use core::sync::atomic::Ordering;

use hypervisor::credit::{Account, Affinity, Id, Scheduler, Set, Settings, State};
use hypervisor::paging::page::Owner;
use spin::mutex::MutexGuard;

use crate::arch::processor::{self, CHOOSE, Processor, TIMER};
use crate::arch::{cpu, entry, shootdown};
use crate::domain::Domain;
use crate::guest::traps;
use crate::lock::{Mutex, Serve};
use crate::vcpu::{Guest, Vcpu};
use crate::{interrupts, time};

/// A vcpu that is known to the scheduler, and lives until it is removed.
struct Known(*const Vcpu);

// SAFETY: vcpus may be used on any processor.
unsafe impl Send for Known {}

static SCHEDULER: Mutex<Scheduler<Known>> = Mutex::new(Scheduler::new());

fn ask(processor: Option<usize>) {
    if let Some(processor) = processor.and_then(processor::get) {
        processor.ask_to_choose();
    }
}

/// Makes a vcpu known, which may not run yet; its place.
pub fn add(vcpu: *const Vcpu, owner: Owner) -> Id {
    SCHEDULER.lock().add(Known(vcpu), owner.into(), time::now())
}

/// Forgets a vcpu, which doesn't run and never will.
pub fn remove(vcpu: &Vcpu) {
    let mut scheduler = SCHEDULER.lock();
    time::take_back(vcpu);
    scheduler.remove(vcpu.place());
}

/// Acts on a change of whether a vcpu may run. If it is the caller, or runs elsewhere, it goes on
/// until its processor is about to go back to it.
pub fn update(vcpu: &Vcpu) {
    let mut scheduler = SCHEDULER.lock();
    let asked = if vcpu.may_run() {
        scheduler.wake(vcpu.place(), time::now())
    } else {
        let is_down = !vcpu.blocked.load(Ordering::Relaxed);
        let state = if is_down { State::Offline } else { State::Blocked };
        scheduler.sleep(vcpu.place(), state, time::now())
    };
    drop(scheduler);
    ask(asked);
}

/// Lets others run first.
pub fn give_way(vcpu: &Vcpu) {
    SCHEDULER.lock().give_way(vcpu.place());
    processor::this().ask_to_choose();
}

/// Has the vcpu that runs here wait for an event.
pub fn block(vcpu: &Vcpu) {
    vcpu.blocked.store(true, Ordering::SeqCst);
    // An event may have come before it was said that the vcpu waits.
    if vcpu.has_event() {
        vcpu.blocked.store(false, Ordering::SeqCst);
    } else {
        update(vcpu);
    }
}

/// Has a vcpu go on that waits for an event.
pub fn wake(vcpu: &Vcpu) {
    if vcpu.blocked.swap(false, Ordering::SeqCst) {
        vcpu.end_polling();
        update(vcpu);
    }
}

/// Has a vcpu look at its events, wherever it is.
pub fn notify(vcpu: &Vcpu) {
    wake(vcpu);
    if let Some(processor) = vcpu.runs_on().and_then(processor::get) {
        processor.tell();
    }
}

/// Has the vcpus of a domain that may not run any more stand still, and waits until they do. The
/// caller is of another domain.
pub fn stop(domain: &Domain) {
    stop_soon(domain);
    for vcpu in domain.vcpus() {
        while SCHEDULER.lock().runs_on(vcpu.place()).is_some() && !vcpu.may_run() {
            shootdown::serve();
            core::hint::spin_loop();
        }
    }
}

/// The same, as soon as who runs, maybe the caller, is done.
pub fn stop_soon(domain: &Domain) {
    domain.vcpus().for_each(update);
}

/// Lets the vcpus of a domain run, if they may.
pub fn go_on(domain: &Domain) {
    domain.vcpus().for_each(update);
}

/// Acts on a change of the times that a vcpu waits for.
pub fn retime(vcpu: &Vcpu) {
    if vcpu.runs_here() {
        return time::rearm();
    }
    let scheduler = SCHEDULER.lock();
    match scheduler.runs_on(vcpu.place()).and_then(processor::get) {
        Some(processor) => {
            if processor.add_work(TIMER) {
                processor.tell();
            }
        }
        None => {
            time::take_back(vcpu);
            time::keep(vcpu);
            time::rearm();
        }
    }
}

/// What a vcpu did so far.
pub fn account(vcpu: &Vcpu) -> Account {
    SCHEDULER.lock().account(vcpu.place(), time::now())
}

/// How long a processor had nothing to do so far, in nanoseconds.
pub fn idle_time(processor: usize) -> u64 {
    SCHEDULER.lock().idle(processor, time::now())
}

/// The processors that run vcpus.
pub fn online() -> Set {
    SCHEDULER.lock().online()
}

/// Where a vcpu may run.
pub fn affinity(vcpu: &Vcpu) -> Affinity {
    SCHEDULER.lock().affinity(vcpu.place())
}

/// Says where a vcpu may run; at least one of the processors is online.
pub fn set_affinity(vcpu: &Vcpu, affinity: Affinity) {
    let asked = SCHEDULER.lock().set_affinity(vcpu.place(), affinity);
    ask(asked);
}

/// How much a domain may use.
pub fn settings(domain: &Domain) -> Settings {
    SCHEDULER.lock().settings(domain.owner.into())
}

/// Says how much a domain may use.
pub fn set_settings(domain: &Domain, settings: Settings) {
    SCHEDULER.lock().set_settings(domain.owner.into(), settings, time::now());
    processor::all().for_each(Processor::ask_to_choose);
}

/// How long a vcpu runs before others have their turn, and how long at least, in nanoseconds.
pub fn slices() -> (u64, u64) {
    SCHEDULER.lock().slices()
}

/// Sets those.
pub fn set_slices(slice: u64, least: u64) {
    SCHEDULER.lock().set_slices(slice, least);
    processor::all().for_each(Processor::ask_to_choose);
}

/// Chooses who runs here, and leaves who ran. None: it is the same, or nobody may run.
fn change(old: Option<&Vcpu>) -> Option<&'static Vcpu> {
    let processor = processor::this();
    let mut scheduler = SCHEDULER.lock();
    let choice = scheduler.choose(processor.number, time::now());
    processor.slice_end.store(choice.until, Ordering::Relaxed);
    let new = choice.run.map(|run| vcpu(&scheduler, run));
    let is_same = matches!((old, new), (Some(old), Some(new)) if core::ptr::eq(old, new));
    if !is_same {
        if let Some(old) = old {
            old.save();
            time::keep(old);
        }
        // Nobody is left whose page tables are in use here when the lock is free.
        match new {
            Some(new) => new.load_tables(processor),
            None if old.is_some() => processor.load_none(),
            None => (),
        }
    }
    drop(scheduler);
    ask(choice.ask);
    if let Some(new) = new.filter(|_| !is_same) {
        time::take_back(new);
    }
    time::rearm();
    new
}

fn vcpu(scheduler: &MutexGuard<'_, Scheduler<Known>, Serve>, id: Id) -> &'static Vcpu {
    // SAFETY: it lives as long as it is known, and isn't removed while it runs.
    unsafe { &*scheduler.vcpu(id).0 }
}

/// Waits until a vcpu runs here: the one that ran, or another.
pub fn switch(guest: Guest<'_>) -> Guest<'static> {
    let old = guest.vcpu;
    let new = match change(Some(old)) {
        Some(new) if core::ptr::eq(new, old) => new,
        Some(new) => return new.load(),
        None => return idle().load(),
    };
    // SAFETY: it goes on here, and the caller's use of it is over.
    unsafe { Guest::new(new) }
}

/// Waits until there is a vcpu to run.
fn idle() -> &'static Vcpu {
    let processor = processor::this();
    loop {
        interrupts::settle();
        if processor.take_work(CHOOSE)
            && let Some(new) = change(None)
        {
            return new;
        }
        if !processor.has_work() {
            cpu::wait();
        }
    }
}

/// Runs vcpus on this processor from now on.
pub fn run() -> ! {
    let processor = processor::this();
    SCHEDULER.lock().start(processor.number, time::now());
    processor.ask_to_choose();
    entry::leave(traps::leave(idle().load()))
}
