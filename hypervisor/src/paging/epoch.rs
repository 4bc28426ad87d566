//! Counting complete TLB flushes, so that frames tell whether a processor may remember what they
//! were used as.

use core::sync::atomic::{AtomicU64, Ordering};

/// How far some processors are with forgetting all that they remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    /// Flushes that began.
    begun: u64,
    /// The latest that ended.
    ended: u64,
}

impl Epoch {
    /// Of a number, the bits that are kept.
    const KEPT: u64 = 15;

    /// What is kept of a use that ends now: only a flush that begins later forgets it.
    pub fn mark(self) -> u64 {
        self.begun & Self::KEPT
    }

    /// The first flush that forgets what ends now.
    pub fn needed(self) -> u64 {
        self.begun + 1
    }

    /// Whether that flush, or a later one, has ended.
    pub fn has_ended(self, needed: u64) -> bool {
        self.ended >= needed
    }

    /// Whether what ended at a mark may still be remembered. That few bits are kept costs a flush
    /// that isn't needed now and then, and never one that is.
    pub fn remembers(self, mark: u64) -> bool {
        // Flushes under way are fewer than half of what the bits count.
        mark.wrapping_sub(self.ended) & Self::KEPT <= Self::KEPT / 2
    }
}

/// Complete TLB flushes of some processors.
#[derive(Debug, Default)]
pub struct Flushes {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Flushes {
    /// None so far.
    pub const fn new() -> Self {
        Self { begun: AtomicU64::new(0), ended: AtomicU64::new(0) }
    }

    /// How far they are.
    pub fn epoch(&self) -> Epoch {
        let ended = self.ended.load(Ordering::Acquire);
        Epoch { begun: self.begun.load(Ordering::Acquire), ended }
    }

    /// Counts what has the processors forget.
    pub fn during(&self, flush: impl FnOnce()) {
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        flush();
        self.ended.fetch_max(number, Ordering::AcqRel);
    }
}

/// Who may remember a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epochs {
    /// The processors that its owner runs on.
    pub owner: Epoch,
    /// All processors.
    pub all: Epoch,
}

/// Whose translations are to be forgotten before a frame is used otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Nobody's.
    Nobody,
    /// Its owner's.
    Owner,
    /// Anybody's: another domain could write to it.
    Anybody,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_that_began_later_forgets() {
        let flushes = Flushes::new();
        for _ in 0..40 {
            let before = flushes.epoch().mark();
            assert!(flushes.epoch().remembers(before));
            let mut during = 0;
            flushes.during(|| {
                during = flushes.epoch().mark();
                assert!(flushes.epoch().remembers(before));
                assert!(flushes.epoch().remembers(during));
            });
            assert!(!flushes.epoch().remembers(before));
            assert!(flushes.epoch().remembers(during), "it had begun before");
        }
    }

    #[test]
    fn a_flush_within_another_counts() {
        let flushes = Flushes::new();
        let mark = flushes.epoch().mark();
        flushes.during(|| {
            flushes.during(|| assert!(flushes.epoch().remembers(mark)));
            assert!(!flushes.epoch().remembers(mark));
        });
        assert!(!flushes.epoch().remembers(mark));
    }
}
