//! From the time stamp counter to nanoseconds, as guests are told to compute it (`struct
//! vcpu_time_info`, xen/include/public/xen.h).

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// How long a tick is: `((ticks << shift) * mul) >> 32` nanoseconds, where a negative shift goes
/// right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// `tsc_to_system_mul`; the highest bit is set, so that no precision is given away.
    pub mul: u32,
    /// `tsc_shift`.
    pub shift: i8,
}

impl Scale {
    /// The scale of a counter that counts so often a second; `None` if it stands still.
    pub fn from_frequency(hertz: u64) -> Option<Self> {
        if hertz == 0 {
            return None;
        }
        // The lowest shift whose factor fits 32 bits: the greatest factor that does.
        let factor = |shift: i32| {
            let (second, hertz) = (u128::from(SECOND), u128::from(hertz));
            let doubled = |number: u128, count: i32| number << count.max(0);
            doubled(second << 32, -shift) / doubled(hertz, shift)
        };
        let fits = |shift: &i32| factor(*shift) <= u128::from(u32::MAX);
        let shift = (-34..=30).find(fits)?;
        Some(Self { mul: factor(shift) as u32, shift: shift as i8 })
    }

    /// How long so many ticks take; what doesn't fit is cut off, as guests cut it off.
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        let shifted = match self.shift {
            left @ 0.. => ticks << left,
            right => ticks >> -i32::from(right),
        };
        ((u128::from(shifted) * u128::from(self.mul)) >> 32) as u64
    }
}

/// How many ticks of a counter pass in a time; the most there can be if that is more.
pub fn ticks(hertz: u64, nanoseconds: u64) -> u64 {
    let ticks = u128::from(hertz) * u128::from(nanoseconds) / u128::from(SECOND);
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// A clock that a counter drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The counter at some moment: `tsc_timestamp`.
    pub counter: u64,
    /// The time then, in nanoseconds since boot: `system_time`.
    pub time: u64,
    /// How long a tick is.
    pub scale: Scale,
}

impl Clock {
    /// The time when the counter is there. What was read before the clock's moment, on another
    /// processor, is that moment.
    pub fn at(&self, counter: u64) -> u64 {
        let passed = counter.wrapping_sub(self.counter);
        let passed = if passed > i64::MAX as u64 { 0 } else { passed };
        self.time.wrapping_add(self.scale.nanoseconds(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_scales() {
        let scale = |hertz| Scale::from_frequency(hertz);
        assert_eq!(scale(0), None);
        assert_eq!(scale(SECOND), Some(Scale { mul: 1 << 31, shift: 1 }));
        assert_eq!(scale(3 * SECOND), Some(Scale { mul: 2_863_311_530, shift: -1 }));
        assert_eq!(scale(2 * SECOND), Some(Scale { mul: 1 << 31, shift: 0 }));
    }

    #[test]
    fn processors_that_are_behind_see_no_earlier_time() {
        let scale = Scale::from_frequency(2 * SECOND).unwrap();
        let clock = Clock { counter: 1000, time: 500, scale };
        assert_eq!((clock.at(1000), clock.at(1002), clock.at(990)), (500, 501, 500));
    }

    /// From the PM timer's frequency to what no processor reaches.
    fn frequencies() -> impl Strategy<Value = u64> {
        3_579_545_u64..20 * SECOND
    }

    proptest! {
        /// The factor uses all its bits.
        #[test]
        fn precision_is_kept(hertz in 1_u64..1 << 62) {
            let scale = Scale::from_frequency(hertz).unwrap();
            prop_assert!(scale.mul >= 1 << 31, "{scale:?}");
        }

        /// A year's ticks are as long as exact arithmetic says, to one part in 2^31 and what the
        /// shift to the right loses.
        #[test]
        fn scales_are_exact(hertz in frequencies(), ticks in 0_u64..1 << 58) {
            let scale = Scale::from_frequency(hertz).unwrap();
            let exact = u128::from(ticks) * u128::from(SECOND) / u128::from(hertz);
            prop_assume!(exact < 1 << 55);
            let got = u128::from(scale.nanoseconds(ticks));
            let lost = 2 + (1_u128 << -i32::from(scale.shift).min(0)) * u128::from(SECOND)
                / u128::from(hertz);
            prop_assert!(got <= exact, "{got} > {exact}");
            prop_assert!(exact - got <= (exact >> 31) + lost, "{got} {exact} {scale:?}");
        }

        /// Time does not go back.
        #[test]
        fn time_passes(hertz in frequencies(), a in 0_u64..1 << 50, b in 0_u64..1 << 50) {
            let scale = Scale::from_frequency(hertz).unwrap();
            let clock = Clock { counter: 7, time: 9, scale };
            prop_assert!(clock.at(a.min(b)) <= clock.at(a.max(b)));
        }

        /// There and back again is at most a tick and a nanosecond less.
        #[test]
        fn ticks_are_the_inverse(hertz in frequencies(), time in 0_u64..1 << 50) {
            let scale = Scale::from_frequency(hertz).unwrap();
            let back = scale.nanoseconds(ticks(hertz, time));
            let tick = SECOND / hertz + 1;
            prop_assert!(back <= time && time - back <= (time >> 31) + 2 * tick + 2);
        }
    }
}
