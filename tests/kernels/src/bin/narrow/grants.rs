//! Grants, to this domain itself.

use kernels::answer::{answer, line};
use kernels::hypercall::{call, number, place, volatile};
use kernels::memory::flag::DATA;
use kernels::memory::{frame, map_frame, read, scratch, write};
use xen::abi::evtchn::{self, AllocUnbound};
use xen::abi::grant::{self, EntryV1};
use xen::abi::x86_32::{GrantCopy, SetupTable};
use xen::abi::{DOMID_SELF, Plain, plain_structs};

plain_structs! {
    /// `struct gnttab_map_grant_ref`, the same with 64 bits.
    struct Map {
        address: u64, flags: u32, reference: u32, domain: u16,
        status: i16, handle: u32, device_address: u64,
    }
    /// `struct gnttab_unmap_grant_ref`
    struct Unmap { address: u64, device_address: u64, handle: u32, status: i16, pad: u16 }
}

/// An entry that nobody has a use for.
const REFERENCE: u32 = 20;

fn operation<T: Plain>(command: u64, argument: &mut T, count: u64) -> i64 {
    call(number::GRANT_TABLE_OP, &[command, place(argument), count])
}

pub fn all() {
    let table = scratch(8);
    let mut frames = [0_u32];
    let mut setup = SetupTable {
        dom: DOMID_SELF,
        pad: 0,
        nr_frames: 1,
        status: 9,
        pad2: 0,
        frame_list: place(&mut frames) as u32,
    };
    answer("set up", operation(grant::SETUP_TABLE, &mut setup, 1));
    line(format_args!("status {}", volatile(&mut setup).status));
    answer("see it", map_frame(table, volatile(&mut frames)[0].into(), DATA));
    (setup.nr_frames, setup.status) = (500, 9);
    answer("set up too many", operation(grant::SETUP_TABLE, &mut setup, 1));
    line(format_args!("status {}", volatile(&mut setup).status));
    answer("set up twice", operation(grant::SETUP_TABLE, &mut setup, 2));

    let (granted, seen) = (scratch(9), scratch(10));
    write(granted, 0x9876);
    let own = domain();
    let at = table + u64::from(REFERENCE) * size_of::<EntryV1>() as u64;
    write(at + 4, frame(granted) as u32);
    write(at, u32::from(grant::PERMIT_ACCESS) | u32::from(own) << 16);
    let mut map = Map {
        address: seen,
        flags: grant::MAP_HOST_MAP,
        reference: REFERENCE,
        domain: own,
        status: 9,
        handle: 0,
        device_address: 0,
    };
    answer("map", operation(grant::MAP_GRANT_REF, &mut map, 1));
    let Map { status, handle, .. } = volatile(&mut map);
    line(format_args!("status {status}, seen {:#x}", read(seen)));
    let mut unmap = Unmap { address: seen, device_address: 0, handle, status: 9, pad: 0 };
    answer("unmap", operation(grant::UNMAP_GRANT_REF, &mut unmap, 1));
    line(format_args!("status {}", volatile(&mut unmap).status));
    map_frame(seen, frame(seen), DATA);
    copies(own, granted);
    map_frame(table, frame(table), DATA);
}

/// The number of this domain, which the other end of a port of its own has.
fn domain() -> u16 {
    let mut ours = AllocUnbound { dom: DOMID_SELF, remote_dom: DOMID_SELF, port: 0 };
    let events = |command, argument: u64| call(number::EVENT_CHANNEL_OP, &[command, argument]);
    events(evtchn::ALLOC_UNBOUND, place(&mut ours));
    let mut bind = [u32::from(DOMID_SELF), volatile(&mut ours).port, 0];
    events(evtchn::BIND_INTERDOMAIN, place(&mut bind));
    let mut status = [u32::from(DOMID_SELF), volatile(&mut bind)[2], 0, 0, 0, 0];
    events(evtchn::STATUS, place(&mut status));
    volatile(&mut status)[4] as u16
}

fn copies(own: u16, granted: u64) {
    let target = scratch(11);
    let one = |source: u32, dest_offset: u16, flags: u16| GrantCopy {
        source,
        source_domid: if flags == 0 { DOMID_SELF } else { own },
        source_offset: 0,
        dest: frame(target) as u32,
        dest_domid: DOMID_SELF,
        dest_offset,
        len: 4,
        flags,
        status: 9,
        pad: 0,
    };
    let mut list = [
        one(REFERENCE, 0, grant::COPY_SOURCE_GREF),
        one(frame(granted) as u32, 8, 0),
        one(REFERENCE + 1, 16, grant::COPY_SOURCE_GREF),
        one(REFERENCE, 4093, grant::COPY_SOURCE_GREF),
    ];
    answer("copy", operation(grant::COPY, &mut list, 4));
    // SAFETY: a reference to plain data, which the hypervisor wrote to.
    let list = unsafe { (&raw const list).read_volatile() };
    line(format_args!("status {:?}", list.map(|copy| copy.status)));
    line(format_args!("copied {:x?}", [0, 8, 16].map(|at| read(target + at))));
    answer("copy from nowhere", call(number::GRANT_TABLE_OP, &[grant::COPY, 0xf580_0000, 100]));
}
