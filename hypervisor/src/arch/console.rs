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
