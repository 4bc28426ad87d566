//! How fast a counter is: by another whose frequency is known.

use crate::clock::SECOND;

/// Reads two counters, the measured one right before and right after the other.
pub struct Sample {
    /// The measured counter before.
    pub before: u64,
    /// The known counter.
    pub reference: u64,
    /// The measured counter after.
    pub after: u64,
}

/// What a known counter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// How often it counts a second.
    pub hertz: u64,
    /// How many bits it has before it starts again.
    pub bits: u32,
}

/// The best of so many reads is taken at both ends: interrupts of system management mode make
/// single reads slow.
const READS: usize = 8;
/// How often a reference is read before it is known to stand still.
const PATIENCE: u32 = 10_000_000;

impl Reference {
    fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// How often the measured counter counts a second, from what happens in that many
    /// nanoseconds; `None` if the reference doesn't count. The reference has to be read at least
    /// twice in its period, and `duration` has to be shorter.
    pub fn measure(&self, duration: u64, mut read: impl FnMut() -> Sample) -> Option<u64> {
        let wanted = crate::clock::ticks(self.hertz, duration).max(1);
        let first = best(&mut read);
        let start = first.reference;
        let passed = |now: u64| now.wrapping_sub(start) & self.mask();
        let ended = (0..PATIENCE).any(|_| {
            let passed = passed(read().reference);
            // More than the mask's half is a reference that was read out of order.
            passed >= wanted && passed <= self.mask() / 4 * 3
        });
        if !ended {
            return None;
        }
        let last = best(&mut read);
        let elapsed = u128::from(passed(last.reference));
        let counted = u128::from(last.middle().wrapping_sub(first.middle()));
        u64::try_from(counted * u128::from(self.hertz) / elapsed.max(1)).ok()
    }
}

impl Sample {
    fn width(&self) -> u64 {
        self.after.wrapping_sub(self.before)
    }

    fn middle(&self) -> u64 {
        self.before.wrapping_add(self.width() / 2)
    }
}

fn best(read: &mut impl FnMut() -> Sample) -> Sample {
    let first = read();
    (1..READS).map(|_| read()).fold(
        first,
        |best, next| {
            if next.width() < best.width() { next } else { best }
        },
    )
}

/// A time stamp counter that is slower or faster is a misreading.
const PLAUSIBLE: core::ops::Range<u64> = SECOND / 100..SECOND * 20;

/// The frequency in CPUID leaf 0x15: denominator, numerator and crystal (Intel SDM, volume 2,
/// CPUID). Without a crystal's frequency there is none.
pub fn from_crystal(eax: u32, ebx: u32, ecx: u32) -> Option<u64> {
    let product = u128::from(ecx) * u128::from(ebx);
    let hertz = u64::try_from(product.checked_div(eax.into())?).ok()?;
    PLAUSIBLE.contains(&hertz).then_some(hertz)
}

/// The frequency in hypervisors' CPUID leaf 0x40000010, in kHz (VMware's timing leaf, which QEMU
/// and others have, too).
pub fn from_host(eax: u32) -> Option<u64> {
    let hertz = u64::from(eax) * 1000;
    PLAUSIBLE.contains(&hertz).then_some(hertz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn leaves_that_say_nothing_are_not_used() {
        assert_eq!(from_crystal(2, 216, 24_000_000), Some(2_592_000_000));
        assert_eq!(from_crystal(2, 216, 0), None);
        assert_eq!(from_crystal(0, 216, 24_000_000), None);
        assert_eq!(from_crystal(1, u32::MAX, u32::MAX), None);
        assert_eq!(from_host(2_500_000), Some(2_500_000_000));
        assert_eq!(from_host(0), None);
    }

    #[test]
    fn a_reference_that_stands_still_is_noticed() {
        let reference = Reference { hertz: 3_579_545, bits: 24 };
        let mut now = 0;
        let read = || {
            now += 100;
            Sample { before: now, reference: 42, after: now + 50 }
        };
        assert_eq!(reference.measure(SECOND / 100, read), None);
    }

    proptest! {
        /// A machine whose counters tick exactly is measured to one part in ten thousand, wherever
        /// the reference starts again.
        #[test]
        fn counters_are_measured(
            hertz in SECOND / 10..SECOND * 5, start: u32, is_short: bool, slow in 0_u64..8,
        ) {
            let reference = match is_short {
                true => Reference { hertz: 1_193_182, bits: 16 },
                false => Reference { hertz: 14_318_180, bits: 32 },
            };
            let (mut time, mut count) = (0_u64, 0_u64);
            let measured = reference.measure(SECOND / 50, || {
                count += 1;
                // Now and then a read takes long.
                let delay = if count % 8 == slow { 20_000 } else { 200 };
                let at = |time| crate::clock::ticks(hertz, time);
                let known = crate::clock::ticks(reference.hertz, time + delay / 2);
                let sample = Sample {
                    before: at(time),
                    reference: known.wrapping_add(start.into()) & reference.mask(),
                    after: at(time + delay),
                };
                time += delay + 100;
                sample
            }).unwrap();
            let error = measured.abs_diff(hertz);
            prop_assert!(error < hertz / 5_000, "{measured} for {hertz}");
        }
    }
}
