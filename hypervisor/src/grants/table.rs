//! A domain's grant table: its frames, and how often each entry is used.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use xen::abi::DomId;
use xen::abi::grant::{READING, WRITING};

use super::entry::{Access, EntryV1, EntryV2, Refused, What};

/// Words in a frame.
const WORDS: usize = 512;
/// Marks in a frame of them, and in a word.
const MARKS: usize = 2048;
const MARKS_PER_WORD: usize = 4;
/// Entries at the start that the toolstack fills in, and that outlive a change of the layout
/// (GNTTAB_NR_RESERVED_ENTRIES).
const RESERVED: usize = 8;

/// Frames that the hypervisor shares with the granter.
pub trait Memory {
    /// Takes a frame of zeros.
    fn take(&self) -> Option<u64>;
    /// Gives one back.
    fn give(&self, frame: u64);
    /// A word of one, which the granter changes at any moment.
    fn word(&self, frame: u64, index: usize) -> &AtomicU64;
}

/// How often an entry is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Uses {
    readers: u32,
    writers: u32,
}

/// Why a table can't be as somebody wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableError {
    /// Larger than the domain may have.
    TooLarge,
    /// Memory ran out.
    NoMemory,
    /// There is no such layout, or not for this domain.
    NoSuchVersion,
    /// Entries are in use.
    InUse,
    /// There is no such entry.
    NoEntry,
}

/// A grant table.
pub struct Table<M: Memory> {
    memory: M,
    version: u32,
    /// The highest layout that the domain may have.
    versions: u32,
    frames: Vec<u64>,
    /// Frames of marks; the first layout needs none.
    status: Vec<u64>,
    uses: Vec<Uses>,
    /// The most frames.
    limit: usize,
}

impl<M: Memory> Table<M> {
    /// An empty table of the first layout, which may grow to `limit` frames.
    pub fn new(memory: M, limit: usize, versions: u32) -> Self {
        let (frames, status, uses) = (Vec::new(), Vec::new(), Vec::new());
        Self { memory, version: 1, versions, frames, status, uses, limit }
    }

    /// The layout, 1 or 2.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The frames of entries.
    pub fn frames(&self) -> &[u64] {
        &self.frames
    }

    /// The frames of marks.
    pub fn status_frames(&self) -> &[u64] {
        &self.status
    }

    /// The most frames that it may have.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Words that an entry takes.
    fn words_per_entry(&self) -> usize {
        self.version as usize
    }

    /// How many entries so many frames have.
    fn entries(&self, frames: usize) -> usize {
        frames * WORDS / self.words_per_entry()
    }

    /// Makes it at least so many frames large.
    pub fn grow(&mut self, frames: usize) -> Result<(), TableError> {
        if frames > self.limit {
            return Err(TableError::TooLarge);
        }
        let entries = self.entries(frames.max(self.frames.len()));
        let more = entries - self.uses.len();
        self.uses.try_reserve(more).map_err(|_| TableError::NoMemory)?;
        if self.version == 2 {
            add(&self.memory, &mut self.status, entries.div_ceil(MARKS))?;
        }
        add(&self.memory, &mut self.frames, frames)?;
        self.uses.resize(entries, Uses::default());
        Ok(())
    }

    /// A word of an entry.
    fn word(&self, entry: usize, word: usize) -> &AtomicU64 {
        let at = entry * self.words_per_entry() + word;
        self.memory.word(self.frames[at / WORDS], at % WORDS)
    }

    fn v1(&self, entry: usize) -> EntryV1<'_> {
        EntryV1(self.word(entry, 0))
    }

    fn v2(&self, entry: usize) -> EntryV2<'_> {
        let (frame, at) = (self.status[entry / MARKS], entry % MARKS);
        let word = self.memory.word(frame, at / MARKS_PER_WORD);
        let status = (word, 16 * (at % MARKS_PER_WORD) as u32);
        EntryV2 { words: [self.word(entry, 0), self.word(entry, 1)], status }
    }

    /// Counts a use of an entry by that domain, and says what it gives.
    pub fn acquire(&mut self, reference: u32, who: DomId, access: Access) -> Result<What, Refused> {
        let entry = reference as usize;
        let Uses { readers, writers } = *self.uses.get(entry).ok_or(Refused::NoEntry)?;
        let readers = readers.checked_add(1).ok_or(Refused::TooOften)?;
        let writers = writers.checked_add(access.is_write.into()).ok_or(Refused::TooOften)?;
        let what = match self.version {
            1 => self.v1(entry).mark(who, access),
            _ => self.v2(entry).mark(who, access),
        };
        match what {
            Ok(_) => self.uses[entry] = Uses { readers, writers },
            Err(_) => self.clear_marks(entry),
        }
        what
    }

    /// Ends a use.
    pub fn release(&mut self, reference: u32, is_write: bool) {
        let Some(uses) = self.uses.get_mut(reference as usize) else { return };
        uses.readers = uses.readers.saturating_sub(1);
        uses.writers = uses.writers.saturating_sub(is_write.into());
        self.clear_marks(reference as usize);
    }

    /// Takes the marks away that no use stands for.
    fn clear_marks(&self, entry: usize) {
        let marks = match self.uses[entry] {
            Uses { readers: 0, .. } => READING | WRITING,
            Uses { writers: 0, .. } => WRITING,
            _ => return,
        };
        match self.version {
            1 => self.v1(entry).clear(marks),
            _ => self.v2(entry).clear(marks),
        }
    }

    /// Whether any entry is used.
    fn is_used(&self) -> bool {
        self.uses.iter().any(|uses| *uses != Uses::default())
    }

    /// Changes the layout. All entries but the reserved ones are emptied.
    pub fn set_version(&mut self, version: u32) -> Result<(), TableError> {
        if version == 0 || version > self.versions.min(2) {
            return Err(TableError::NoSuchVersion);
        }
        if version == self.version {
            return Ok(());
        }
        if self.is_used() {
            return Err(TableError::InUse);
        }
        self.grow(1)?;
        // All that may fail comes first.
        let entries = self.frames.len() * WORDS / version as usize;
        let more = entries.saturating_sub(self.uses.len());
        self.uses.try_reserve(more).map_err(|_| TableError::NoMemory)?;
        if version == 2 {
            add(&self.memory, &mut self.status, entries.div_ceil(MARKS))?;
        }
        let kept: [u64; RESERVED] = core::array::from_fn(|entry| self.packed(entry));
        for frame in &self.frames {
            (0..WORDS).for_each(|at| self.memory.word(*frame, at).store(0, Ordering::Release));
        }
        if version == 1 {
            self.status.drain(..).for_each(|frame| self.memory.give(frame));
        }
        self.version = version;
        self.uses.resize(entries, Uses::default());
        for (entry, word) in kept.into_iter().enumerate() {
            self.unpack(entry, word);
        }
        Ok(())
    }

    /// A reserved entry as the first layout has it; what that can't say is nothing.
    fn packed(&self, entry: usize) -> u64 {
        let first = self.word(entry, 0).load(Ordering::Acquire);
        if self.version == 1 {
            return first;
        }
        let frame = self.word(entry, 1).load(Ordering::Acquire);
        if frame >> 32 == 0 { first & 0xffff_ffff | frame << 32 } else { 0 }
    }

    fn unpack(&self, entry: usize, packed: u64) {
        match self.version {
            1 => self.word(entry, 0).store(packed, Ordering::Release),
            _ => {
                self.word(entry, 1).store(packed >> 32, Ordering::Release);
                self.word(entry, 0).store(packed & 0xffff_ffff, Ordering::Release);
            }
        }
    }

    /// Exchanges two entries, neither of which is in use.
    pub fn swap(&mut self, a: u32, b: u32) -> Result<(), TableError> {
        for reference in [a, b] {
            match self.uses.get(reference as usize) {
                None => return Err(TableError::NoEntry),
                Some(uses) if *uses != Uses::default() => return Err(TableError::InUse),
                Some(_) => (),
            }
        }
        for word in 0..self.words_per_entry() {
            let (first, second) = (self.word(a as usize, word), self.word(b as usize, word));
            let old = second.load(Ordering::Acquire);
            second.store(first.swap(old, Ordering::AcqRel), Ordering::Release);
        }
        Ok(())
    }
}

impl<M: Memory> Drop for Table<M> {
    fn drop(&mut self) {
        let all = self.frames.iter().chain(&self.status);
        all.for_each(|frame| self.memory.give(*frame));
    }
}

/// Takes frames until there are so many.
fn add<M: Memory>(memory: &M, frames: &mut Vec<u64>, count: usize) -> Result<(), TableError> {
    frames.try_reserve(count.saturating_sub(frames.len())).map_err(|_| TableError::NoMemory)?;
    while frames.len() < count {
        frames.push(memory.take().ok_or(TableError::NoMemory)?);
    }
    Ok(())
}
