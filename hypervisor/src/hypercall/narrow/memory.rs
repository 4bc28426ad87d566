//! memory_op: frames are named by 4 bytes.

use xen::abi::errno::{ENOSYS, Errno};
use xen::abi::memory::{self as op, Reservation};
use xen::abi::{hypercall, plain_structs, x86_32};

use super::super::{Answer, Stop, call};
use super::put;
use crate::frames;
use crate::guest::memory;
use crate::interrupts;
use crate::vcpu::Guest;
use crate::vcpu::narrow::SCRATCH;

/// So many frames at a time.
const PIECE: u64 = 256;
/// Where the pages have what isn't a list.
const BESIDE: u64 = 8192;
/// In the command: how much was done before (MEMOP_EXTENT_SHIFT).
const DONE_SHIFT: u32 = 6;
/// Where the machine-to-physical table ends at the latest: the last table of level 2 does.
const TABLE_END: u32 = 0xffff_ffff;

plain_structs! {
    /// As `hypercall/memory.rs` takes it.
    struct Map { count: u32, pad: u32, buffer: u64 }
}

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, command: u64, place: u64) -> Answer {
    let done = command >> DONE_SHIFT;
    match command & ((1 << DONE_SHIFT) - 1) {
        kind @ (op::INCREASE_RESERVATION | op::DECREASE_RESERVATION | op::POPULATE_PHYSMAP) => {
            reservation(guest, kind, done, place)
        }
        op::MEMORY_MAP => memory_map(guest, place),
        op::MACHPHYS_MAPPING => {
            let mapping = x86_32::MachphysMapping {
                v_start: x86_32::HYPERVISOR_START,
                v_end: TABLE_END,
                max_mfn: (frames::end() - 1) as u32,
            };
            memory::write(place, &mapping)?;
            Ok(0)
        }
        // A number, or the domain's in 2 bytes.
        op::MAXIMUM_RAM_PAGE
        | op::CURRENT_RESERVATION
        | op::MAXIMUM_RESERVATION
        | op::MAXIMUM_GPFN => call(guest, hypercall::MEMORY_OP, [command, place, 0, 0, 0, 0]),
        _ => Err(ENOSYS.into()),
    }
}

fn memory_map(guest: &mut Guest<'_>, place: u64) -> Answer {
    let mut map: x86_32::MemoryMap = memory::read(place)?;
    let wide = Map { count: map.nr_entries, pad: 0, buffer: map.buffer.into() };
    let wide = put(BESIDE, &wide)?;
    call(guest, hypercall::MEMORY_OP, [op::MEMORY_MAP, wide, 0, 0, 0, 0])?;
    map.nr_entries = memory::read::<Map>(wide)?.count;
    memory::write(place, &map)?;
    Ok(0)
}

/// Gives or takes frames, a piece of the list at a time.
fn reservation(guest: &mut Guest<'_>, kind: u64, start: u64, place: u64) -> Answer {
    // What can't be begun has been done as far as it was before, as with 64 bits.
    let Ok(asked) = memory::read::<x86_32::Reservation>(place) else { return Ok(start) };
    let (list, count) = (u64::from(asked.extent_start), u64::from(asked.nr_extents));
    let mut done = start;
    while done < count {
        let again = |done| Stop::Again([kind | done << DONE_SHIFT, place, 0, 0, 0, 0]);
        if done > start && interrupts::are_waiting() {
            return Err(again(done));
        }
        let wanted = PIECE.min(count - done);
        let piece_place = list + 4 * done;
        let piece = (0..wanted).find(|index| take(kind, piece_place, *index).is_err());
        let piece = piece.unwrap_or(wanted);
        let x86_32::Reservation { extent_order, mem_flags, domid, .. } = asked;
        let wide = Reservation {
            extent_start: SCRATCH,
            nr_extents: piece,
            extent_order,
            mem_flags,
            domid,
            pad: [0; 3],
        };
        let wide = put(BESIDE, &wide)?;
        let answer = call(guest, hypercall::MEMORY_OP, [kind, wide, 0, 0, 0, 0]);
        let moved = match answer {
            Ok(moved) => moved,
            Err(Stop::Again([command, ..])) => command >> DONE_SHIFT,
            Err(_) => 0,
        };
        if kind != op::DECREASE_RESERVATION {
            super::lists::write_frames(piece_place, moved)?;
        }
        done += moved;
        match answer {
            Err(Stop::Again(_)) => return Err(again(done)),
            Ok(_) if moved == wanted => (),
            _ => break,
        }
    }
    Ok(done)
}

/// Takes an element of the list over into the pages, if it is there, and the frame's number can be
/// written in its place.
fn take(kind: u64, list: u64, index: u64) -> Result<(), Errno> {
    let element: u32 = memory::read(list + 4 * index)?;
    if kind != op::DECREASE_RESERVATION {
        memory::write(list + 4 * index, &element)?;
    }
    put(8 * index, &u64::from(element)).map(|_| ())
}
