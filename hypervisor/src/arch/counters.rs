//! The machine's counters: the time stamp counter, and those of known frequency that it is
//! measured by.

use core::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};

use hypervisor::acpi::fadt::Register;
use hypervisor::calibration::{self, Reference, Sample};
use x86_64::instructions::port::Port;

use super::mmio::Mmio;
use super::platform::firmware;
use crate::note;

/// How long a measurement takes in nanoseconds: with reads of a microsecond it is good to some
/// parts in 100,000.
const DURATION: u64 = 50_000_000;

/// The time stamp counter, read neither early nor late.
pub fn timestamp() -> u64 {
    // SAFETY: reads a counter.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

/// The counters of known frequency.
enum Counter {
    Hpet(Mmio, Reference),
    PmTimer(Port<u32>, Reference),
    Pit,
}

/// The event timer's registers (IA-PC HPET Specification 1.0a, section 2.3).
const HPET_PERIOD: u64 = 0x004;
const HPET_CONFIGURATION: u64 = 0x010;
const HPET_COUNTER: u64 = 0x0f0;
/// Its longest period, in femtoseconds.
const HPET_SLOWEST: u32 = 100_000_000;
/// The power management timer (ACPI Specification 6.5, section 4.8.3.3).
const PM_TIMER_HERTZ: u64 = 3_579_545;
/// The interval timer (Intel 8254 data sheet), its control port and channel 2, which has a gate.
const PIT: Reference = Reference { hertz: 1_193_182, bits: 16 };
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_CONTROL: u16 = 0x43;
/// Bit 0 is the gate, bit 1 the speaker.
const PIT_GATE: u16 = 0x61;

impl Counter {
    fn hpet() -> Option<Self> {
        // SAFETY: firmware says that the timer is there; it interrupts, but writes no memory unless
        // its comparators are told to.
        let registers = unsafe { Mmio::new(firmware().hpet?, 0x400) }?;
        let period = registers.read(HPET_PERIOD);
        if period == 0 || period > HPET_SLOWEST {
            return None;
        }
        registers.write(HPET_CONFIGURATION, registers.read(HPET_CONFIGURATION) | 1);
        let hertz = 1_000_000_000_000_000 / u64::from(period);
        Some(Self::Hpet(registers, Reference { hertz, bits: 32 }))
    }

    fn pm_timer() -> Option<Self> {
        let fadt = firmware().fadt.as_ref()?;
        let Some(Register::Port(port)) = fadt.pm_timer else { return None };
        // Bits above 24 may not count even where they are said to.
        Some(Self::PmTimer(Port::new(port), Reference { hertz: PM_TIMER_HERTZ, bits: 24 }))
    }

    fn pit() -> Self {
        let mut gate = Port::<u8>::new(PIT_GATE);
        let (mut control, mut data) =
            (Port::<u8>::new(PIT_CONTROL), Port::<u8>::new(PIT_CHANNEL_2));
        // SAFETY: the timer's channel 2 drives nothing but the speaker, which stays off. It counts
        // down from 65535 (mode 0, low byte first).
        unsafe {
            let old = gate.read();
            gate.write(old & !2 | 1);
            control.write(0b1011_0000);
            data.write(0xff);
            data.write(0xff);
        }
        Self::Pit
    }

    fn reference(&self) -> Reference {
        match self {
            Self::Hpet(_, reference) | Self::PmTimer(_, reference) => *reference,
            Self::Pit => PIT,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Hpet(..) => "HPET",
            Self::PmTimer(..) => "PM timer",
            Self::Pit => "PIT",
        }
    }

    fn read(&mut self) -> u64 {
        match self {
            Self::Hpet(registers, _) => registers.read(HPET_COUNTER).into(),
            // SAFETY: reads a counter.
            Self::PmTimer(port, _) => unsafe { port.read().into() },
            Self::Pit => {
                let mut control = Port::<u8>::new(PIT_CONTROL);
                let mut data = Port::<u8>::new(PIT_CHANNEL_2);
                // SAFETY: latches channel 2, and reads what was latched.
                let bytes = unsafe {
                    control.write(0b1000_0000);
                    [data.read(), data.read()]
                };
                // It counts down.
                u16::MAX.wrapping_sub(u16::from_le_bytes(bytes)).into()
            }
        }
    }

    /// How fast another counter is.
    fn measure(&mut self, mut counter: impl FnMut() -> u64) -> Option<u64> {
        // The PIT is through after 55 ms.
        let duration = if matches!(self, Self::Pit) { DURATION / 2 } else { DURATION };
        self.reference().measure(duration, || Sample {
            before: counter(),
            reference: self.read(),
            after: counter(),
        })
    }
}

/// How fast a counter is, by the best reference that works.
pub fn measure(name: &str, mut counter: impl FnMut() -> u64) -> u64 {
    let makers = [Counter::hpet, Counter::pm_timer, || Some(Counter::pit())];
    for mut reference in makers.iter().filter_map(|make| make()) {
        match reference.measure(&mut counter).filter(|hertz| *hertz > 0) {
            Some(hertz) => {
                note!(Info, "{name}: {} kHz, measured by the {}", hertz / 1000, reference.name());
                return hertz;
            }
            None => note!(Warning, "The {} stands still", reference.name()),
        }
    }
    panic!("there is no working counter to measure the {name} by")
}

/// CPUID leaves of frequencies, and where hypervisors' leaves begin.
const CRYSTAL: u32 = 0x15;
const HOST: u32 = 0x4000_0000;
const HOST_TIMING: u32 = 0x4000_0010;
/// CPUID leaf 1, ECX: there is a hypervisor.
const HAS_HOST: u32 = 1 << 31;

/// How often the time stamp counter counts a second.
pub fn timestamp_hertz() -> u64 {
    let stated = if __cpuid(0).eax >= CRYSTAL {
        let leaf = __cpuid(CRYSTAL);
        calibration::from_crystal(leaf.eax, leaf.ebx, leaf.ecx)
    } else {
        None
    };
    let has_timing = || __cpuid(1).ecx & HAS_HOST != 0 && __cpuid(HOST).eax >= HOST_TIMING;
    let host =
        || if has_timing() { calibration::from_host(__cpuid(HOST_TIMING).eax) } else { None };
    match stated.or_else(host) {
        Some(hertz) => {
            note!(Info, "TSC: {} kHz, as CPUID says", hertz / 1000);
            hertz
        }
        None => measure("TSC", timestamp),
    }
}
