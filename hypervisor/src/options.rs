//! The command line, with options as Xen spells them (docs/misc/xen-command-line of Xen 4.17).

use core::fmt;

/// A size with Xen's suffixes; without one it counts KiB.
pub fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'T' | b't' => (&text[..text.len() - 1], 40),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'B' | b'b' => (&text[..text.len() - 1], 0),
        _ => (text, 10),
    };
    let number = digits.parse::<u64>().ok()?;
    number.checked_mul(1 << shift)
}

/// How much memory dom0 gets, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dom0Memory {
    /// The amount; without it all there is but a reserve.
    pub amount: Option<u64>,
    /// At least.
    pub min: Option<u64>,
    /// At most, also later.
    pub max: Option<u64>,
}

impl Dom0Memory {
    /// Reads `dom0_mem=[min:SIZE,][max:SIZE,][SIZE]`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut memory = Self::default();
        for part in text.split(',') {
            match part.split_once(':') {
                Some(("min", part)) => memory.min = Some(size(part)?),
                Some(("max", part)) => memory.max = Some(size(part)?),
                Some(_) => return None,
                None => memory.amount = Some(size(part)?),
            }
        }
        Some(memory)
    }

    /// How many bytes it gets of `available`.
    pub fn of(&self, available: u64) -> u64 {
        let wanted = self.amount.unwrap_or(available);
        let wanted = wanted.max(self.min.unwrap_or(0));
        wanted.min(self.max.unwrap_or(u64::MAX)).min(available)
    }
}

/// The first serial line, as `com1=BAUD[,DPS[,IO[,IRQ]]]` says; 8 data bits, no parity and one
/// stop bit are what it is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial {
    /// Bits a second; `None` leaves it as the firmware set it (`auto`).
    pub baud: Option<u32>,
    /// The port of the UART.
    pub port: u16,
}

impl Serial {
    /// Where a PC has its first one.
    pub const COM1: u16 = 0x3f8;

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let baud = match parts.next()? {
            "auto" => None,
            number => Some(number.parse().ok().filter(|baud| (50..=115_200).contains(baud))?),
        };
        let format = parts.next().unwrap_or("8n1");
        let port = match parts.next() {
            None => Self::COM1,
            Some(text) => u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()?,
        };
        (format == "8n1").then_some(Self { baud, port })
    }
}

impl Default for Serial {
    fn default() -> Self {
        Self { baud: None, port: Self::COM1 }
    }
}

/// Everything that the command line decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// dom0's memory.
    pub dom0_memory: Dom0Memory,
    /// dom0's processors at most.
    pub dom0_max_vcpus: Option<u32>,
    /// The serial line.
    pub serial: Serial,
    /// After a crash the machine stays as it is.
    pub noreboot: bool,
}

/// An option that is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complaint<'a> {
    /// The word as it was given.
    pub word: &'a str,
    /// Its value makes no sense; else nobody knows it.
    pub is_bad_value: bool,
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_bad_value { "bad value in option" } else { "unknown option" };
        write!(f, "{what} '{}' ignored", self.word)
    }
}

impl Options {
    /// Reads a command line; `complain` hears of what isn't obeyed.
    pub fn parse<'a>(line: &'a str, mut complain: impl FnMut(Complaint<'a>)) -> Self {
        let mut options = Self::default();
        // The loader's own word may come first (the image's path), and `--` ends ours.
        for word in line.split_ascii_whitespace().take_while(|word| *word != "--") {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match options.set(name, value) {
                Some(true) => {}
                Some(false) => complain(Complaint { word, is_bad_value: false }),
                None => complain(Complaint { word, is_bad_value: true }),
            }
        }
        options
    }

    /// Obeys one option; `Some(false)` if nobody knows it, `None` if its value is bad.
    fn set(&mut self, name: &str, value: &str) -> Option<bool> {
        match name {
            "dom0_mem" => self.dom0_memory = Dom0Memory::parse(value)?,
            "dom0_max_vcpus" => self.dom0_max_vcpus = Some(value.parse().ok()?),
            "com1" => self.serial = Serial::parse(value)?,
            "noreboot" => self.noreboot = boolean(value)?,
            "no-noreboot" => self.noreboot = false,
            "reboot" => self.noreboot = value == "no",
            // All output goes to the first serial line, and all of it is wanted.
            "console" | "loglvl" | "guest_loglvl" | "sync_console" | "console_timestamps" => {}
            name if name.starts_with('/') => {}
            _ => return Some(false),
        }
        Some(true)
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "" | "1" | "yes" | "on" | "true" | "enable" => Some(true),
        "0" | "no" | "off" | "false" | "disable" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn the_books_line_is_understood() {
        let mut complaints: Vec<String> = Vec::new();
        let line = "/xen.gz dom0_mem=65536 com1=115200,8n1 frob=1 dom0_max_vcpus=x -- noreboot";
        let options = Options::parse(line, |complaint| complaints.push(complaint.to_string()));
        assert_eq!(options.dom0_memory.of(1 << 40), 64 << 20);
        assert_eq!(options.serial, Serial { baud: Some(115_200), port: 0x3f8 });
        assert!(!options.noreboot);
        let expected =
            ["unknown option 'frob=1' ignored", "bad value in option 'dom0_max_vcpus=x' ignored"];
        assert_eq!(complaints, expected);
    }

    #[test]
    fn amounts_have_limits() {
        let memory = Dom0Memory::parse("min:128M,max:1G,768M").unwrap();
        assert_eq!(memory.of(4 << 30), 768 << 20);
        assert_eq!(memory.of(256 << 20), 256 << 20);
        assert_eq!(Dom0Memory::parse("max:512M").unwrap().of(2 << 30), 512 << 20);
        assert_eq!(Dom0Memory::default().of(2 << 30), 2 << 30);
        for bad in ["", "x", "min:", "12Q", "some:1M", "99999999999G", "-1"] {
            assert_eq!(Dom0Memory::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn serial_lines_are_plain() {
        assert_eq!(Serial::parse("auto"), Some(Serial::default()));
        assert_eq!(Serial::parse("9600,8n1,0x2f8").unwrap().port, 0x2f8);
        for bad in ["", "9", "115200,7e1", "115200,8n1,2f8", "999999"] {
            assert_eq!(Serial::parse(bad), None, "{bad}");
        }
    }
}
