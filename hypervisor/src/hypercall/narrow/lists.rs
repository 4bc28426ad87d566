//! Hypercalls that take lists, which are translated a piece at a time.

use hypervisor::narrow::wide_trap;
use hypervisor::segments::FIRST_RESERVED;
use xen::abi::errno::{EFAULT, EINVAL, Errno};
use xen::abi::grant::{self, SetupTable};
use xen::abi::mmuext::MmuextOp;
use xen::abi::{DomId, Plain, hypercall, plain_structs, x86_32};

use super::super::mmu::{PREEMPTED, count_done, done_before};
use super::super::{Answer, Arguments, Stop, call};
use super::put;
use crate::guest::memory;
use crate::interrupts;
use crate::vcpu::Guest;
use crate::vcpu::narrow::SCRATCH;

/// So many elements at a time.
const PIECE: u64 = 64;
/// Where the pages have what isn't a list.
const BESIDE: u64 = 8192;

plain_structs! {
    /// One end of a copy, as `hypercall/grants/copy.rs` takes it.
    struct End { place: u64, domain: DomId, offset: u16, pad: u32 }
    /// As it takes a piece to be copied.
    struct Copy { source: End, destination: End, length: u16, flags: u16, status: i16, pad: u16 }
    /// As `hypercall/grants/table.rs` takes it.
    struct StatusFrames { count: u32, domain: DomId, status: i16, list: u64 }
}

/// Translates so many elements into the pages, or as many as can be read; how many.
fn translate<T: Plain, U: Plain>(list: u64, count: u64, to: impl Fn(T) -> U) -> u64 {
    let (size, wide) = (size_of::<T>() as u64, size_of::<U>() as u64);
    let one = |index: &u64| {
        let element = memory::read::<T>(list + size * index);
        element.and_then(|element| put(wide * index, &to(element))).is_err()
    };
    (0..count).find(one).unwrap_or(count)
}

/// set_trap_table: at most one entry for each vector, and the end.
pub fn set_trap_table(guest: &mut Guest<'_>, list: u64) -> Answer {
    if list == 0 {
        return call(guest, hypercall::SET_TRAP_TABLE, [0; 6]);
    }
    for index in 0..=256 {
        let trap: x86_32::TrapInfo = memory::read(list + 8 * index)?;
        put(0, &[wide_trap(trap), wide_trap(x86_32::TrapInfo::zeroed())])?;
        call(guest, hypercall::SET_TRAP_TABLE, [SCRATCH, 0, 0, 0, 0, 0])?;
        if trap.address == 0 {
            break;
        }
    }
    Ok(0)
}

/// set_gdt: frames of 4 bytes.
pub fn set_gdt(guest: &mut Guest<'_>, list: u64, entries: u64) -> Answer {
    if entries > FIRST_RESERVED {
        return Err(EINVAL.into());
    }
    let count = entries.div_ceil(512);
    if translate(list, count, |frame: u32| u64::from(frame)) < count {
        return Err(EFAULT.into());
    }
    call(guest, hypercall::SET_GDT, [SCRATCH, entries, 0, 0, 0, 0])
}

/// mmuext_op.
pub fn mmuext(guest: &mut Guest<'_>, [list, count, done_place, whose, ..]: Arguments) -> Answer {
    const SIZE: u64 = size_of::<x86_32::MmuextOp>() as u64;
    let wide = |x86_32::MmuextOp { cmd, arg1, arg2 }| {
        let (arg1, arg2) = (arg1.into(), arg2.into());
        MmuextOp { cmd, pad: 0, arg1, arg2 }
    };
    let before = done_before(done_place, count);
    let count = count & !PREEMPTED;
    let mut done = 0;
    // Once at least: an earlier call may have left something to be done.
    loop {
        let wanted = PIECE.min(count - done);
        let piece = translate(list + SIZE * done, wanted, wide);
        let piece_done = put(BESIDE, &0_u32)?;
        let answer = call(guest, hypercall::MMUEXT_OP, [SCRATCH, piece, piece_done, whose, 0, 0]);
        done += u64::from(memory::read::<u32>(piece_done)?);
        let answer = answer.and_then(|_| if piece < wanted { Err(EFAULT.into()) } else { Ok(0) });
        let is_over = done == count || answer.is_err();
        if is_over || interrupts::are_waiting() {
            let _ = count_done(done_place, before, done);
            let left = (count - done) | PREEMPTED;
            let again = Stop::Again([list + SIZE * done, left, done_place, whose, 0, 0]);
            return match answer {
                Err(Stop::Again(_)) => Err(again),
                Ok(_) if !is_over => Err(again),
                answer => answer,
            };
        }
    }
}

/// grant_table_op: most structures have the same layout.
pub fn grants(guest: &mut Guest<'_>, command: u64, list: u64, count: u64) -> Answer {
    match command {
        grant::SETUP_TABLE if count == 1 => set_up_table(guest, list),
        grant::GET_STATUS_FRAMES if count == 1 => status_frames(guest, list),
        grant::COPY => copy(guest, list, count),
        _ => call(guest, hypercall::GRANT_TABLE_OP, [command, list, count, 0, 0, 0]),
    }
}

fn one_grant_operation(guest: &mut Guest<'_>, command: u64) -> Answer {
    call(guest, hypercall::GRANT_TABLE_OP, [command, SCRATCH + BESIDE, 1, 0, 0, 0])
}

fn set_up_table(guest: &mut Guest<'_>, place: u64) -> Answer {
    /// As many frames as there is room for.
    const MOST: u32 = 1024;
    let mut setup: x86_32::SetupTable = memory::read(place)?;
    if setup.nr_frames > MOST {
        return Err(EINVAL.into());
    }
    let x86_32::SetupTable { dom, nr_frames, status, .. } = setup;
    let wide = SetupTable { dom, pad: 0, nr_frames, status, pad2: [0; 3], frame_list: SCRATCH };
    let wide_place = put(BESIDE, &wide)?;
    one_grant_operation(guest, grant::SETUP_TABLE)?;
    setup.status = memory::read::<SetupTable>(wide_place)?.status;
    if setup.status == grant::OKAY {
        write_frames(setup.frame_list.into(), nr_frames.into())?;
    }
    memory::write(place, &setup)?;
    Ok(0)
}

/// Writes frames that the pages hold as a list of 4 bytes each.
pub fn write_frames(list: u64, count: u64) -> Result<(), Errno> {
    for index in 0..count {
        let frame: u64 = memory::read(SCRATCH + 8 * index)?;
        memory::write(list + 4 * index, &(frame as u32))?;
    }
    Ok(())
}

fn status_frames(guest: &mut Guest<'_>, place: u64) -> Answer {
    let mut get: x86_32::StatusFrames = memory::read(place)?;
    let x86_32::StatusFrames { nr_frames, dom, status, frame_list } = get;
    let wide = StatusFrames { count: nr_frames, domain: dom, status, list: frame_list.into() };
    let wide_place = put(BESIDE, &wide)?;
    one_grant_operation(guest, grant::GET_STATUS_FRAMES)?;
    get.status = memory::read::<StatusFrames>(wide_place)?.status;
    memory::write(place, &get)?;
    Ok(0)
}

fn copy(guest: &mut Guest<'_>, list: u64, count: u64) -> Answer {
    const SIZE: u64 = size_of::<x86_32::GrantCopy>() as u64;
    const STATUS: u64 = core::mem::offset_of!(x86_32::GrantCopy, status) as u64;
    let end = |place: u32, domain, offset| End { place: place.into(), domain, offset, pad: 0 };
    let wide = |copy: x86_32::GrantCopy| Copy {
        source: end(copy.source, copy.source_domid, copy.source_offset),
        destination: end(copy.dest, copy.dest_domid, copy.dest_offset),
        length: copy.len,
        flags: copy.flags,
        status: copy.status,
        pad: 0,
    };
    if count > i32::MAX as u64 {
        return Err(EINVAL.into());
    }
    let mut done = 0;
    while done < count {
        let place = list + SIZE * done;
        let wanted = PIECE.min(count - done);
        let again = |done| Stop::Again([grant::COPY, list + SIZE * done, count - done, 0, 0, 0]);
        if done > 0 && interrupts::are_waiting() {
            return Err(again(done));
        }
        let piece = translate(place, wanted, wide);
        let arguments = [grant::COPY, SCRATCH, piece, 0, 0, 0];
        let answer = call(guest, hypercall::GRANT_TABLE_OP, arguments);
        let copied = match answer {
            Err(Stop::Again([_, _, left, ..])) => piece - left,
            _ => piece,
        };
        for index in 0..copied {
            let copy: Copy = memory::read(SCRATCH + size_of::<Copy>() as u64 * index)?;
            memory::write(place + SIZE * index + STATUS, &copy.status)?;
        }
        done += copied;
        match answer {
            Err(Stop::Again(_)) => return Err(again(done)),
            Ok(_) if piece < wanted => return Err(EFAULT.into()),
            answer => answer?,
        };
    }
    Ok(0)
}
