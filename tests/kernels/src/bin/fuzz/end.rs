//! Whether all is as it was: nothing is a table any more that nobody uses as one, memory is back,
//! ports, traps and timers work.

use kernels::answer::{line, value};
use kernels::hypercall::{call, number, place, volatile};
use kernels::memory::{self, extended, flag, map_frame, scratch};
use kernels::traps::{Trap, attempt};

use crate::field::Field;

const SELF: u64 = 0x7ff0;

/// What has to be the same before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    own_frames: i64,
    free_frames: i64,
}

/// Frames that the hypervisor keeps for the kernel at most: a table of grants with its marks, which
/// only grows, and what small things take.
const MOST_KEPT: i64 = 64 + 8 + 16;

impl Facts {
    fn sum(&self) -> i64 {
        self.own_frames + self.free_frames
    }

    /// As they are.
    pub fn now() -> Self {
        let mut domain = SELF;
        let own_frames = call(number::MEMORY_OP, &[3, place(&mut domain)]);
        // XEN_SYSCTL_physinfo: free pages are the seventh word behind the first.
        let mut physinfo = [0_u64; 32];
        physinfo[0] = 3 | 0x15 << 32;
        call(number::SYSCTL, &[place(&mut physinfo)]);
        Self { own_frames, free_frames: volatile(&mut physinfo)[7] as i64 }
    }
}

/// Looks, and says how it is.
pub fn check(field: Field, before: &Facts) {
    let frames = field.end();
    // All ports, and what was given for queues of them (EVTCHNOP_reset).
    call(number::EVENT_CHANNEL_OP, &[10, place(&mut { SELF })]);
    let is_good = |index: usize| {
        let (at, frame) = (scratch(index), frames[index]);
        if map_frame(at, frame, flag::DATA) != 0 {
            return false;
        }
        (0..4).all(|level| {
            map_frame(at, frame, flag::DATA);
            memory::fill(at, 0);
            map_frame(at, frame, flag::READ_ONLY);
            extended(level, frame, 0) == 0 && extended(4, frame, 0) == 0
        })
    };
    let is_good = |index: &usize| {
        let good = is_good(*index);
        if !good {
            line(format_args!("frame {:#x} is not free", frames[*index]));
        }
        good
    };
    let good = (0..frames.len()).filter(is_good).count();
    line(format_args!("{good} of {} frames are free to be anything", frames.len()));
    let mut frame = [0_u32; 2];
    let bound = call(number::EVENT_CHANNEL_OP, &[7, place(&mut frame)]);
    value("the first port is made again", u64::from(bound == 0 && volatile(&mut frame)[1] == 1));
    call(number::EVENT_CHANNEL_OP, &[3, place(&mut 1_u32)]);
    // SAFETY: it traps.
    let trapped: Option<Trap> = attempt(|| unsafe { core::arch::asm!("ud2") });
    value("traps come", u64::from(trapped.is_some_and(|trap| trap.kind == 6)));
    let now = Facts::now();
    // A frame may be the kernel's twice for a while, by number: given back and still mapped, or
    // exchanged for one that it doesn't know. With those that are free it is all of them.
    let kept = before.sum() - now.sum();
    line(format_args!("frames: {now:?}, before {before:?}"));
    if (0..=MOST_KEPT).contains(&kept) {
        line(format_args!("memory is as it was"));
    } else {
        line(format_args!("memory is not as it was: {kept} frames are nobody's"));
    }
}
