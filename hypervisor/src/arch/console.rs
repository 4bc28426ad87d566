//! The serial line: a 16550 UART (National Semiconductor PC16550D data sheet).

use core::fmt::{self, Write};

use hypervisor::options::Serial;
use spin::Mutex;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::instructions::port::Port;

/// The input clock divided by 16.
const BASE_BAUD: u32 = 115_200;
/// How often a full transmitter is looked at before a character is dropped: a machine without
/// the UART must not hang.
const PATIENCE: u32 = 100_000;
/// Line status: the transmitter takes another byte.
const TRANSMITTER_EMPTY: u8 = 1 << 5;

struct Uart {
    port: u16,
}

static CONSOLE: Mutex<Uart> = Mutex::new(Uart { port: Serial::COM1 });

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

/// Sets the line up as the command line says.
pub fn set_up(serial: &Serial) {
    without_interrupts(|| CONSOLE.lock().set_up(serial));
}

/// Prints; use [`crate::print!`].
pub fn print(arguments: fmt::Arguments<'_>) {
    // The line has no way to fail.
    without_interrupts(|| CONSOLE.lock().write_fmt(arguments)).unwrap_or(());
}

/// What was typed and not yet read.
static TYPED: Mutex<Typed> = Mutex::new(Typed { bytes: [0; 256], start: 0, count: 0 });

struct Typed {
    bytes: [u8; 256],
    start: usize,
    count: usize,
}

/// Takes what was typed from the line; true if there was anything.
pub fn poll() -> bool {
    const DATA_READY: u8 = 1;
    let mut uart = CONSOLE.lock();
    let mut typed = TYPED.lock();
    let before = typed.count;
    while typed.count < typed.bytes.len() && uart.read(5) & DATA_READY != 0 {
        let end = (typed.start + typed.count) % typed.bytes.len();
        typed.bytes[end] = uart.read(0);
        typed.count += 1;
    }
    typed.count > before
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
    unsafe { CONSOLE.force_unlock() }
}

/// Prints to the serial line.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::arch::console::print(format_args!($($argument)*)) };
}

/// Prints a line with the hypervisor's mark.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::print!("(XEN) {}\n", format_args!($($argument)*)) };
}
