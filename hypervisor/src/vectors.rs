//! Interrupt vectors: which have a fixed use, and which are given to devices.

/// What the 8259s are moved to: masked for good, they still report noise as their interrupt 7.
pub const LEGACY: core::ops::Range<u8> = 0x20..0x30;
/// Devices' vectors; what is higher goes first (Intel SDM, volume 3, section 11.8.3).
pub const DEVICES: core::ops::Range<u8> = 0x30..0xf0;
/// Guests enter by these with `int`: system calls of 32 bits, and hypercalls of 32 bits.
pub const OF_GUESTS: [u8; 2] = [0x80, 0x82];
/// The local timer.
pub const TIMER: u8 = 0xf8;
/// Another processor wants something done.
pub const CALL: u8 = 0xfb;
/// The local APIC reports an error.
pub const ERROR: u8 = 0xfe;
/// An interrupt that was withdrawn; the only one that wants no end.
pub const SPURIOUS: u8 = 0xff;

/// Which of the devices' vectors are in use, on all processors alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vectors {
    used: [u64; 4],
    /// Where the search goes on, so that a vector rests before it is used again.
    next: u8,
}

impl Default for Vectors {
    fn default() -> Self {
        Self::new()
    }
}

impl Vectors {
    /// None is in use.
    pub const fn new() -> Self {
        Self { used: [0; 4], next: DEVICES.start }
    }

    /// Whether a vector is in use.
    pub fn is_used(&self, vector: u8) -> bool {
        self.used[usize::from(vector / 64)] >> (vector % 64) & 1 != 0
    }

    /// Takes a vector that nobody uses.
    pub fn take(&mut self) -> Option<u8> {
        let order = (self.next..DEVICES.end).chain(DEVICES.start..self.next);
        let vector =
            { order }.find(|vector| !OF_GUESTS.contains(vector) && !self.is_used(*vector))?;
        self.used[usize::from(vector / 64)] |= 1 << (vector % 64);
        self.next = if vector + 1 < DEVICES.end { vector + 1 } else { DEVICES.start };
        Some(vector)
    }

    /// Gives a vector back.
    pub fn give(&mut self, vector: u8) {
        self.used[usize::from(vector / 64)] &= !(1 << (vector % 64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_are_given_once() {
        let mut vectors = Vectors::new();
        let given: BTreeSet<u8> = core::iter::from_fn(|| vectors.take()).collect();
        let expected = DEVICES.filter(|vector| !OF_GUESTS.contains(vector)).collect();
        assert_eq!(given, expected);
        vectors.give(0x47);
        assert_eq!((vectors.take(), vectors.take()), (Some(0x47), None));
    }

    proptest! {
        /// No vector has two users, whoever takes and gives.
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec(any::<Option<u8>>(), 0..400)) {
            let (mut vectors, mut model) = (Vectors::new(), BTreeSet::new());
            for step in steps {
                match step {
                    None => prop_assert!(vectors.take().is_none_or(|vector| model.insert(vector))),
                    Some(vector) => {
                        vectors.give(vector);
                        model.remove(&vector);
                    }
                }
                prop_assert!(model.iter().all(|vector| vectors.is_used(*vector)));
            }
        }
    }
}
