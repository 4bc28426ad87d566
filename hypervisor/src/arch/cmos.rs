//! The real-time clock's registers (Motorola MC146818A data sheet).

use crate::lock::Mutex;
use hypervisor::rtc::Date;
use x86_64::instructions::port::Port;

use super::platform::firmware;

/// Register A: an update is going on.
const UPDATING: u8 = 1 << 7;
const REGISTER_A: u8 = 10;
const REGISTER_B: u8 = 11;
/// How often the clock is read until it reads the same twice.
const ATTEMPTS: u32 = 10;
/// An update takes 2 ms at most; a read takes a microsecond.
const PATIENCE: u32 = 10_000;

struct Ports {
    index: Port<u8>,
    data: Port<u8>,
}

static PORTS: Mutex<Ports> = Mutex::new(Ports { index: Port::new(0x70), data: Port::new(0x71) });

impl Ports {
    fn read(&mut self, register: u8) -> u8 {
        // SAFETY: reading the clock's memory has no other effect.
        unsafe {
            self.index.write(register);
            self.data.read()
        }
    }

    fn date(&mut self, century: Option<u8>) -> Date {
        for _ in 0..PATIENCE {
            if self.read(REGISTER_A) & UPDATING == 0 {
                break;
            }
        }
        Date {
            second: self.read(0),
            minute: self.read(2),
            hour: self.read(4),
            day: self.read(7),
            month: self.read(8),
            year: self.read(9),
            century: century.map(|register| self.read(register)),
            format: self.read(REGISTER_B),
        }
    }
}

/// Seconds since 1970, if the clock has a date.
pub fn unix_seconds() -> Option<u64> {
    let century = firmware().fadt.as_ref().map(|fadt| fadt.century);
    let century = century.filter(|register| (0x0e..0x80).contains(register));
    let mut ports = PORTS.lock();
    let mut last = ports.date(century);
    for _ in 0..ATTEMPTS {
        let next = ports.date(century);
        if next == last {
            return next.unix_seconds();
        }
        last = next;
    }
    None
}
