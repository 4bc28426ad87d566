//! Which frames are free: a bit a frame, over memory that the caller provides.

/// Frames in one word.
const WORD: u64 = 64;

/// Free frames, 1 a bit.
#[derive(Debug)]
pub struct Bitmap<'a> {
    words: &'a mut [u64],
    free: u64,
    /// Below this word nothing is free.
    hint: usize,
}

impl<'a> Bitmap<'a> {
    /// How many words a bitmap for `frames` frames needs.
    pub fn words_for(frames: u64) -> usize {
        frames.div_ceil(WORD) as usize
    }

    /// A bitmap in which nothing is free.
    pub fn new(words: &'a mut [u64]) -> Self {
        words.fill(0);
        Self { words, free: 0, hint: 0 }
    }

    /// How many frames are free.
    pub fn free(&self) -> u64 {
        self.free
    }

    fn is_free(&self, frame: u64) -> bool {
        self.words[(frame / WORD) as usize] & 1 << (frame % WORD) != 0
    }

    /// Makes a frame free, which it was not.
    pub fn give(&mut self, frame: u64) {
        debug_assert!(!self.is_free(frame));
        let word = (frame / WORD) as usize;
        self.words[word] |= 1 << (frame % WORD);
        self.free += 1;
        self.hint = self.hint.min(word);
    }

    /// Takes the lowest free frame.
    pub fn take(&mut self) -> Option<u64> {
        let found = self.words[self.hint..].iter().position(|word| *word != 0);
        let Some(ahead) = found else {
            self.hint = self.words.len();
            return None;
        };
        self.hint += ahead;
        let bit = self.words[self.hint].trailing_zeros();
        self.words[self.hint] &= !(1 << bit);
        self.free -= 1;
        Some(self.hint as u64 * WORD + u64::from(bit))
    }

    /// Takes the lowest `count` frames in a row whose first is a multiple of `align`, a power of 2.
    pub fn take_run(&mut self, count: u64, align: u64) -> Option<u64> {
        if count == 1 && align == 1 {
            return self.take();
        }
        let end = self.words.len() as u64 * WORD;
        let mut start = (self.hint as u64 * WORD).next_multiple_of(align);
        while start.checked_add(count)? <= end {
            if let Some(taken) = (start..start + count).find(|frame| !self.is_free(*frame)) {
                // A word of taken frames is passed at once.
                let is_empty = self.words[(taken / WORD) as usize] == 0;
                let next = if is_empty { (taken / WORD + 1) * WORD } else { taken + 1 };
                start = next.next_multiple_of(align);
                continue;
            }
            for frame in start..start + count {
                self.words[(frame / WORD) as usize] &= !(1 << (frame % WORD));
            }
            self.free -= count;
            return Some(start);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec;
    use std::vec::Vec;

    const FRAMES: u64 = 1000;

    proptest! {
        #[test]
        fn as_a_set_does_it(acts in prop::collection::vec((0..3, prop_oneof![Just(1_u64), 1_u64..40], 0_u32..7, any::<prop::sample::Index>()), 0..200)) {
            let mut words = vec![u64::MAX; Bitmap::words_for(FRAMES)];
            let mut bitmap = Bitmap::new(&mut words);
            let mut free: BTreeSet<u64> = (7..FRAMES - 3).collect();
            free.iter().for_each(|frame| bitmap.give(*frame));
            let mut taken: Vec<u64> = Vec::new();
            for (kind, count, align, at) in acts {
                match kind {
                    0 => {
                        let frame = bitmap.take();
                        prop_assert_eq!(frame, free.pop_first());
                        taken.extend(frame);
                    }
                    1 => {
                        let align = 1 << align;
                        let fits = |start: &u64| (*start..start + count).all(|frame| free.contains(&frame));
                        let first = (0..FRAMES).step_by(align as usize).find(fits);
                        prop_assert_eq!(bitmap.take_run(count, align), first);
                        let run = first.map_or(0..0, |first| first..first + count);
                        run.clone().for_each(|frame| { free.remove(&frame); });
                        taken.extend(run);
                    }
                    _ if taken.is_empty() => (),
                    _ => {
                        let frame = taken.swap_remove(at.index(taken.len()));
                        bitmap.give(frame);
                        free.insert(frame);
                    }
                }
                prop_assert_eq!(bitmap.free(), free.len() as u64);
            }
        }
    }
}
