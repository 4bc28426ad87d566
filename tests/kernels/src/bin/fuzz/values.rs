//! Arguments: what may be meant, what is nearly that, and what can't be.

use kernels::memory::{flag, scratch};
use kernels::random::Random;

use crate::field::{ARGUMENTS, Field, WINDOW, WINDOW_PAGES};

/// An address of nothing, whatever the tables say: low ones may be mapped by a table that is its own.
pub const NOWHERE: u64 = 0x8000_0000_0000;

/// Addresses that are none of a guest's, or of nothing.
const BAD: [u64; 14] = [
    0,
    0x1000,
    0x0000_7fff_ffff_fff8,
    0x0000_8000_0000_0000,
    0x8000_0000_0000_0000,
    0xffff_7fff_ffff_fff8,
    0xffff_8000_0000_0000,
    0xffff_8200_0000_0000,
    0xffff_82d0_8010_0000,
    0xffff_8300_0010_0000,
    0xffff_87ff_ffff_fff8,
    0xffff_8800_0000_0000,
    !0,
    !7,
];

/// Frames that are none of this domain's, or more than that.
pub fn foreign(random: &mut Random) -> u64 {
    let near = random.below(1 << 16);
    let known =
        [0, 0xb8, 0x100, 0xfec00, 0xfee00, 0xfffff, 1 << 26, 1 << 36, 1 << 40, !0 >> 12, !0];
    let frame = if random.once_in(2) { near } else { random.pick(&known) };
    if kernels::memory::is_own(frame) { 0x100 } else { frame }
}

/// A frame to do something to.
pub fn frame(random: &mut Random, field: &Field) -> u64 {
    if random.once_in(12) { foreign(random) } else { field.frame(random) }
}

/// An entry of a page table.
pub fn entry(random: &mut Random, field: &Field) -> u64 {
    let frame = frame(random, field);
    entry_for(random, frame)
}

/// An entry for a frame, or nearly so.
pub fn entry_for(random: &mut Random, frame: u64) -> u64 {
    let flags = [
        0,
        flag::PRESENT,
        flag::READ_ONLY,
        flag::DATA,
        flag::DATA,
        flag::TABLE,
        flag::TABLE,
        flag::DATA | flag::LARGE,
        flag::DATA | flag::NO_EXECUTE,
        flag::DATA | 1 << 8,
        flag::DATA | 3 << 3,
        flag::DATA | 1 << 51,
    ];
    let flags = random.pick(&flags);
    let entry = frame << 12 | flags;
    let flipped = entry ^ 1 << random.below(64);
    // A frame that is near may be one that the kernel needs.
    let is_near = flipped >> 12 != frame && kernels::memory::is_own(flipped << 12 >> 24);
    if random.once_in(16) && !is_near { flipped } else { entry }
}

/// An index in a table: few, so that they meet.
pub fn index(random: &mut Random) -> u64 {
    // The last is what maps the kernel.
    if random.once_in(16) {
        random.below(511)
    } else {
        random.pick(&[0, 1, 2, 3, 255, 256, 260, 262, 272])
    }
}

/// An address in the window.
pub fn window(random: &mut Random) -> u64 {
    let offset = if random.once_in(4) { random.below(4096) } else { 8 * index(random) };
    WINDOW + (random.below(WINDOW_PAGES) << 12) + offset
}

/// An address that a hypercall may write to.
pub fn pointer(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.pick(&BAD),
        1 => window(random),
        2 => scratch(ARGUMENTS) + 4096 - random.below(16),
        3 => random.pick(&BAD).wrapping_sub(random.below(64)),
        _ => scratch(ARGUMENTS) + 8 * random.below(256),
    }
}

/// A small number, or one that is nearly none.
pub fn number(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.word(),
        1 => 1 << random.below(64),
        2 => (1_u64 << random.below(64)).wrapping_sub(1),
        3 => !random.below(4),
        4 => u64::from(u32::MAX) - random.below(4),
        _ => random.below(20),
    }
}

/// A domain: mostly the caller.
pub fn domain(random: &mut Random) -> u64 {
    random.pick(&[0x7ff0, 0x7ff0, 0x7ff0, 0x7ff0, 0, 0, 1, 0x7ff1, 0x7ff2, 0x7ff4, 0xffff])
}

/// Anything.
pub fn any(random: &mut Random, field: &Field) -> u64 {
    match random.below(6) {
        0 => pointer(random),
        1 => frame(random, field),
        2 => entry(random, field),
        3 => domain(random),
        _ => number(random),
    }
}

/// Fills the page of arguments from its start with words; gives its address.
pub fn words(words: &[u64]) -> u64 {
    for (index, word) in words.iter().enumerate() {
        kernels::memory::write(scratch(ARGUMENTS) + 8 * index as u64, *word);
    }
    scratch(ARGUMENTS)
}

/// Fills the page of arguments with anything; gives a place in it, or a bad one.
pub fn structure(random: &mut Random, field: &Field) -> u64 {
    let list: [u64; 16] = core::array::from_fn(|_| match random.below(4) {
        // Two halves.
        0 => random.below(20) | random.below(20) << 32,
        _ => any(random, field),
    });
    let place = words(&list);
    if random.once_in(8) { pointer(random) } else { place }
}
