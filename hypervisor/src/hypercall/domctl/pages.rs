//! A domain's frames, as the toolstack asks for them.

use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::Use;
use xen::abi::domctl::{PFINFO_LPINTAB, PFINFO_LTAB_SHIFT, PFINFO_XTAB};
use xen::abi::errno::{E2BIG, EINVAL, Errno};

use crate::arch::memory as machine;
use crate::domain::Domain;
use crate::guest::memory;
use crate::hypercall::narrow;
use crate::{dom0, frames};

/// Writes the code that makes each hypercall into a frame of the domain.
pub fn hypercall_init(domain: &Domain, mfn: u64) -> Result<(), Errno> {
    let rules = domain.rules();
    rules.get(mfn, domain.owner, Use::Writable).map_err(|_| EINVAL)?;
    let page = match domain.is_narrow() {
        true => narrow::hypercall_page(),
        false => dom0::hypercall_page(),
    };
    machine::write(mfn << 12, &page);
    rules.release(Entry::new(mfn, Entry::PRESENT | Entry::WRITABLE));
    Ok(())
}

/// What frames are used as (`XEN_DOMCTL_PFINFO_*`): the list's entries are replaced.
pub fn info(domain: &Domain, body: u64) -> Result<(), Errno> {
    const MOST: u64 = 1024;
    let [count, list] = memory::read_words::<2>(body)?;
    if count > MOST {
        return Err(E2BIG);
    }
    for place in (0..count).map(|index| list + 8 * index) {
        let mfn: u64 = memory::read(place)?;
        let kind = match frames::page(mfn).filter(|page| page.owner() == Some(domain.owner)) {
            Some(page) => {
                let level = page.usage().0.level().unwrap_or(0);
                let pinned = if page.is_pinned() { PFINFO_LPINTAB } else { 0 };
                u64::from(level) << PFINFO_LTAB_SHIFT | pinned
            }
            None => PFINFO_XTAB,
        };
        memory::write(place, &kind)?;
    }
    Ok(())
}
