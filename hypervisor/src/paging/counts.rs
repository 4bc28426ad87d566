//! Counts that are too large for a frame's word, in a table of the few frames that have one.
//!
//! A program that maps one frame over and over needs page tables to do so. The table has room for
//! all frames that could be mapped so often if all of memory were page tables, so that what a
//! program does never fails for want of it.

use spin::Mutex;

use super::word::Word;

/// A count that a frame's word has no room for, and all above it. In tests nearly all are.
pub const MANY: u32 = if cfg!(test) { 3 } else { 0x7fff };

/// Entries of a page table.
const ENTRIES: u64 = 512;
/// Room for frames whose references are not all entries of page tables: grants, for one.
const OTHERS: u64 = 64;

/// How often a frame is referred to, and used as what it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    frame: u32,
    references: u32,
    uses: u32,
}

impl Count {
    fn is_nothing(self) -> bool {
        (self.references, self.uses) == (0, 0)
    }
}

/// There is no room for another frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The large counts of all frames.
pub struct Counts {
    /// The address of the first frame's word; the others follow.
    first: usize,
    table: Mutex<Table>,
}

impl Counts {
    /// How many entries it needs for so many frames.
    pub const fn entries_for(frames: u64) -> usize {
        (frames * ENTRIES / MANY as u64 + OTHERS) as usize
    }

    /// No counts, of frames whose words are in a row from the first on. They will be in `entries`.
    pub fn new(first: *const Word, entries: &'static mut [Count]) -> Self {
        entries.fill(Count::default());
        Self { first: first.addr(), table: Mutex::new(Table(entries)) }
    }

    fn frame(&self, word: &Word) -> u32 {
        (((&raw const *word).addr() - self.first) / size_of::<Word>()) as u32
    }

    /// A frame's references and uses, which are here.
    #[cold]
    pub fn get(&self, word: &Word) -> (u32, u32) {
        let (frame, table) = (self.frame(word), self.table.lock());
        table.find(frame).map_or((0, 0), |place| (table.0[place].references, table.0[place].uses))
    }

    /// Keeps a frame's references and uses here, unless both are few.
    ///
    /// # Errors
    ///
    /// If the frame has none here yet and there is no room.
    #[cold]
    pub fn set(&self, word: &Word, references: u32, uses: u32) -> Result<(), Full> {
        let (frame, mut table) = (self.frame(word), self.table.lock());
        if references.max(uses) < MANY {
            table.remove(frame);
            return Ok(());
        }
        let place = table.find(frame).ok_or(Full)?;
        table.0[place] = Count { frame, references, uses };
        Ok(())
    }
}

/// Each frame is at its place or behind it, with nothing empty in between.
struct Table(&'static mut [Count]);

impl Table {
    fn next(&self, place: usize) -> usize {
        if place + 1 == self.0.len() { 0 } else { place + 1 }
    }

    /// Where a frame is if nothing else is there (Fibonacci hashing; Knuth, volume 3, section 6.4).
    fn place(&self, frame: u32) -> usize {
        let spread = u64::from(frame.wrapping_mul(0x9e37_79b9));
        ((spread * self.0.len() as u64) >> 32) as usize
    }

    /// Where a frame is, or may be put.
    fn find(&self, frame: u32) -> Option<usize> {
        let mut place = self.place(frame);
        for _ in 0..self.0.len() {
            if self.0[place].is_nothing() || self.0[place].frame == frame {
                return Some(place);
            }
            place = self.next(place);
        }
        None
    }

    fn remove(&mut self, frame: u32) {
        let Some(mut hole) = self.find(frame) else { return };
        self.0[hole] = Count::default();
        let mut place = self.next(hole);
        while !self.0[place].is_nothing() {
            // What could be found from the hole on moves there.
            let home = self.place(self.0[place].frame);
            let is_between = match hole < place {
                true => (hole + 1..=place).contains(&home),
                false => home > hole || home <= place,
            };
            if !is_between {
                self.0[hole] = core::mem::take(&mut self.0[place]);
                hole = place;
            }
            place = self.next(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::collections::BTreeMap;
    use std::vec;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map_until_it_is_full(
            size in 1_usize..12,
            acts in prop::collection::vec((0_usize..40, 0..2 * MANY, 0..2 * MANY), 1..200),
        ) {
            let entries = Box::leak(vec![Count::default(); size].into_boxed_slice());
            let words = [const { Word::free() }; 40];
            let (counts, mut map) = (Counts::new(words.as_ptr(), entries), BTreeMap::new());
            for (frame, references, uses) in acts {
                let are_few = references.max(uses) < MANY;
                let is_possible = are_few || map.contains_key(&frame) || map.len() < size;
                let expected = if is_possible { Ok(()) } else { Err(Full) };
                prop_assert_eq!(counts.set(&words[frame], references, uses), expected);
                if are_few {
                    map.remove(&frame);
                } else if is_possible {
                    map.insert(frame, (references, uses));
                }
                for (frame, word) in words.iter().enumerate() {
                    let expected = map.get(&frame).copied().unwrap_or_default();
                    prop_assert_eq!(counts.get(word), expected, "{}", frame);
                }
            }
        }
    }
}
