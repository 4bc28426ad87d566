//! The field that is played on: frames that may become anything, a window of addresses that may
//! map anything, and how what is the kernel's own is put right again.

use kernels::hypercall::{call, number, place, volatile};
use kernels::memory::{self, flag, frame, map_frame, scratch};
use kernels::program::Program;
use kernels::random::Random;
use kernels::traps;
use xen::abi::memory::{DECREASE_RESERVATION, POPULATE_PHYSMAP};
use xen::abi::mmuext::{NEW_BASEPTR, NEW_USER_BASEPTR, PIN_L4_TABLE, SET_LDT, UNPIN_TABLE};

/// Pages that may become anything.
pub const FRAMES: usize = 40;
/// Behind them: a program's, the window's tables, a page of code, a page of arguments.
const PROGRAM: usize = FRAMES;
const TABLES: usize = PROGRAM + 6;
/// A page of code that the kernel runs.
pub const CODE: usize = TABLES + 3;
/// A page that arguments are in; nothing is behind it.
pub const ARGUMENTS: usize = CODE + 1;
/// Pages of other vcpus.
pub const RACERS: usize = PROBE + 2;
/// Where a frame is mapped to see whether it can be.
const PROBE: usize = ARGUMENTS + 2;

/// Addresses that may map anything: entry 1 of level 4.
pub const WINDOW: u64 = 1 << 39;
/// Pages of the window.
pub const WINDOW_PAGES: u64 = 48;

/// Whether a frame can be mapped: it is this kernel's, or a device's.
fn is_mapped(frame: u64) -> bool {
    let at = scratch(PROBE);
    let is_mapped = map_frame(at, frame, flag::READ_ONLY) == 0;
    map_frame(at, 0, 0);
    is_mapped
}

/// What is played with now.
pub struct Field {
    frames: [u64; FRAMES],
    program: Program,
    program_base: u64,
    root: u64,
    /// The entry of level 4 that maps the kernel.
    kernel_entry: u64,
}

impl Field {
    /// Sets the window up and takes the write access to the frames away.
    pub fn new() -> Self {
        let program = Program::new(PROGRAM, &[0x0f, 0x0b]);
        let program_base = frame(scratch(PROGRAM));
        let root = memory::root();
        let kernel_entry = memory::read(memory::address(root) + 8 * 511);
        let [l3, l2, l1] = core::array::from_fn(|index| scratch(TABLES + index));
        for at in [l3, l2, l1] {
            memory::fill(at, 0);
            memory::map(at, flag::READ_ONLY);
        }
        memory::update((root << 12) + 8, frame(l3) << 12 | flag::TABLE);
        memory::update(frame(l3) << 12, frame(l2) << 12 | flag::TABLE);
        memory::update(frame(l2) << 12, frame(l1) << 12 | flag::TABLE);
        let frames = core::array::from_fn(|index| frame(scratch(index)));
        for index in 0..FRAMES {
            let at = scratch(index);
            memory::fill(at, 0);
            // Any of them may become a table of level 4 that the kernel runs with.
            memory::write(at + 8 * 511, if index.is_multiple_of(2) { kernel_entry } else { 0 });
            memory::map(at, flag::READ_ONLY);
        }
        memory::map(scratch(CODE), flag::DATA);
        memory::map(scratch(ARGUMENTS), flag::DATA);
        // Lists that are longer than that page end there: what is behind is the kernel's own.
        map_frame(scratch(ARGUMENTS + 1), 0, 0);
        // Code of the program is the kernel's to change.
        memory::map(scratch(PROGRAM + 4), flag::DATA);
        Self { frames, program, program_base, root, kernel_entry }
    }

    /// All of the frames.
    pub fn frames(&self) -> &[u64; FRAMES] {
        &self.frames
    }

    /// One of the frames.
    pub fn frame(&self, random: &mut Random) -> u64 {
        random.pick(&self.frames)
    }

    /// The kernel's first table of level 4.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Whether the kernel would live with this frame as its table of level 4.
    pub fn may_be_base(&self, frame: u64) -> bool {
        if frame == self.root {
            return true;
        }
        let Some(index) = self.frames.iter().position(|known| *known == frame) else {
            // It is refused, unless it came for another one by an exchange.
            return !memory::is_own(frame) && !is_mapped(frame);
        };
        let entry = memory::read(scratch(index) + 8 * 511);
        entry >> 12 << 12 == self.kernel_entry >> 12 << 12 && entry & 3 == 3
    }

    /// The program, whose page tables are put in place.
    pub fn program(&self) -> &Program {
        memory::extended(NEW_USER_BASEPTR, self.program_base, 0);
        &self.program
    }

    /// Where the program's code is written.
    pub fn program_code() -> u64 {
        scratch(PROGRAM + 4)
    }

    /// Maps a page of the window, or a frame at its own address, in another way.
    pub fn remap(&mut self, random: &mut Random) {
        let flags = random.pick(&[flag::READ_ONLY, flag::READ_ONLY, flag::DATA]);
        if random.once_in(2) {
            let index = random.below(FRAMES as u64) as usize;
            if map_frame(scratch(index), self.frames[index], flags) == 0 && flags == flag::DATA {
                map_frame(scratch(index), self.frames[index], flag::READ_ONLY);
            }
        } else {
            let at = WINDOW + (random.below(WINDOW_PAGES) << 12);
            map_frame(at, self.frame(random), flags);
        }
    }

    /// Gives a frame back and takes another for it.
    pub fn swap_frame(&mut self, random: &mut Random) {
        let index = random.below(FRAMES as u64) as usize;
        let at = scratch(index);
        let reserve = |command: u64, list: &mut [u64; 1]| {
            let mut reservation = [place(list), 1, 0, xen::abi::DOMID_SELF.into()];
            call(number::MEMORY_OP, &[command, place(&mut reservation)])
        };
        if reserve(DECREASE_RESERVATION, &mut [self.frames[index]]) != 1 {
            return;
        }
        // What it is used as is nobody's to end later.
        while memory::extended(UNPIN_TABLE, self.frames[index], 0) == 0 {}
        let mut list = [(at - memory::VIRT_BASE) >> 12];
        assert_eq!(
            reserve(POPULATE_PHYSMAP, &mut list),
            1,
            "a frame for the one that was given back"
        );
        self.frames[index] = volatile(&mut list)[0];
        memory::own(self.frames[index]);
        assert_eq!(map_frame(at, self.frames[index], flag::DATA), 0);
        assert_eq!(memory::read(at), 0, "somebody else's memory");
        memory::write(at + 8 * 511, if index.is_multiple_of(2) { self.kernel_entry } else { 0 });
        map_frame(at, self.frames[index], flag::READ_ONLY);
    }

    /// Puts right what the kernel needs itself.
    pub fn restore(&self) {
        traps::init();
        for register in [0, 1, 2, 3, 6] {
            call(number::SET_DEBUGREG, &[register, 0]);
        }
        call(number::SET_DEBUGREG, &[7, 0x400]);
        call(number::PHYSDEV_OP, &[6, place(&mut 0_u32)]);
        memory::mask_events(true);
    }

    /// Takes everything back, and gives the frames as they are now.
    pub fn end(self) -> [u64; FRAMES] {
        self.restore();
        // Who has it checked as a table of another level leaves marks in it, even if that fails.
        for (index, entry) in [(1, 0), (511, self.kernel_entry)] {
            memory::update((self.root << 12) + 8 * index, entry);
        }
        memory::extended(NEW_BASEPTR, self.root, 0);
        memory::extended(PIN_L4_TABLE, self.root, 0);
        memory::extended(SET_LDT, 0, 0);
        call(number::SET_GDT, &[0, 0]);
        for page in 0..WINDOW_PAGES {
            map_frame(WINDOW + (page << 12), 0, 0);
        }
        self.program.end();
        for (index, frame) in self.frames.iter().enumerate() {
            map_frame(scratch(index), *frame, flag::READ_ONLY);
            while memory::extended(UNPIN_TABLE, *frame, 0) == 0 {}
        }
        self.frames
    }
}
