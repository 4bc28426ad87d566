//! Where is printed, and what was typed: the serial line, a 16550 UART (National Semiconductor
//! PC16550D data sheet), and the screen.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU16, Ordering};

use crate::lock::Mutex;
use hypervisor::options::{Options, Serial};
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::instructions::port::Port;

use super::vga::{self, Screen};

/// The input clock divided by 16.
const BASE_BAUD: u32 = 115_200;
/// How often a full transmitter is looked at before a character is dropped: a machine without
/// the UART must not hang.
const PATIENCE: u32 = 100_000;
/// Line status: the transmitter takes another byte.
const TRANSMITTER_EMPTY: u8 = 1 << 5;

struct Uart {
    /// The first of its ports; 0 if none is used.
    port: u16,
}

static CONSOLE: Mutex<Uart> = Mutex::new(Uart { port: Serial::COM1 });
static SCREEN: Mutex<Screen> = Mutex::new(Screen::new());
/// As in [`Uart`], to be read without the lock.
static PORT: AtomicU16 = AtomicU16::new(Serial::COM1);

impl Uart {
    fn write(&mut self, register: u16, value: u8) {
        // SAFETY: the UART's registers have no effect on memory.
        unsafe { Port::new(self.port + register).write(value) }
    }

    fn read(&mut self, register: u16) -> u8 {
        // SAFETY: as above.
        unsafe { Port::new(self.port + register).read() }
    }

    fn set_up(&mut self, serial: &Serial) {
        self.port = serial.port;
        // No interrupts; FIFOs on and empty; 8n1; DTR, RTS.
        self.write(1, 0);
        self.write(2, 0x07);
        if let Some(baud) = serial.baud {
            let [low, high] = ((BASE_BAUD / baud) as u16).to_le_bytes();
            self.write(3, 0x80);
            self.write(0, low);
            self.write(1, high);
        }
        self.write(3, 0x03);
        self.write(4, 0x03);
    }

    fn send(&mut self, byte: u8) {
        if self.port == 0 {
            return;
        }
        for _ in 0..PATIENCE {
            if self.read(5) & TRANSMITTER_EMPTY != 0 {
                return self.write(0, byte);
            }
            core::hint::spin_loop();
        }
    }
}

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.send(b'\r');
            }
            self.send(byte);
        }
        Ok(())
    }
}

/// Sets all up as the command line says.
pub fn set_up(options: &Options) {
    vga::set(options.outputs.vga);
    let mut typed = TYPED.lock();
    (typed.switch, typed.is_for_us) = (options.switch.key, options.switch.is_for_us);
    without_interrupts(|| match options.serial() {
        Some(serial) => {
            PORT.store(serial.port, Ordering::Relaxed);
            CONSOLE.lock().set_up(&serial);
        }
        None => {
            PORT.store(0, Ordering::Relaxed);
            CONSOLE.lock().port = 0;
        }
    });
}

/// The ports of the serial line that is used.
pub fn ports() -> core::ops::Range<u16> {
    let port = PORT.load(Ordering::Relaxed);
    if port == 0 { 0..0 } else { port..port + 8 }
}

/// What was printed last, for tools: a ring, of which the newest bytes are kept.
static LOG: Mutex<Log> = Mutex::new(Log { bytes: [0; LOG_SIZE], end: 0, start: 0 });
const LOG_SIZE: usize = 16 << 10;

struct Log {
    bytes: [u8; LOG_SIZE],
    /// Counts all bytes ever; the place is the remainder.
    end: u32,
    /// What was before is cleared.
    start: u32,
}

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.bytes[self.end as usize % LOG_SIZE] = byte;
            self.end = self.end.wrapping_add(1);
            if self.end.wrapping_sub(self.start) > LOG_SIZE as u32 {
                self.start = self.end.wrapping_sub(LOG_SIZE as u32);
            }
        }
        Ok(())
    }
}

/// Gives what was printed from a position on, or from the oldest byte that is kept: where it
/// begins, and how many bytes.
pub fn logged(from: Option<u32>, to: &mut [u8]) -> (u32, usize) {
    let log = LOG.lock();
    let kept = log.end.wrapping_sub(log.start);
    let from = from.filter(|from| log.end.wrapping_sub(*from) <= kept).unwrap_or(log.start);
    let count = (log.end.wrapping_sub(from) as usize).min(to.len());
    for (index, byte) in to[..count].iter_mut().enumerate() {
        *byte = log.bytes[(from as usize + index) % LOG_SIZE];
    }
    (from, count)
}

/// Forgets what was printed.
pub fn clear_log() {
    let mut log = LOG.lock();
    log.start = log.end;
}

/// Prints; use [`crate::print!`].
pub fn print(arguments: fmt::Arguments<'_>) {
    // Neither has a way to fail.
    without_interrupts(|| {
        LOG.lock().write_fmt(arguments).unwrap_or(());
        CONSOLE.lock().write_fmt(arguments).unwrap_or(());
        SCREEN.lock().write_fmt(arguments).unwrap_or(());
    });
}

/// Prints for dom0, whose console the line is, too.
pub fn write_text(text: &str) {
    CONSOLE.lock().write_str(text).unwrap_or(());
}

/// What was typed and not yet read.
static TYPED: Mutex<Typed> = Mutex::new(Typed {
    bytes: [0; 256],
    start: 0,
    count: 0,
    switch: 1,
    switches: 0,
    is_for_us: false,
});

struct Typed {
    bytes: [u8; 256],
    start: usize,
    count: usize,
    /// Typed three times in a row it changes who hears what is typed: dom0 or the hypervisor.
    switch: u8,
    /// How often that was typed just now.
    switches: u8,
    /// The hypervisor hears what is typed.
    is_for_us: bool,
}

/// Takes what was typed from the line. True if there is anything for dom0; `key` is told what is
/// for the hypervisor.
pub fn poll(mut key: impl FnMut(u8)) -> bool {
    let mut is_any = false;
    while let Some(byte) = take() {
        let mut typed = TYPED.lock();
        let switch = typed.switch;
        if byte == switch && typed.switches < 2 {
            // Kept back until what follows says what it meant.
            typed.switches += 1;
        } else if byte == switch {
            typed.switches = 0;
            typed.is_for_us = !typed.is_for_us;
            let whom = if typed.is_for_us { "the hypervisor" } else { "domain 0" };
            drop(typed);
            let letter = char::from(b'a' + switch.wrapping_sub(1));
            crate::log!("*** Serial input to {whom} (type 'CTRL-{letter}' three times to switch)");
        } else {
            let kept = core::mem::take(&mut typed.switches);
            if typed.is_for_us {
                drop(typed);
                key(byte);
                continue;
            }
            (0..kept).for_each(|_| is_any |= typed.push(switch));
            is_any |= typed.push(byte);
        }
    }
    is_any
}

fn take() -> Option<u8> {
    const DATA_READY: u8 = 1;
    let mut uart = CONSOLE.lock();
    (uart.port != 0 && uart.read(5) & DATA_READY != 0).then(|| uart.read(0))
}

impl Typed {
    /// Keeps a byte; what nobody reads is lost.
    fn push(&mut self, byte: u8) -> bool {
        let has_room = self.count < self.bytes.len();
        if has_room {
            let end = (self.start + self.count) % self.bytes.len();
            self.bytes[end] = byte;
            self.count += 1;
        }
        has_room
    }
}

/// Gives what was typed; how many bytes.
pub fn read_typed(to: &mut [u8]) -> usize {
    let mut typed = TYPED.lock();
    let count = typed.count.min(to.len());
    for byte in &mut to[..count] {
        *byte = typed.bytes[typed.start];
        typed.start = (typed.start + 1) % typed.bytes.len();
    }
    typed.count -= count;
    count
}

/// Sends bytes that are no text.
pub fn write_bytes(bytes: &[u8]) {
    let mut uart = CONSOLE.lock();
    bytes.iter().for_each(|byte| uart.send(*byte));
}

/// Has a report printed that was begun while somebody held the line, who won't go on.
pub fn break_lock() {
    // SAFETY: only called by the processor that panics, when the others stand still.
    unsafe {
        CONSOLE.force_unlock();
        LOG.force_unlock();
        SCREEN.force_unlock();
    }
}

/// Prints to the serial line and the screen.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::arch::console::print(format_args!($($argument)*)) };
}
