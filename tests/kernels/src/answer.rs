//! What is printed: one line a check, the same on every hypervisor that keeps to the ABI.

use core::fmt::{self, Write};

use xen::abi::errno;

use crate::hypercall;
use crate::traps::Trap;

/// What a hypercall returned.
#[derive(Debug, Clone, Copy)]
pub struct Answer(pub i64);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |(_, errno): &&(&str, errno::Errno)| i64::from(-errno.0) == self.0;
        match errno::ALL.iter().find(known) {
            Some((name, _)) => write!(f, "-{name}"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A line before it is printed, so that it comes out whole.
struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Prints a line.
pub fn line(what: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; 256], length: 0 };
    let _ = writeln!(line, "{what}");
    hypercall::print(core::str::from_utf8(&line.bytes[..line.length]).unwrap_or("?\n"));
}

/// Prints what a hypercall returned.
pub fn answer(name: &str, value: i64) {
    line(format_args!("{name}: {}", Answer(value)));
}

/// Prints a value that a hypercall left somewhere.
pub fn value(name: &str, value: u64) {
    line(format_args!("{name}: {value:#x}"));
}

/// Prints what an attempt led to.
pub fn trap(name: &str, trap: Option<Trap>) {
    match trap {
        None => line(format_args!("{name}: no trap")),
        Some(trap) => line(format_args!("{name}: {trap}")),
    }
}
