//! The command line, with options as Xen spells them (docs/misc/xen-command-line of Xen 4.17).

use core::fmt;

use crate::loglevel::Threshold;

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

/// An amount of memory: `SIZE`, `-SIZE` (all but that), `[SIZE+]PERCENT%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes, and so many hundredths of all there is.
    Of(u64, u8),
    /// All there is but so many bytes.
    AllBut(u64),
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        if let Some(text) = text.strip_prefix('-') {
            return Some(Self::AllBut(size(text)?));
        }
        let Some(text) = text.strip_suffix('%') else { return Some(Self::Of(size(text)?, 0)) };
        let (bytes, percent) = match text.split_once('+') {
            Some((bytes, percent)) => (size(bytes)?, percent),
            None => (0, text),
        };
        let percent = percent.parse().ok().filter(|percent| (1..100).contains(percent))?;
        Some(Self::Of(bytes, percent))
    }

    /// In bytes, of so many that there are.
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::Of(bytes, percent) => bytes.saturating_add(all / 100 * u64::from(percent)),
            Self::AllBut(bytes) => all.saturating_sub(bytes),
        }
    }
}

/// How much memory dom0 gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dom0Memory {
    /// The amount; without it all there is but a reserve.
    pub amount: Option<Amount>,
    /// At least.
    pub min: Option<Amount>,
    /// At most, also later.
    pub max: Option<Amount>,
}

impl Dom0Memory {
    /// Reads `dom0_mem=[min:SIZE,][max:SIZE,][SIZE]`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut memory = Self::default();
        for part in text.split(',') {
            match part.split_once(':') {
                Some(("min", part)) => memory.min = Some(Amount::parse(part)?),
                Some(("max", part)) => memory.max = Some(Amount::parse(part)?),
                Some(_) => return None,
                None => memory.amount = Some(Amount::parse(part)?),
            }
        }
        Some(memory)
    }

    /// How many bytes it gets of `available`.
    pub fn of(&self, available: u64) -> u64 {
        let bytes = |amount: Amount| amount.of(available);
        let wanted = self.amount.map_or(available, bytes);
        let wanted = wanted.max(self.min.map_or(0, bytes));
        wanted.min(self.max.map_or(u64::MAX, bytes)).min(available)
    }
}

/// A serial line, as `com1=BAUD[,DPS[,IO[,IRQ]]]` and `com2=` say; 8 data bits, no parity and one
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
    /// And its second.
    pub const COM2: u16 = 0x2f8;

    fn parse(text: &str, usual: u16) -> Option<Self> {
        let mut parts = text.split(',');
        let baud = match parts.next()? {
            "auto" => None,
            number => Some(number.parse().ok().filter(|baud| (50..=115_200).contains(baud))?),
        };
        let format = parts.next().unwrap_or("8n1");
        let port = match parts.next() {
            None => usual,
            Some(text) => u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()?,
        };
        (format == "8n1").then_some(Self { baud, port })
    }
}

/// Where output goes, as `console=` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outputs {
    /// The first serial line.
    pub com1: bool,
    /// The second.
    pub com2: bool,
    /// The screen, as long as domain 0 does not have it.
    pub vga: bool,
}

impl Outputs {
    fn parse(text: &str) -> Option<Self> {
        let mut outputs = Self { com1: false, com2: false, vga: false };
        for part in text.split(',') {
            match part {
                // Which half of a shared line is the hypervisor's is for others to say.
                "com1" | "com1H" | "com1L" => outputs.com1 = true,
                "com2" | "com2H" | "com2L" => outputs.com2 = true,
                "vga" => outputs.vga = true,
                "none" => (),
                _ => return None,
            }
        }
        Some(outputs)
    }
}

impl Default for Outputs {
    fn default() -> Self {
        Self { com1: true, com2: false, vga: true }
    }
}

/// Which key, typed three times with control, changes who hears what is typed: `conswitch=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// The key's code.
    pub key: u8,
    /// The hypervisor hears what is typed at first.
    pub is_for_us: bool,
}

impl Switch {
    fn parse(text: &str) -> Option<Self> {
        let (letter, rest) = text.split_at_checked(1)?;
        let letter = letter.as_bytes()[0].to_ascii_lowercase();
        let is_letter = letter.is_ascii_lowercase() && matches!(rest, "" | "x");
        is_letter.then(|| Self { key: letter - b'a' + 1, is_for_us: rest == "x" })
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self { key: 1, is_for_us: false }
    }
}

/// Everything that the command line decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// dom0's memory.
    pub dom0_memory: Dom0Memory,
    /// dom0's processors at most.
    pub dom0_max_vcpus: Option<u32>,
    /// And at least, however few the machine has.
    pub dom0_min_vcpus: u32,
    /// Where output goes.
    pub outputs: Outputs,
    com: [Serial; 2],
    /// What changes who hears what is typed.
    pub switch: Switch,
    /// Processors that are used at most.
    pub max_processors: Option<usize>,
    /// Memory above this address is not used.
    pub memory_limit: Option<u64>,
    /// After a crash the machine stays as it is.
    pub noreboot: bool,
    /// Which messages of the hypervisor are printed.
    pub log: Threshold,
    /// Which of those that are about guests.
    pub guest_log: Threshold,
    /// What is done against speculation.
    pub speculation: Speculation,
}

/// What is done against what processors do ahead of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speculation {
    /// Guests are kept from steering it.
    pub is_steered: bool,
    /// The processor's buffers are emptied on the way to a guest; `None`: if the processor says that it
    /// does that and needs it.
    pub empties_buffers: Option<bool>,
}

impl Speculation {
    const WANTED: Self = Self { is_steered: true, empties_buffers: None };
    const UNWANTED: Self = Self { is_steered: false, empties_buffers: Some(false) };

    /// `spec-ctrl=` has a list; what is said of all, of the hypervisor, and of buffers counts.
    fn parse(text: &str) -> Option<Self> {
        let mut this = Self::WANTED;
        for part in text.split(',') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, is_against) = match name.strip_prefix("no-") {
                Some(name) => (name, true),
                None => (name, false),
            };
            let is_wanted = || Some(boolean(value)? != is_against);
            let all = |is_wanted| if is_wanted { Self::WANTED } else { Self::UNWANTED };
            match name {
                "xen" => this = all(is_wanted()?),
                "md-clear" => this.empties_buffers = Some(is_wanted()?),
                // Of guests' own means, and of kinds of guests that there aren't.
                _ if is_against || part.contains('=') => (),
                word => this = all(boolean(word)?),
            }
        }
        Some(this)
    }
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

impl Default for Options {
    fn default() -> Self {
        let com = [Serial::COM1, Serial::COM2].map(|port| Serial { baud: None, port });
        Self {
            dom0_memory: Dom0Memory::default(),
            dom0_max_vcpus: None,
            dom0_min_vcpus: 1,
            outputs: Outputs::default(),
            com,
            switch: Switch::default(),
            max_processors: None,
            memory_limit: None,
            noreboot: false,
            log: Threshold::HOST,
            guest_log: Threshold::GUEST,
            speculation: Speculation::WANTED,
        }
    }
}

impl Options {
    /// The serial line that is used, if any is.
    pub fn serial(&self) -> Option<Serial> {
        match self.outputs {
            Outputs { com1: true, .. } => Some(self.com[0]),
            Outputs { com2: true, .. } => Some(self.com[1]),
            _ => None,
        }
    }

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
            "dom0_max_vcpus" => {
                (self.dom0_min_vcpus, self.dom0_max_vcpus) = vcpus(value)?;
            }
            "com1" => self.com[0] = Serial::parse(value, Serial::COM1)?,
            "com2" => self.com[1] = Serial::parse(value, Serial::COM2)?,
            "console" => self.outputs = Outputs::parse(value)?,
            "conswitch" => self.switch = Switch::parse(value)?,
            "maxcpus" => self.max_processors = Some(value.parse().ok().filter(|most| *most > 0)?),
            "nosmp" => self.max_processors = boolean(value)?.then_some(1),
            // There is one scheduler.
            "sched" => (value == "credit").then_some(())?,
            "mem" => self.memory_limit = Some(size(value)?),
            "spec-ctrl" => self.speculation = Speculation::parse(value)?,
            // Page tables of programs have the hypervisor's slots, whatever is asked for.
            "xpti" => (),
            "noreboot" => self.noreboot = boolean(value)?,
            "no-noreboot" => self.noreboot = false,
            // The ways to reset are tried one after the other, whichever is asked for.
            "reboot" => self.noreboot = reboot(value)?,
            "loglvl" => self.log = Threshold::parse(value)?,
            "guest_loglvl" => self.guest_log = Threshold::parse(value)?,
            // All is printed at once.
            "sync_console" => _ = boolean(value)?,
            // There is no screen to keep when domain 0 takes it over.
            "vga" => (),
            name if name.starts_with('/') => {}
            _ => return Some(false),
        }
        Some(true)
    }
}

/// `dom0_max_vcpus=[MIN]-[MAX]`, or `=COUNT` for both.
fn vcpus(text: &str) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|count| *count > 0);
    let (min, max) = match text.split_once('-') {
        None => (number(text)?, Some(number(text)?)),
        Some((min, "")) => (number(min)?, None),
        Some(("", max)) => (1, Some(number(max)?)),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    max.is_none_or(|max| min <= max).then_some((min, max))
}

/// `reboot=WAY[,KIND]`; true for `n`, no reset after a crash.
fn reboot(text: &str) -> Option<bool> {
    let (way, kind) = text.split_once(',').unwrap_or((text, "cold"));
    let known =
        |text: &str, letters: &str| text.chars().next().is_some_and(|c| letters.contains(c));
    let is_known = known(way, "ntkapPewc") && known(kind, "wc");
    is_known.then(|| way.starts_with('n'))
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
        assert_eq!(options.serial(), Some(Serial { baud: Some(115_200), port: 0x3f8 }));
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
        let of = |text| Dom0Memory::parse(text).unwrap().of(2000 << 20) >> 20;
        assert_eq!(of("-512M"), 1488);
        assert_eq!(of("50%"), 1000);
        assert_eq!(of("100M+25%,max:550M"), 550);
        assert_eq!(of("min:10%,64M"), 200);
        assert_eq!(of("-3G"), 0);
        for bad in ["", "x", "min:", "12Q", "some:1M", "99999999999G", "--1", "%", "200%", "1+%"] {
            assert_eq!(Dom0Memory::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn serial_lines_are_plain() {
        let parse = |text| Serial::parse(text, Serial::COM1);
        assert_eq!(parse("auto"), Some(Serial { baud: None, port: 0x3f8 }));
        assert_eq!(parse("9600,8n1,0x2f8").unwrap().port, 0x2f8);
        for bad in ["", "9", "115200,7e1", "115200,8n1,2f8", "999999"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    fn parsed(line: &str) -> Options {
        Options::parse(line, |complaint| panic!("{complaint}"))
    }

    #[test]
    fn output_goes_where_it_should() {
        let serial = |line: &str| parsed(line).serial().map(|serial| serial.port);
        assert_eq!(serial(""), Some(0x3f8));
        assert_eq!(serial("console=com2 com2=9600"), Some(0x2f8));
        assert_eq!(serial("console=vga"), None);
        assert_eq!(serial("console=none"), None);
        assert!(parsed("console=vga,com1").outputs.vga);
        assert!(!parsed("console=com1").outputs.vga);
        let switch = |line: &str| parsed(line).switch;
        assert_eq!(switch("conswitch=a"), Switch { key: 1, is_for_us: false });
        assert_eq!(switch("conswitch=Bx"), Switch { key: 2, is_for_us: true });
    }

    #[test]
    fn counts_and_ways_are_read() {
        let vcpus = |line: &str| {
            let options = parsed(line);
            (options.dom0_min_vcpus, options.dom0_max_vcpus)
        };
        assert_eq!(vcpus("dom0_max_vcpus=4"), (4, Some(4)));
        assert_eq!(vcpus("dom0_max_vcpus=2-3"), (2, Some(3)));
        assert_eq!(vcpus("dom0_max_vcpus=-3"), (1, Some(3)));
        assert_eq!(vcpus("dom0_max_vcpus=2-"), (2, None));
        assert!(parsed("reboot=n").noreboot && parsed("noreboot").noreboot);
        assert!(!parsed("reboot=acpi,warm").noreboot);
        for on in ["spec-ctrl", "spec-ctrl=rsb=no", "spec-ctrl=no-ssbd", "noreboot"] {
            assert_eq!(parsed(on).speculation, Speculation::WANTED, "{on}");
        }
        for off in ["spec-ctrl=no", "spec-ctrl=no-xen", "spec-ctrl=pv=on,xen=no", "spec-ctrl=off"] {
            assert_eq!(parsed(off).speculation, Speculation::UNWANTED, "{off}");
        }
        let empties = |line: &str| parsed(line).speculation.empties_buffers;
        assert_eq!(empties("spec-ctrl=md-clear"), Some(true));
        assert_eq!(empties("spec-ctrl=no-md-clear"), Some(false));
        assert_eq!(empties("spec-ctrl=no,md-clear=yes"), Some(true));
        assert_eq!(parsed("maxcpus=2").max_processors, Some(2));
        assert_eq!(parsed("mem=1G loglvl=all/info nosmp").memory_limit, Some(1 << 30));
        assert_eq!(parsed("loglvl=all sched=credit").log, Threshold::ALL);
        assert_eq!(parsed("guest_loglvl=none/warning").guest_log, Threshold::GUEST);
        for bad in [
            "dom0_max_vcpus=3-2",
            "reboot=q",
            "spec-ctrl=perhaps",
            "spec-ctrl=xen=perhaps",
            "loglvl=loud",
            "conswitch=1",
            "maxcpus=0",
            "sched=credit2",
            "sched=",
        ] {
            let mut complaints = 0;
            Options::parse(bad, |complaint| complaints += i32::from(complaint.is_bad_value));
            assert_eq!(complaints, 1, "{bad}");
        }
    }
}
