//! Frames for tests: words without memory.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::counts::{Count, Counts};
use super::page::Page;
use super::word::Word;

/// Some frames, and room for all counts they can have.
pub struct Frames {
    words: Vec<Word>,
    counts: Counts,
}

impl Frames {
    /// So many, all free.
    pub fn new(count: u64) -> Self {
        let words: Vec<Word> = (0..count).map(|_| Word::free()).collect();
        let entries = vec![Count::default(); Counts::entries_for(count)];
        let counts = Counts::new(words.as_ptr(), Box::leak(entries.into_boxed_slice()));
        Self { words, counts }
    }

    pub fn page(&self, mfn: u64) -> Option<Page<'_>> {
        let word = self.words.get(mfn as usize)?;
        Some(Page::new(word, &self.counts))
    }

    pub fn all(&self) -> Vec<Page<'_>> {
        (0..self.words.len() as u64).filter_map(|mfn| self.page(mfn)).collect()
    }
}
