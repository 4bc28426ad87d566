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
use crate::vcpu::Guest;
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
        let Some(good) = checked(word.load(Ordering::Relaxed)) else {
            let _ = page.put_use(0);
            page.finish_release(Host.epoch(domain.owner));
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
    let epoch = Host.epoch(domain.owner);
    if page.put_use(epoch) == Dropped::Last {
        page.finish_release(epoch);
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
    load_gdt(guest, &frames[..count])?;
    Ok(0)
}

/// Gives the vcpu the frames for its GDT.
pub fn load_gdt(guest: &mut Guest<'_>, frames: &[u64]) -> Result<(), Errno> {
    let domain = guest.domain();
    for (index, frame) in frames.iter().enumerate() {
        if let Err(error) = get_descriptors(domain, *frame) {
            frames[..index].iter().for_each(|frame| put_descriptors(domain, *frame));
            return Err(error);
        }
    }
    for index in 0..14 {
        domain.set_window(guest.vcpu.number, index, frames.get(index).copied());
    }
    let old = core::mem::take(&mut guest.own.gdt);
    old[..guest.own.gdt_frames].iter().for_each(|frame| put_descriptors(domain, *frame));
    guest.own.gdt[..frames.len()].copy_from_slice(frames);
    guest.own.gdt_frames = frames.len();
    Ok(())
}

/// Sets the LDT, at an address that is mapped now.
pub fn set_ldt(guest: &mut Guest<'_>, address: u64, entries: u32) -> Result<(), Errno> {
    let bad_place = entries > 0
        && (address & 4095 != 0 || !hypervisor::paging::entry::is_guest_address(address));
    if entries > 8192 || bad_place {
        return Err(EINVAL);
    }
    if (address, entries) == guest.own.ldt_place {
        return Ok(());
    }
    let domain = guest.domain();
    let count = (entries as usize).div_ceil(PER_PAGE);
    let mut frames = [0; 16];
    for (index, frame) in frames[..count].iter_mut().enumerate() {
        let mapped = tables::lookup(guest.own.kernel_table, address + ((index as u64) << 12));
        let leaf = mapped.map_or(Entry(0), |(_, _, leaf)| leaf);
        let got = if leaf.is_present() { get_descriptors(domain, leaf.mfn()) } else { Err(EINVAL) };
        // A page that can't be had is empty: selectors there fault, as on Xen.
        *frame = if got.is_ok() { leaf.mfn() } else { 0 };
    }
    for (index, frame) in frames.iter().enumerate() {
        let frame = (*frame != 0).then_some(*frame);
        domain.set_window(guest.vcpu.number, 16 + index, frame);
    }
    let old = core::mem::replace(&mut guest.own.ldt, frames);
    old.iter().filter(|frame| **frame != 0).for_each(|frame| put_descriptors(domain, *frame));
    guest.own.ldt_place = (address, entries);
    cpu::load_ldt(guest.domain().window(guest.vcpu.number) + (16 << 12), entries);
    Ok(())
}

/// Sets one descriptor, at a machine address.
pub fn update(guest: &mut Guest<'_>, address: u64, descriptor: u64) -> Answer {
    let good = checked(descriptor).filter(|_| address & 7 == 0).ok_or(EINVAL)?;
    let domain = guest.domain();
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
