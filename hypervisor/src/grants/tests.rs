//! Grants by a granter that changes them as it likes, against what has to be so.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

use proptest::prelude::*;
use xen::abi::DomId;
use xen::abi::grant::{
    PERMIT_ACCESS, READ_ONLY, READING, SUB_PAGE, TRANSITIVE, TYPE_MASK, WRITING,
};

use super::maptrack::Maptrack;
use super::{Access, Held, Memory, Refused, Table, TableError, What};

const FRAMES: usize = 12;

/// Frames of nobody else.
struct Model {
    words: Vec<AtomicU64>,
    taken: RefCell<BTreeSet<u64>>,
}

impl Model {
    fn new() -> Self {
        let words = (0..FRAMES * 512).map(|_| AtomicU64::new(0)).collect();
        Self { words, taken: RefCell::default() }
    }
}

impl Memory for &Model {
    fn take(&self) -> Option<u64> {
        let mut taken = self.taken.borrow_mut();
        let free = (0..FRAMES as u64).find(|frame| !taken.contains(frame))?;
        taken.insert(free);
        (0..512).for_each(|at| self.word(free, at).store(0, Ordering::Relaxed));
        Some(free)
    }
    fn give(&self, frame: u64) {
        assert!(self.taken.borrow_mut().remove(&frame), "frame {frame} was given back twice");
    }
    fn word(&self, frame: u64, index: usize) -> &AtomicU64 {
        &self.words[frame as usize * 512 + index]
    }
}

/// As the granter reads and writes the table.
struct Granter<'a> {
    model: &'a Model,
    frames: Vec<u64>,
    status: Vec<u64>,
    version: u32,
}

impl<'a> Granter<'a> {
    fn of(model: &'a Model, table: &Table<&'a Model>) -> Self {
        let (frames, status) = (table.frames().to_vec(), table.status_frames().to_vec());
        Self { model, frames, status, version: table.version() }
    }

    fn word(&self, reference: u32, word: usize) -> &AtomicU64 {
        let at = reference as usize * self.version as usize + word;
        &self.model.words[self.frames[at / 512] as usize * 512 + at % 512]
    }

    fn write(&self, reference: u32, flags: u16, domain: DomId, frame: u64) {
        let head = u64::from(flags) | u64::from(domain) << 16;
        if self.version == 1 {
            self.word(reference, 0).store(head | frame << 32, Ordering::Relaxed);
        } else {
            self.word(reference, 1).store(frame, Ordering::Relaxed);
            self.word(reference, 0).store(head, Ordering::Relaxed);
        }
    }

    /// The marks of an entry.
    fn marks(&self, reference: u32) -> u16 {
        let word = match self.version {
            1 => self.word(reference, 0).load(Ordering::Relaxed),
            _ => {
                let at = reference as usize;
                let frame = self.status[at / 2048] as usize;
                let word = self.model.words[frame * 512 + at % 2048 / 4].load(Ordering::Relaxed);
                word >> (16 * (at % 4))
            }
        };
        word as u16 & (READING | WRITING)
    }
}

#[derive(Debug, Clone)]
enum Act {
    Write(u32, u16, DomId, u64),
    Acquire(u32, DomId, bool, bool),
    Release(usize),
    Swap(u32, u32),
}

fn act() -> impl Strategy<Value = Act> {
    // Few entries, so that acts meet; some at the end of a frame.
    let reference = || prop_oneof![0_u32..4, 254_u32..258, 510_u32..514, Just(9999_u32)];
    let flags = prop_oneof![
        4 => Just(PERMIT_ACCESS),
        2 => Just(PERMIT_ACCESS | READ_ONLY),
        1 => Just(PERMIT_ACCESS | SUB_PAGE),
        1 => Just(TRANSITIVE),
        1 => any::<u16>(),
    ];
    prop_oneof![
        3 => (reference(), flags, 1_u16..3, 0_u64..100).prop_map(|(r, f, d, m)| Act::Write(r, f, d, m)),
        4 => (reference(), 1_u16..3, any::<bool>(), any::<bool>())
            .prop_map(|(r, who, write, copy)| Act::Acquire(r, who, write, copy)),
        3 => any::<prop::sample::Index>().prop_map(|at| Act::Release(at.index(64))),
        1 => (reference(), reference()).prop_map(|(a, b)| Act::Swap(a, b)),
    ]
}

fn run(version: u32, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let model = Model::new();
    {
        let mut table = Table::new(&model, 3, 2);
        prop_assert_eq!(table.grow(4), Err(TableError::TooLarge));
        prop_assert_eq!(table.grow(3), Ok(()));
        prop_assert_eq!(table.set_version(version), Ok(()));
        let granter = Granter::of(&model, &table);
        // What the granter wrote last, and who uses what.
        let mut written: BTreeMap<u32, (u16, DomId, u64)> = BTreeMap::new();
        let mut uses: Vec<(u32, bool)> = Vec::new();
        for act in acts {
            match act {
                Act::Write(9999, ..) => (),
                Act::Write(reference, flags, domain, frame) => {
                    // An entry in use is changed, too: the marks are kept as an honest granter would.
                    let kept = if version == 1 { granter.marks(reference) } else { 0 };
                    let flags = flags & !(READING | WRITING);
                    granter.write(reference, flags | kept, domain, frame);
                    written.insert(reference, (flags, domain, frame));
                }
                Act::Acquire(reference, who, is_write, is_copy) => {
                    let got = table.acquire(reference, who, Access { is_write, is_copy });
                    let entry = written.get(&reference).copied().unwrap_or((0, 0, 0));
                    let expected = expected(version, reference, entry, who, is_write, is_copy);
                    prop_assert_eq!(got, expected);
                    if got.is_ok() {
                        uses.push((reference, is_write));
                    }
                }
                Act::Release(at) if at < uses.len() => {
                    let (reference, is_write) = uses.swap_remove(at);
                    table.release(reference, is_write);
                }
                Act::Release(_) => (),
                Act::Swap(a, b) => {
                    let is_used = |r| uses.iter().any(|(used, _)| *used == r);
                    let result = table.swap(a, b);
                    prop_assert_eq!(result.is_ok(), !is_used(a) && !is_used(b) && a.max(b) != 9999);
                    if result.is_ok() {
                        let (at_a, at_b) = (written.remove(&a), written.remove(&b));
                        written.extend(at_a.map(|entry| (b, entry)));
                        written.extend(at_b.map(|entry| (a, entry)));
                    }
                }
            }
            for reference in (0..4).chain(254..258).chain(510..514) {
                let of_it = || uses.iter().filter(|(used, _)| *used == reference);
                let mut marks = 0;
                if of_it().count() > 0 {
                    marks |= READING;
                }
                if of_it().any(|(_, is_write)| *is_write) {
                    marks |= WRITING;
                }
                prop_assert_eq!(granter.marks(reference), marks, "entry {}", reference);
            }
        }
        let other = 3 - version;
        let may_change = uses.is_empty();
        prop_assert_eq!(table.set_version(other).is_ok(), may_change);
    }
    prop_assert!(model.taken.borrow().is_empty(), "frames were lost");
    Ok(())
}

/// What an entry gives, said in another way.
fn expected(
    version: u32,
    reference: u32,
    (flags, domain, frame): (u16, DomId, u64),
    who: DomId,
    is_write: bool,
    is_copy: bool,
) -> Result<What, Refused> {
    if reference == 9999 {
        return Err(Refused::NoEntry);
    }
    let whole = Held { frame, offset: 0, length: 4096 };
    let can_be_part = version == 2 && is_copy;
    let refused = domain != who || is_write && flags & READ_ONLY != 0;
    match (flags & TYPE_MASK, flags & SUB_PAGE != 0) {
        _ if refused => Err(Refused::NotPermitted),
        (_, true) if !can_be_part => Err(Refused::NotPermitted),
        (PERMIT_ACCESS, false) => Ok(What::Frame(whole)),
        // Nothing stands where offset and length are read.
        (PERMIT_ACCESS, true) => Ok(What::Frame(Held { length: 0, ..whole })),
        (TRANSITIVE, _) if can_be_part => {
            Ok(What::Transitive { domain: 0, reference: frame as u32 })
        }
        _ => Err(Refused::NotPermitted),
    }
}

proptest! {
    #[test]
    fn marks_say_who_uses_what(version in 1_u32..3, acts in prop::collection::vec(act(), 1..120)) {
        run(version, acts)?;
    }

    #[test]
    fn handles_are_each_mappings_own(acts in prop::collection::vec(any::<Option<prop::sample::Index>>(), 0..200)) {
        let mut track = Maptrack::new(20);
        let mut live: Vec<(u32, usize)> = Vec::new();
        for (number, act) in acts.into_iter().enumerate() {
            match act {
                None => match track.insert(number) {
                    Ok(handle) => {
                        prop_assert!(live.iter().all(|(other, _)| *other != handle));
                        live.push((handle, number));
                    }
                    Err(back) => {
                        prop_assert_eq!((back, live.len()), (number, 20));
                    }
                },
                Some(at) if !live.is_empty() => {
                    let (handle, number) = live.swap_remove(at.index(live.len()));
                    prop_assert_eq!(track.remove(handle), Some(number));
                    prop_assert_eq!(track.remove(handle), None);
                }
                Some(_) => (),
            }
            prop_assert_eq!(track.len(), live.len());
            for (handle, number) in &live {
                prop_assert_eq!(track.get(*handle).copied(), Some(*number));
            }
        }
        let mut rest: Vec<usize> = std::iter::from_fn(|| track.pop()).collect();
        rest.sort_unstable();
        let mut numbers: Vec<usize> = live.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        prop_assert_eq!(rest, numbers);
        prop_assert!(track.is_empty());
    }
}

#[test]
fn a_part_of_a_frame_never_ends_behind_it() {
    let model = Model::new();
    let mut table = Table::new(&model, 1, 2);
    assert_eq!(table.set_version(2), Ok(()));
    let granter = Granter::of(&model, &table);
    let access = Access { is_write: false, is_copy: true };
    let ranges = [
        (0, 4096, 0, 4096),
        (4000, 200, 4000, 96),
        (5000, 1, 4096, 0),
        (100, 50, 100, 50),
        (0, 65535, 0, 4096),
    ];
    for (reference, (offset, length, held_offset, held_length)) in (0..).zip(ranges) {
        let flags = PERMIT_ACCESS | SUB_PAGE;
        let head = u64::from(flags) | 7 << 16 | offset << 32 | length << 48;
        granter.word(reference, 0).store(head, Ordering::Relaxed);
        granter.word(reference, 1).store(77, Ordering::Relaxed);
        let held = Held { frame: 77, offset: held_offset, length: held_length };
        assert_eq!(table.acquire(reference, 7, access), Ok(What::Frame(held)));
    }
}

#[test]
fn reserved_entries_outlive_a_change_of_the_layout() {
    let model = Model::new();
    let mut table = Table::new(&model, 2, 2);
    assert_eq!(table.grow(1), Ok(()));
    Granter::of(&model, &table).write(1, PERMIT_ACCESS, 0, 0x1234);
    Granter::of(&model, &table).write(9, PERMIT_ACCESS, 0, 0x1234);
    let access = Access { is_write: true, is_copy: false };
    for version in [2, 1, 2] {
        assert_eq!(table.set_version(version), Ok(()));
        let held = Held { frame: 0x1234, offset: 0, length: 4096 };
        assert_eq!(table.acquire(1, 0, access), Ok(What::Frame(held)), "version {version}");
        table.release(1, true);
        assert_eq!(table.acquire(9, 0, access), Err(Refused::NotPermitted));
    }
    assert_eq!(table.set_version(3), Err(TableError::NoSuchVersion));
    assert_eq!(Table::new(&model, 2, 1).set_version(2), Err(TableError::NoSuchVersion));
}

#[test]
fn a_granter_that_never_rests_stops_nobody() {
    let word = AtomicU64::new(u64::from(PERMIT_ACCESS) | 5 << 16);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut frame = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                frame += 1;
                let entry = u64::from(PERMIT_ACCESS) | 5 << 16 | frame << 32;
                word.store(entry, Ordering::Relaxed);
            }
        });
        for _ in 0..10_000 {
            let entry = super::entry::EntryV1(&word);
            let access = Access { is_write: true, is_copy: false };
            match entry.mark(5, access) {
                Ok(What::Frame(_)) => entry.clear(READING | WRITING),
                other => assert_eq!(other, Err(Refused::Unstable)),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
