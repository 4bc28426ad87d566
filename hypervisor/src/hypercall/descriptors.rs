//! The guest's own segment descriptors.

use core::sync::atomic::Ordering;

use hypervisor::paging::Machine;
use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::{Dropped, Use};
use hypervisor::segments::{FIRST_RESERVED, checked};
use xen::abi::errno::{EINVAL, Errno};

use super::Answer;
use crate::arch::{cpu, memory as machine};
use crate::domain::Domain;
use crate::guest::memory;
use crate::host::Host;
use crate::vcpu::{Guest, Own, Vcpu};
use crate::{frames, tables};

/// Descriptors in a page.
const PER_PAGE: usize = 512;

/// Counts a frame as one of descriptors, all of which are checked when it becomes one.
fn get_descriptors(domain: &Domain, mfn: u64) -> Result<(), Errno> {
    let _lock = domain.tables.lock();
    let rules = domain.rules();
    if !rules.get(mfn, domain.owner, Use::Descriptors).map_err(|_| EINVAL)? {
        return Ok(());
    }
    let page = frames::page(mfn).ok_or(EINVAL)?;
    for index in 0..PER_PAGE {
        let word = machine::word(mfn, index);
        let Some(good) = checked(word.load(Ordering::Relaxed), rules.shape) else {
            let _ = page.put_use(Host.epochs(domain.owner));
            page.finish_release(Host.epochs(domain.owner));
            rules.put_reference(mfn);
            return Err(EINVAL);
        };
        word.store(good, Ordering::Relaxed);
    }
    page.set_valid();
    Ok(())
}

fn put_descriptors(domain: &Domain, mfn: u64) {
    let Some(page) = frames::page(mfn) else { return };
    let epochs = Host.epochs(domain.owner);
    if page.put_use(epochs) == Dropped::Last {
        page.finish_release(epochs);
    }
    domain.rules().put_reference(mfn);
}

/// Sets the GDT: a list of frames, and how many entries there are.
pub fn set_gdt(guest: &mut Guest<'_>, list: u64, entries: u32) -> Answer {
    if u64::from(entries) > FIRST_RESERVED {
        return Err(EINVAL.into());
    }
    let count = (entries as usize).div_ceil(PER_PAGE);
    let mut frames = [0; 14];
    for (index, frame) in frames[..count].iter_mut().enumerate() {
        *frame = memory::read(list + 8 * index as u64)?;
    }
    load_gdt(guest.vcpu, guest.own, &frames[..count])?;
    Ok(0)
}

/// Gives a vcpu the frames for its GDT.
pub fn load_gdt(vcpu: &Vcpu, own: &mut Own, frames: &[u64]) -> Result<(), Errno> {
    let domain = vcpu.domain();
    for (index, frame) in frames.iter().enumerate() {
        if let Err(error) = get_descriptors(domain, *frame) {
            frames[..index].iter().for_each(|frame| put_descriptors(domain, *frame));
            return Err(error);
        }
    }
    for index in 0..14 {
        domain.set_window(vcpu.number, index, frames.get(index).copied());
    }
    let old = core::mem::take(&mut own.gdt);
    old[..own.gdt_frames].iter().for_each(|frame| put_descriptors(domain, *frame));
    own.gdt[..frames.len()].copy_from_slice(frames);
    own.gdt_frames = frames.len();
    Ok(())
}

/// Lets go of all descriptors of a vcpu that never runs again.
pub fn release(domain: &Domain, own: &mut Own) {
    let (gdt, ldt) = (core::mem::take(&mut own.gdt), core::mem::take(&mut own.ldt));
    let gdt = &gdt[..core::mem::take(&mut own.gdt_frames)];
    let frames = gdt.iter().chain(ldt.iter().filter(|frame| **frame != 0));
    frames.for_each(|frame| put_descriptors(domain, *frame));
}

/// Sets the LDT, at an address that is mapped now.
pub fn set_ldt(guest: &mut Guest<'_>, address: u64, entries: u32) -> Result<(), Errno> {
    map_ldt(guest.vcpu, guest.own, (address, entries))?;
    cpu::load_ldt(guest.domain().window(guest.vcpu.number) + (16 << 12), entries);
    Ok(())
}

/// Has a vcpu's window show its LDT: an address that is mapped now, and how many entries there are.
pub fn map_ldt(vcpu: &Vcpu, own: &mut Own, place: (u64, u32)) -> Result<(), Errno> {
    let (address, entries) = place;
    let bad_place = entries > 0
        && (address & 4095 != 0 || !hypervisor::paging::entry::is_guest_address(address));
    if entries > 8192 || bad_place {
        return Err(EINVAL);
    }
    if place == own.ldt_place {
        return Ok(());
    }
    let domain = vcpu.domain();
    let count = (entries as usize).div_ceil(PER_PAGE);
    let mut frames = [0; 16];
    for (index, frame) in frames[..count].iter_mut().enumerate() {
        let mapped = tables::lookup(own.kernel_table, address + ((index as u64) << 12));
        let leaf = mapped.map_or(Entry(0), |(_, _, leaf)| leaf);
        let got = if leaf.is_present() { get_descriptors(domain, leaf.mfn()) } else { Err(EINVAL) };
        // A page that can't be had is empty: selectors there fault, as on Xen.
        *frame = if got.is_ok() { leaf.mfn() } else { 0 };
    }
    for (index, frame) in frames.iter().enumerate() {
        domain.set_window(vcpu.number, 16 + index, (*frame != 0).then_some(*frame));
    }
    let old = core::mem::replace(&mut own.ldt, frames);
    old.iter().filter(|frame| **frame != 0).for_each(|frame| put_descriptors(domain, *frame));
    own.ldt_place = place;
    Ok(())
}

/// Sets one descriptor, at a machine address.
pub fn update(guest: &mut Guest<'_>, address: u64, descriptor: u64) -> Answer {
    let domain = guest.domain();
    let good = checked(descriptor, domain.shape()).filter(|_| address & 7 == 0).ok_or(EINVAL)?;
    let (mfn, index) = (address >> 12, (address & 4095) as usize / 8);
    let page = frames::page(mfn).ok_or(EINVAL)?;
    let wanted = match page.usage() {
        (Use::Descriptors, 1..) => Use::Descriptors,
        _ => Use::Writable,
    };
    let rules = domain.rules();
    if rules.get(mfn, domain.owner, wanted).map_err(|_| EINVAL)? {
        // It stopped being one meanwhile; nobody's now, so that nothing is lost.
        put_descriptors(domain, mfn);
        return Err(EINVAL.into());
    }
    machine::word(mfn, index).store(good, Ordering::Relaxed);
    match wanted {
        Use::Descriptors => put_descriptors(domain, mfn),
        _ => rules.release(Entry::new(mfn, Entry::PRESENT | Entry::WRITABLE)),
    }
    Ok(0)
}
