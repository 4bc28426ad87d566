//! The screen in text mode, as firmware leaves it, until domain 0 takes it over.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::instructions::port::Port;

use super::memory::DIRECT_MAP;

const COLUMNS: usize = 80;
const ROWS: usize = 25;
/// Where an adapter has its characters, each with its attribute.
const PLACE: u64 = DIRECT_MAP + 0xb8000;
/// White on black.
const ATTRIBUTE: u16 = 0x07 << 8;
/// The CRT controller's registers: an index, then a value.
const INDEX: u16 = 0x3d4;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// The screen; what is written goes to its last line.
pub struct Screen {
    /// Where the next character goes in the last line.
    column: usize,
}

impl Screen {
    /// A screen that nothing was written to.
    pub const fn new() -> Self {
        Self { column: 0 }
    }

    fn cell(index: usize) -> *mut u16 {
        debug_assert!(index < COLUMNS * ROWS);
        (PLACE as *mut u16).wrapping_add(index)
    }

    fn put(&mut self, byte: u8) {
        if byte == b'\n' || self.column == COLUMNS {
            self.scroll();
        }
        if byte.is_ascii_graphic() || byte == b' ' {
            let index = (ROWS - 1) * COLUMNS + self.column;
            // SAFETY: the adapter's memory, which nobody has when it's on.
            unsafe { Self::cell(index).write_volatile(ATTRIBUTE | u16::from(byte)) };
            self.column += 1;
        }
    }

    fn scroll(&mut self) {
        for index in 0..COLUMNS * ROWS {
            let below = index + COLUMNS;
            // SAFETY: as above.
            unsafe {
                let cell = match below < COLUMNS * ROWS {
                    true => Self::cell(below).read_volatile(),
                    false => ATTRIBUTE | u16::from(b' '),
                };
                Self::cell(index).write_volatile(cell);
            }
        }
        self.column = 0;
    }

    /// Shows where the next character goes.
    fn move_cursor(&self) {
        let place = (((ROWS - 1) * COLUMNS + self.column) as u16).to_be_bytes();
        for (register, value) in [0x0e, 0x0f].into_iter().zip(place) {
            // SAFETY: the cursor's place has no effect on memory.
            unsafe {
                Port::<u8>::new(INDEX).write(register);
                Port::<u8>::new(INDEX + 1).write(value);
            }
        }
    }
}

impl Write for Screen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if IS_ON.load(Ordering::Relaxed) {
            text.bytes().for_each(|byte| self.put(byte));
            self.move_cursor();
        }
        Ok(())
    }
}

/// Says whether anything is shown.
pub fn set(is_on: bool) {
    IS_ON.store(is_on, Ordering::Relaxed);
}
