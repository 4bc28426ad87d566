//! Output that no terminal has taken yet, the oldest forgotten first.

use std::collections::VecDeque;

/// The most recent bytes, up to a limit.
#[derive(Debug)]
pub struct Backlog {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl Backlog {
    /// An empty one that keeps `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit }
    }

    /// Adds bytes; forgets the oldest beyond the limit.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(&bytes[bytes.len().saturating_sub(self.limit)..]);
        let excess = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..excess);
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The oldest bytes, as many as lie together.
    pub fn front(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// Removes the oldest `count` bytes, which have gone out.
    pub fn consume(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_the_most_recent_bytes(
            limit in 0_usize..100,
            steps in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..80), 0_usize..40), 0..20),
        ) {
            let mut backlog = Backlog::new(limit);
            let mut model: Vec<u8> = Vec::new();
            for (bytes, taken) in steps {
                backlog.push(&bytes);
                model.extend(&bytes);
                model.drain(..model.len().saturating_sub(limit));
                let front = backlog.front().to_owned();
                prop_assert!(model.starts_with(&front));
                prop_assert_eq!(front.is_empty(), model.is_empty());
                let taken = taken.min(front.len());
                backlog.consume(taken);
                model.drain(..taken);
            }
        }
    }
}
