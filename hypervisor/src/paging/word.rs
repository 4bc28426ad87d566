//! What is kept of a frame: six bytes, which are read and changed as one under a lock that is one of
//! their bits. Six, because this and the machine-to-physical table are nearly all the memory that the
//! hypervisor keeps.
//!
//! ```text
//! head        owner 15..8, use 7..5, marks 4..1, lock 0
//! uses        less than 16: none, and the mark of the last one's end; else 15 more than there are
//! references  another mark 15, how many there are 14..0; MANY: they are in the table of large counts
//! ```

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU16, Ordering};

use super::counts::{Counts, Full, MANY};
use super::page::{Owner, Use};

const LOCK: u16 = 1 << 0;
/// The contents were checked and the frame may be used as its use says.
pub const VALID: u32 = 1 << 1;
/// The owner asked for the use to stay when nothing else uses it so.
pub const PINNED: u32 = 1 << 2;
/// The frame is the hypervisor's, shared with a domain: it is never freed.
pub const SHARED: u32 = 1 << 3;
/// The frame is a table that another of its level refers to, or did: shared frames are none.
pub const LINEAR: u32 = SHARED;
/// The domain holds the frame: one reference is the allocation's own.
pub const ALLOCATED: u32 = 1 << 4;
const USE: u32 = 5;
const OWNER: u32 = 8;
/// The bits that say what it may be used as.
const AS: u32 = 7 << USE | VALID;
/// Another domain may write to it, or remembers that it could.
pub const FOREIGN_WRITER: u32 = 1 << 16;

/// The bit of `references` that is [`FOREIGN_WRITER`].
const FOREIGN_WRITER_THERE: u16 = 1 << 15;
/// Marks of the end of the last use.
const MARKS: u16 = 16;

/// A frame's six bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Word {
    head: AtomicU16,
    uses: AtomicU16,
    references: AtomicU16,
}

const _: () = assert!(size_of::<Word>() == 6);

/// What the bytes say.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Marks, use and owner.
    bits: u32,
    /// How many references there are.
    pub references: u32,
    /// How often it is used as what it is.
    pub uses: u32,
    /// If it isn't: when that ended, in four bits.
    pub mark: u8,
}

impl State {
    /// A frame of that domain that has these marks and one reference, and is not used.
    pub fn new(owner: Owner, marks: u32) -> Self {
        Self { bits: u32::from(owner) << OWNER | marks, references: 1, uses: 0, mark: 0 }
    }

    /// Who owns it, or did when it was last freed.
    pub fn owner(&self) -> Owner {
        (self.bits >> OWNER) as Owner
    }

    /// What it is or was last used as.
    pub fn kind(&self) -> Use {
        Use::from_bits(self.bits >> USE)
    }

    /// Sets what it is used as.
    pub fn set_kind(&mut self, kind: Use) {
        self.bits = self.bits & !(7 << USE) | (kind as u32) << USE;
    }

    /// Whether all of these marks are set.
    pub fn has(&self, marks: u32) -> bool {
        self.bits & marks == marks
    }

    /// Sets marks.
    pub fn set(&mut self, marks: u32) {
        self.bits |= marks;
    }

    /// Takes marks away.
    pub fn unset(&mut self, marks: u32) {
        self.bits &= !marks;
    }

    /// Whether it is the hypervisor's, shared with its owner: data for good.
    pub fn is_shared(&self) -> bool {
        self.has(SHARED) && self.kind() == Use::Writable
    }

    /// Whether it is used as that, and may be. Data that is not used any more is still data.
    pub fn is_as(&self, used: Use) -> bool {
        self.bits & AS == (used as u32) << USE | VALID
    }

    /// What it is that domain's table of, if it is one that was checked.
    pub fn table_of(&self, owner: Owner) -> Option<Use> {
        let kind = self.kind();
        let is_table = kind.level().is_some() && self.has(VALID) && self.owner() == owner;
        is_table.then_some(kind)
    }

    /// As [`Self::is_as`], by that domain.
    pub fn is_as_of(&self, used: Use, owner: Owner) -> bool {
        self.bits & (0xff << OWNER | AS) == u32::from(owner) << OWNER | (used as u32) << USE | VALID
    }
}

/// A word whose counts are to change by one.
pub struct Few {
    head: u16,
    uses: u16,
    references: u16,
}

impl Few {
    fn bits(&self, mask: u32) -> u32 {
        u32::from(self.head) & mask
    }

    /// Who owns it, or did when it was last freed.
    pub fn owner(&self) -> Owner {
        (self.head >> OWNER) as Owner
    }

    /// As [`State::is_as`].
    pub fn is_as(&self, used: Use) -> bool {
        self.bits(AS) == (used as u32) << USE | VALID
    }

    /// One reference more; false if there were none, or that makes many.
    pub fn refer(&mut self) -> bool {
        let there = u32::from(self.references & !FOREIGN_WRITER_THERE);
        self.references = self.references.wrapping_add(1);
        there != 0 && there < MANY - 1
    }

    /// One reference less; false if there were many, or none is left.
    pub fn drop_reference(&mut self) -> bool {
        let there = u32::from(self.references & !FOREIGN_WRITER_THERE);
        self.references = self.references.wrapping_sub(1);
        there > 1 && there < MANY
    }

    /// One use more; false if that makes many.
    pub fn add_use(&mut self) -> bool {
        self.uses = self.uses.max(MARKS - 1) + 1;
        self.uses < MANY as u16 + MARKS - 1
    }

    /// One use less, of one or more. When the last ends, `mark` gives its mark, if it may end so.
    pub fn drop_use(&mut self, mark: impl FnOnce(&Self) -> Option<u8>) -> bool {
        if self.uses != MARKS {
            self.uses = self.uses.wrapping_sub(1);
            return self.uses >= MARKS && self.uses != u16::MAX;
        }
        let mark = mark(self);
        self.uses = mark.unwrap_or(0).into();
        mark.is_some()
    }

    /// Whether the mark [`FOREIGN_WRITER`] is set.
    pub fn has_foreign_writer(&self) -> bool {
        self.references & FOREIGN_WRITER_THERE != 0
    }
}

impl Word {
    /// A frame that nobody owns.
    pub const fn free() -> Self {
        let [head, uses, references] = [const { AtomicU16::new(0) }; 3];
        Self { head, uses, references }
    }

    /// Waits for whoever changes it just now, which never takes long.
    #[inline]
    fn lock(&self) {
        while self.head.fetch_or(LOCK, Ordering::Acquire) & LOCK != 0 {
            while self.head.load(Ordering::Relaxed) & LOCK != 0 {
                spin_loop();
            }
        }
    }

    #[inline]
    fn load(&self, counts: &Counts) -> State {
        let head = self.head.load(Ordering::Relaxed) & !LOCK;
        let uses = self.uses.load(Ordering::Relaxed);
        let there = self.references.load(Ordering::Relaxed);
        let foreign_writer = u32::from(there & FOREIGN_WRITER_THERE) << 1;
        let mut state = State {
            bits: u32::from(head) | foreign_writer,
            references: u32::from(there & !FOREIGN_WRITER_THERE),
            uses: u32::from(uses.saturating_sub(MARKS - 1)),
            mark: (uses % MARKS) as u8,
        };
        if state.references == MANY {
            (state.references, state.uses) = counts.get(self);
        }
        state
    }

    /// Changes it, if `change` succeeds and its counts can be kept.
    ///
    /// # Errors
    ///
    /// Those of `change`; [`Full`] if a count became too large for the word and there is no room for
    /// another large one.
    #[inline]
    pub fn update<T, E: From<Full>>(
        &self,
        counts: &Counts,
        change: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        self.lock();
        let before = self.load(counts);
        let mut after = before;
        let done = change(&mut after).and_then(|done| {
            self.store(&before, &after, counts)?;
            Ok(done)
        });
        let head = if done.is_ok() { after.bits } else { before.bits };
        self.head.store(head as u16, Ordering::Release);
        done
    }

    /// As [`Self::update`], where counts are small before and after, and nothing else changes: what is
    /// done with nearly every entry of a page table. False if it is no such case, or not to be done.
    #[inline]
    pub fn recount(&self, change: impl FnOnce(&mut Few) -> bool) -> bool {
        self.lock();
        let head = self.head.load(Ordering::Relaxed);
        let mut few = Few {
            head,
            uses: self.uses.load(Ordering::Relaxed),
            references: self.references.load(Ordering::Relaxed),
        };
        let is_done = change(&mut few);
        if is_done {
            self.uses.store(few.uses, Ordering::Relaxed);
            self.references.store(few.references, Ordering::Release);
        }
        self.head.store(head & !LOCK, Ordering::Release);
        is_done
    }

    /// Changes marks of the head; gives what it was. Nothing is counted.
    #[inline]
    pub fn remark(&self, change: impl FnOnce(&mut State)) -> State {
        self.lock();
        let before = self.head();
        let mut after = before;
        change(&mut after);
        self.head.store(after.bits as u16, Ordering::Release);
        before
    }

    /// Makes a free frame one of that domain that has these marks and one reference.
    pub fn begin(&self, owner: Owner, marks: u32) {
        self.lock();
        self.uses.store(0, Ordering::Relaxed);
        self.references.store(1, Ordering::Relaxed);
        self.head.store(State::new(owner, marks).bits as u16, Ordering::Release);
    }

    /// All but the head.
    #[inline]
    fn store(&self, before: &State, after: &State, counts: &Counts) -> Result<(), Full> {
        let is_many = |state: &State| state.references.max(state.uses) >= MANY;
        let (mut references, mut uses) = (after.references as u16, after.uses as u16);
        if is_many(before) || is_many(after) {
            counts.set(self, after.references, after.uses)?;
            if is_many(after) {
                (references, uses) = (MANY as u16, u16::from(after.uses > 0));
            }
        }
        let uses = if uses == 0 { after.mark.into() } else { uses + MARKS - 1 };
        self.uses.store(uses, Ordering::Relaxed);
        let foreign_writer = (after.bits >> 1) as u16 & FOREIGN_WRITER_THERE;
        self.references.store(references | foreign_writer, Ordering::Release);
        Ok(())
    }

    /// What it says.
    pub fn read(&self, counts: &Counts) -> State {
        self.lock();
        let state = self.load(counts);
        self.head.store(state.bits as u16, Ordering::Release);
        state
    }

    /// Marks, use and owner, of which [`FOREIGN_WRITER`] is none here; they may change at any moment.
    #[inline]
    pub fn head(&self) -> State {
        let bits = u32::from(self.head.load(Ordering::Acquire) & !LOCK);
        State { bits, references: 0, uses: 0, mark: 0 }
    }

    /// Whether its counts are not small, or may soon not be.
    pub fn has_many(&self) -> bool {
        let there = self.references.load(Ordering::Relaxed) & !FOREIGN_WRITER_THERE;
        u32::from(there) >= MANY - 1
    }

    /// Whether anybody refers to it; that may change at any moment.
    #[inline]
    pub fn is_referred_to(&self) -> bool {
        self.references.load(Ordering::Acquire) & !FOREIGN_WRITER_THERE != 0
    }
}
