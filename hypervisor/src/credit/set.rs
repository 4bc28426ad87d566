//! A set of processors.

/// Processors by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set(pub u64);

impl Set {
    /// The most processors.
    pub const SIZE: usize = 64;
    /// Every processor.
    pub const ALL: Self = Self(!0);

    /// Whether a processor is in it.
    pub fn has(self, processor: usize) -> bool {
        processor < Self::SIZE && self.0 & 1 << processor != 0
    }

    /// Puts a processor in, or takes it out.
    pub fn set(&mut self, processor: usize, is_in: bool) {
        let bit = 1 << processor;
        self.0 = if is_in { self.0 | bit } else { self.0 & !bit };
    }

    /// The first processor in it.
    pub fn first(self) -> Option<usize> {
        (self.0 != 0).then_some(self.0.trailing_zeros() as usize)
    }

    /// The processors in it, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self;
        core::iter::from_fn(move || {
            let first = rest.first()?;
            rest.set(first, false);
            Some(first)
        })
    }

    /// The processors that are in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether none is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(processors: I) -> Self {
        Self(processors.into_iter().fold(0, |set, processor| set | 1 << processor))
    }
}
