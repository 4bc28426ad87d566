//! Memory of domains: given, taken, described, granted.

use nix::errno::Errno;

use super::{DomId, Error, Hypervisor, Result};
use crate::abi::domctl::{self, DomctlBody};
use crate::abi::grant::{self, EntryV1, SetupTable};
use crate::abi::memory::{self, Reservation};
use crate::abi::mmuext::{self, MmuextOp};
use crate::abi::{Plain, hypercall};

impl Hypervisor {
    /// Sets the most memory that a domain may have.
    pub fn set_max_mem(&self, domid: DomId, kib: u64) -> Result<()> {
        let mut u = DomctlBody { pad: [0; 128] };
        u.max_mem_kib = kib;
        let doing = format!("let domain {domid} have {kib} KiB");
        self.domctl(&doing, domctl::MAX_MEM, domid, u).map(drop)
    }

    /// Gives a domain 2^`order` pages at each of `gfns`; the machine frames of as many of them as
    /// there was memory for.
    pub fn populate_physmap(&self, domid: DomId, gfns: &[u64], order: u32) -> Result<Vec<u64>> {
        let extents = self.privcmd.buffer_of(gfns)?;
        let reservation = Reservation {
            extent_start: extents.address(),
            nr_extents: gfns.len() as u64,
            extent_order: order,
            domid,
            ..Reservation::zeroed()
        };
        let buffer = self.privcmd.buffer_of(&[reservation])?;
        let args = [memory::POPULATE_PHYSMAP, buffer.address(), 0, 0, 0];
        let doing = format!("give domain {domid} memory");
        let done = self.privcmd.hypercall(&doing, hypercall::MEMORY_OP, args)?;
        Ok(extents.read::<u64>((done as usize).min(gfns.len())))
    }

    /// How many pages a domain has.
    pub fn current_reservation(&self, domid: DomId) -> Result<u64> {
        let buffer = self.privcmd.buffer_of(&[domid])?;
        let args = [memory::CURRENT_RESERVATION, buffer.address(), 0, 0, 0];
        self.privcmd.hypercall("ask for a domain's memory", hypercall::MEMORY_OP, args)
    }

    /// Has a tree of page tables, whose top one is of that level, validated and keeps it so.
    pub fn pin_table(&self, domid: DomId, mfn: u64, level: u8) -> Result<()> {
        let cmd = mmuext::PIN_L1_TABLE + u32::from(level) - 1;
        let op = MmuextOp { cmd, pad: 0, arg1: mfn, arg2: 0 };
        let buffer = self.privcmd.buffer_of(&[op])?;
        let args = [buffer.address(), 1, 0, u64::from(domid), 0];
        let doing = format!("pin the page tables of domain {domid}");
        self.privcmd.hypercall(&doing, hypercall::MMUEXT_OP, args).map(drop)
    }

    /// Fills in a domain's hypercall page.
    pub fn hypercall_init(&self, domid: DomId, mfn: u64) -> Result<()> {
        let mut u = DomctlBody { pad: [0; 128] };
        u.hypercall_gmfn = mfn;
        let doing = format!("make the hypercall page of domain {domid}");
        self.domctl(&doing, domctl::HYPERCALL_INIT, domid, u).map(drop)
    }

    /// Grants the console's and the store's ring to domain 0, in the entries reserved for it.
    /// Fails if they are beyond the 16 TiB that an entry can name.
    pub fn seed_grants(&self, domid: DomId, console_mfn: u64, store_mfn: u64) -> Result<()> {
        let table = self.grant_table(domid)?;
        let mapping = self.map_foreign(domid, &[table], true)?;
        let rings = [(grant::RESERVED_CONSOLE, console_mfn), (grant::RESERVED_XENSTORE, store_mfn)];
        for (entry, mfn) in rings {
            let frame = u32::try_from(mfn).map_err(|_| {
                Error::new(format!("grant frame {mfn:#x} of domain {domid}"), Errno::EOVERFLOW)
            })?;
            let entry_v1 = EntryV1 { flags: grant::PERMIT_ACCESS, domid: 0, frame };
            mapping.write_plain(entry as usize * size_of::<EntryV1>(), &entry_v1);
        }
        Ok(())
    }

    /// The machine frame of a domain's first grant frame.
    fn grant_table(&self, domid: DomId) -> Result<u64> {
        let doing = format!("find the grant table of domain {domid}");
        let frames = self.privcmd.buffer_of(&[0_u64])?;
        let setup = SetupTable {
            dom: domid,
            nr_frames: 1,
            frame_list: frames.address(),
            ..SetupTable::zeroed()
        };
        let buffer = self.privcmd.buffer_of(&[setup])?;
        let args = [grant::SETUP_TABLE, buffer.address(), 1, 0, 0];
        self.privcmd.hypercall(&doing, hypercall::GRANT_TABLE_OP, args)?;
        match buffer.read::<SetupTable>(1)[0].status {
            0 => Ok(frames.read::<u64>(1)[0]),
            // GNTST_* are not error numbers (grant_table.h); what they say here is "not yours".
            _ => Err(Error::new(doing, Errno::EPERM)),
        }
    }
}
