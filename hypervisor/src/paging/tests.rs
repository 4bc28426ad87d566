//! Random changes of random tables by a guest that means harm.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::counts::{Count, Counts, MANY};
use super::entry::Entry;
use super::epoch::{Epochs, Flushes};
use super::memory::Frames;
use super::page::{Owner, Page, Refused, Use};
use super::shape::Shape;
use super::word::Word;
use super::{Error, Machine, Outcome, Rules, Walk};

const FRAMES: u64 = 24;
const GUEST: Owner = 3;
/// Another domain, which maps frames of the guest in the table that is its only frame.
const OTHER: Owner = GUEST + 1;
const OTHERS_TABLE: u64 = FRAMES - 1;
/// Only these entries of a table are used, so that changes meet: the four of a top table of 32 bits,
/// one of the hypervisor's of four levels, one of 32 bits.
const PLACES: [usize; 6] = [0, 1, 2, 3, 260, 430];
/// What the hypervisor has in its entries: what nobody may count.
const HYPERVISORS: Entry = Entry(Entry::PRESENT | Entry::LARGE);

struct Model {
    frames: Frames,
    entries: RefCell<Vec<[u64; 512]>>,
    flushes: [Flushes; 5],
    all_flushes: Flushes,
    /// How often anybody had to forget.
    flushed: Cell<u64>,
    /// Which frames processors of a domain may remember to be mapped for writing.
    remembered: RefCell<BTreeSet<(Owner, u64)>>,
    freed: RefCell<Vec<u64>>,
    yields: bool,
    /// The guest's.
    shape: Shape,
}

impl Model {
    fn new(yields: bool, shape: Shape) -> Self {
        let frames = Frames::new(FRAMES);
        // The last frame is somebody else's, the one before nobody's.
        for (mfn, page) in frames.all().into_iter().enumerate() {
            match FRAMES - mfn as u64 {
                1 => page.allocate(OTHER),
                2 => (),
                _ => page.allocate(GUEST),
            }
        }
        let entries = RefCell::new(vec![[0; 512]; FRAMES as usize]);
        Self {
            frames,
            entries,
            flushes: [const { Flushes::new() }; 5],
            all_flushes: Flushes::new(),
            flushed: Cell::new(0),
            remembered: RefCell::default(),
            freed: RefCell::default(),
            yields,
            shape,
        }
    }

    fn at(&self, mfn: u64) -> Page<'_> {
        self.frames.page(mfn).expect("a frame")
    }

    fn rules(&self) -> Rules<'_, Self> {
        Rules { machine: self, owner: GUEST, caching: false, shape: self.shape }
    }

    fn others_rules(&self) -> Rules<'_, Self> {
        Rules { machine: self, owner: OTHER, caching: false, shape: Shape::Wide }
    }

    /// Every domain uses all that it can write to, and no processor remembers a way to write to a
    /// table.
    fn remember(&self) -> Result<(), TestCaseError> {
        let is_table = |mfn: u64| {
            let (kind, count) = self.at(mfn).usage();
            kind.level().is_some() && count > 0
        };
        let mut remembered = self.remembered.borrow_mut();
        for &(who, mfn) in remembered.iter() {
            prop_assert!(!is_table(mfn), "domain {} may write to table {}", who, mfn);
        }
        for (mfn, page) in (0..).zip(self.frames.all()) {
            if page.usage().0 == Use::L1 && page.is_valid() {
                let entries = self.table(mfn).map(Entry).into_iter();
                let owner = page.owner().expect("a table is somebody's");
                let written = entries.filter(|entry| entry.is_present() && entry.is_writable());
                remembered.extend(written.map(|entry| (owner, entry.mfn())));
            }
        }
        Ok(())
    }

    /// What kind of table a frame is that was checked and is in use.
    fn kind(&self, mfn: u64) -> Option<Use> {
        let page = self.at(mfn);
        let (kind, count) = page.usage();
        let is_table = kind.level().is_some() && page.is_valid() && mfn != OTHERS_TABLE;
        (is_table && count > 0).then_some(kind)
    }

    /// Entries that the guest has a say in; those of the hypervisor's are as it wants them.
    fn guests(&self, mfn: u64, kind: Use) -> Result<Vec<(usize, Entry)>, TestCaseError> {
        let shape = if mfn == OTHERS_TABLE { Shape::Wide } else { self.shape };
        let mut entries = Vec::new();
        for (index, entry) in self.table(mfn).map(Entry).into_iter().enumerate() {
            if !shape.is_hypervisors(kind, index) {
                entries.push((index, entry));
                continue;
            }
            let wanted = if kind == Use::L3 { Entry(0) } else { HYPERVISORS };
            prop_assert_eq!(entry, wanted, "entry {} of {:?}", index, kind);
        }
        Ok(entries)
    }

    fn table(&self, mfn: u64) -> [u64; 512] {
        self.entries.borrow()[mfn as usize]
    }

    /// What every count has to be, from what can be seen.
    fn check(&self, pinned: &[(u64, Use)]) -> Result<(), TestCaseError> {
        let mut references = [0_u32; FRAMES as usize];
        let mut uses = [0_u32; FRAMES as usize];
        for (mfn, page) in self.frames.all().into_iter().enumerate() {
            references[mfn] += u32::from(page.is_allocated());
            let (kind, count) = page.usage();
            if kind.level().is_none() || count == 0 {
                continue;
            }
            prop_assert!(page.is_valid(), "frame {} is half checked: {:?}", mfn, page);
            for (index, entry) in self.guests(mfn as u64, kind)? {
                if !entry.is_present() {
                    let is_last = self.shape == Shape::Pae && (kind, index) == (Use::L3, 3);
                    prop_assert!(!is_last, "no last table of level 2");
                    continue;
                }
                let below = entry.mfn() as usize;
                let is_users = self.shape == Shape::Wide || kind == Use::L3;
                prop_assert!(!is_users || entry.has(Entry::USER));
                let is_linear = kind != Use::L1 && self.shape == Shape::Wide;
                if is_linear && below == mfn {
                    prop_assert!(!entry.is_writable());
                    continue;
                }
                references[below] += 1;
                let (below_kind, _) = self.at(below as u64).usage();
                if is_linear && below_kind == kind {
                    prop_assert!(!entry.is_writable() && self.at(below as u64).is_linear());
                    prop_assert!(!page.is_linear(), "a chain of linear tables");
                    uses[below] += 1;
                } else if kind != Use::L1 {
                    prop_assert_eq!(below_kind, self.shape.below(kind, index));
                    uses[below] += 1;
                } else if entry.is_writable() {
                    prop_assert_eq!(below_kind, Use::Writable, "a writable mapping of a table");
                    uses[below] += 1;
                }
                prop_assert_eq!(self.at(below as u64).owner(), Some(GUEST));
            }
        }
        let last = self.frames.all().into_iter().filter(|page| page.usage().0 == Use::LastL2);
        prop_assert!(self.shape == Shape::Pae || last.count() == 0);
        for &(mfn, _) in pinned {
            references[mfn as usize] += 1;
            uses[mfn as usize] += 1;
        }
        for (mfn, page) in self.frames.all().into_iter().enumerate() {
            prop_assert_eq!(page.references(), references[mfn], "frame {}: {:?}", mfn, page);
            prop_assert_eq!(page.usage().1, uses[mfn], "frame {}: {:?}", mfn, page);
        }
        prop_assert!(self.freed.borrow().is_empty());
        Ok(())
    }
}

impl Machine for Model {
    fn page(&self, mfn: u64) -> Option<Page<'_>> {
        self.frames.page(mfn)
    }
    fn read(&self, mfn: u64, index: usize) -> Entry {
        Entry(self.entries.borrow()[mfn as usize][index])
    }
    fn write(&self, mfn: u64, index: usize, entry: Entry) {
        self.entries.borrow_mut()[mfn as usize][index] = entry.0;
    }
    fn exchange(&self, mfn: u64, index: usize, expected: Entry, new: Entry) -> bool {
        let same = self.read(mfn, index) == expected;
        if same {
            self.write(mfn, index, new);
        }
        same
    }
    fn complete(&self, mfn: u64, kind: Use) {
        for index in (0..512).filter(|index| self.shape.is_hypervisors(kind, *index)) {
            self.write(mfn, index, HYPERVISORS);
        }
    }
    fn is_io_allowed(&self, _: Owner, _: u64) -> bool {
        false
    }
    fn epochs(&self, owner: Owner) -> Epochs {
        let owner = self.flushes[usize::from(owner)].epoch();
        Epochs { owner, all: self.all_flushes.epoch() }
    }
    fn flush(&self, owner: Owner) {
        self.flushed.set(self.flushed.get() + 1);
        let mut remembered = self.remembered.borrow_mut();
        self.flushes[usize::from(owner)].during(|| remembered.retain(|(who, _)| *who != owner));
    }
    fn flush_all(&self) {
        self.flushed.set(self.flushed.get() + 1);
        self.all_flushes.during(|| self.remembered.borrow_mut().clear());
    }
    fn free(&self, mfn: u64) {
        self.freed.borrow_mut().push(mfn);
    }
    fn should_yield(&self) -> bool {
        self.yields
    }
}

#[derive(Debug, Clone)]
enum Act {
    /// The guest writes where it may.
    Write(u64, usize, u64),
    Pin(u64, Use),
    Unpin(usize),
    Update(u64, usize, u64),
    /// The other domain maps a frame of the guest, or nothing any more.
    Foreign(usize, u64),
    /// A flush that has nothing to do with it all.
    Flush(Owner),
    /// A call that is begun and not made again, whatever it says.
    Abandon(u64, Use),
    /// One that changes a table, likewise.
    AbandonUpdate(u64, usize, u64),
}

fn entry() -> impl Strategy<Value = u64> {
    let flags = prop_oneof![
        6 => Just(Entry::PRESENT),
        6 => Just(Entry::PRESENT | Entry::WRITABLE),
        4 => Just(0_u64),
        1 => Just(Entry::PRESENT | Entry::LARGE),
        1 => Just(Entry::PRESENT | Entry::USER | Entry::NO_EXECUTE),
        1 => Just(Entry::PRESENT | 1 << 51),
    ];
    (0..FRAMES + 1, flags).prop_map(|(mfn, flags)| mfn << 12 | flags)
}

fn kind() -> impl Strategy<Value = Use> {
    (1_u8..5).prop_map(Use::table)
}

fn place() -> impl Strategy<Value = usize> {
    (0..PLACES.len()).prop_map(|number| PLACES[number])
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..FRAMES, place(), entry()).prop_map(|(mfn, index, entry)| Act::Write(mfn, index, entry)),
        3 => (0..FRAMES + 2, kind()).prop_map(|(mfn, kind)| Act::Pin(mfn, kind)),
        1 => any::<prop::sample::Index>().prop_map(|at| Act::Unpin(at.index(16))),
        4 => (0..FRAMES, place(), entry()).prop_map(|(mfn, index, entry)| Act::Update(mfn, index, entry)),
        3 => (place(), entry()).prop_map(|(index, entry)| Act::Foreign(index, entry)),
        1 => (GUEST..=OTHER).prop_map(Act::Flush),
        1 => (0..FRAMES, kind()).prop_map(|(mfn, kind)| Act::Abandon(mfn, kind)),
        1 => (0..FRAMES, place(), entry()).prop_map(|(mfn, index, entry)| Act::AbandonUpdate(mfn, index, entry)),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Wide), Just(Shape::Pae)]
}

/// Makes a call until it is over, as a guest's vcpu does.
fn finish(mut call: impl FnMut() -> Result<Outcome, Error>) -> Result<(), Error> {
    while call()? == Outcome::Again {}
    Ok(())
}

fn run(model: &Model, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let rules = model.rules();
    let (mut pinned, mut others_walk) = (vec![(OTHERS_TABLE, Use::L1)], Walk::default());
    let others = model.others_rules();
    let got = finish(|| others.get_table(OTHERS_TABLE, Use::L1, &mut others_walk));
    prop_assert_eq!(got, Ok(()));
    let mut walk = Walk::default();
    for act in acts {
        match act {
            Act::Abandon(mfn, kind) => {
                if rules.get_table(mfn, kind, &mut walk) == Ok(Outcome::Done) {
                    pinned.push((mfn, kind));
                }
                // Another call comes, which leaves the walk as it is.
                continue;
            }
            Act::AbandonUpdate(mfn, index, value) => {
                if let Some(kind) = model.kind(mfn).filter(|kind| *kind != Use::L1) {
                    let _ = rules.update_table((mfn, kind), index, Entry(value), &mut walk);
                }
                continue;
            }
            Act::Write(mfn, index, value) => {
                if rules.get(mfn, GUEST, Use::Writable).is_ok() {
                    model.write(mfn, index, Entry(value));
                    rules.release(Entry::new(mfn, Entry::PRESENT | Entry::WRITABLE));
                }
            }
            Act::Pin(mfn, kind) => {
                if finish(|| rules.get_table(mfn, kind, &mut walk)).is_ok() {
                    pinned.push((mfn, kind));
                }
            }
            Act::Unpin(at) => {
                let at = at + 1;
                if let Some((mfn, kind)) = (at < pinned.len()).then(|| pinned.swap_remove(at)) {
                    while rules.settle(&mut walk) == Outcome::Again {}
                    rules.put_table(mfn, kind, &mut walk);
                }
            }
            Act::Update(mfn, index, value) => {
                let Some(kind) = model.kind(mfn) else { continue };
                let new = Entry(value);
                let _ = match kind {
                    Use::L1 => rules.update_mapping(mfn, index, GUEST, |_| new).map(|_| ()),
                    _ => finish(|| rules.update_table((mfn, kind), index, new, &mut walk)),
                };
            }
            Act::Foreign(index, value) => {
                let change = |_| Entry(value);
                let _ = others.update_mapping(OTHERS_TABLE, index, GUEST, change);
            }
            Act::Flush(owner) => model.flush(owner),
        }
        while rules.settle(&mut walk) == Outcome::Again {}
        model.check(&pinned)?;
        model.remember()?;
    }
    while rules.settle(&mut walk) == Outcome::Again {}
    model.check(&pinned)?;
    for index in PLACES {
        prop_assert!(others.update_mapping(OTHERS_TABLE, index, GUEST, |_| Entry(0)).is_ok());
    }
    others.put_table(OTHERS_TABLE, Use::L1, &mut others_walk);
    while others.settle(&mut others_walk) == Outcome::Again {}
    pinned.remove(0);
    for (mfn, kind) in std::mem::take(&mut pinned) {
        rules.put_table(mfn, kind, &mut walk);
        while rules.settle(&mut walk) == Outcome::Again {}
    }
    model.check(&[])?;
    let held = |page: &Page| page.usage().1 != 0 || page.references() > 1;
    prop_assert_eq!(model.frames.all().into_iter().find(held).map(Page::usage), None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn counts_are_what_the_tables_say(
        acts in prop::collection::vec(act(), 1..120), shape in shape(),
    ) {
        run(&Model::new(false, shape), acts)?;
    }

    #[test]
    fn an_operation_in_steps_does_the_same(
        acts in prop::collection::vec(act(), 1..80), shape in shape(),
    ) {
        run(&Model::new(true, shape), acts)?;
    }

    /// The tables that a guest of 32 bits begins with, so that all that comes then meets them.
    #[test]
    fn a_tree_of_three_levels_changes(
        acts in prop::collection::vec(act(), 1..80), yields in any::<bool>(),
    ) {
        let model = Model::new(yields, Shape::Pae);
        for (mfn, index, below) in [(0, 0, 1), (0, 3, 2), (1, 0, 3), (2, 2, 3), (3, 1, 8)] {
            model.write(mfn, index, Entry::new(below, Entry::PRESENT));
        }
        // What was there before is no matter, where the hypervisor's is.
        model.write(0, 4, Entry::new(9, Entry::PRESENT | Entry::LARGE));
        model.write(2, 430, Entry::new(9, Entry::PRESENT | Entry::WRITABLE));
        run(&model, [vec![Act::Pin(0, Use::L3)], acts].concat())?;
    }

    #[test]
    fn a_check_that_nobody_waits_for_leaves_nothing(
        acts in prop::collection::vec(act(), 1..60), mfn in 0..FRAMES, shape in shape(),
    ) {
        let model = Model::new(true, shape);
        let rules = model.rules();
        for act in acts {
            if let Act::Write(mfn, index, value) = act {
                model.write(mfn, index, Entry(value));
            }
        }
        let mut walk = Walk::default();
        let _ = rules.get_table(mfn, shape.top(), &mut walk);
        walk.cancel();
        while rules.settle(&mut walk) == Outcome::Again {}
        // A check that was over at once holds what it should.
        let pinned = [(mfn, shape.top())];
        let is_table = model.at(mfn).is_valid();
        model.check(if is_table { &pinned } else { &[] })?;
    }
}

#[test]
fn a_table_has_to_be_unmapped_before_it_is_one() {
    let model = Model::new(false, Shape::Wide);
    let rules = model.rules();
    let mut walk = Walk::default();
    model.write(0, 0, Entry::new(1, Entry::PRESENT | Entry::WRITABLE));
    assert_eq!(rules.get_table(0, Use::L1, &mut walk), Ok(Outcome::Done));
    assert_eq!(rules.get_table(1, Use::L1, &mut walk), Err(Error::Invalid));
    assert_eq!(model.flushed.get(), 0);
    // Without the right to write it is a table; what a processor remembers is forgotten first.
    assert_eq!(
        rules.update_mapping(0, 0, GUEST, |_| Entry::new(1, Entry::PRESENT)).map(|_| ()),
        Ok(())
    );
    assert_eq!(rules.get_table(1, Use::L1, &mut walk), Ok(Outcome::Done));
    assert_eq!(model.flushed.get(), 1);
    let writable = Entry::new(1, Entry::PRESENT | Entry::WRITABLE);
    assert_eq!(rules.update_mapping(0, 0, GUEST, |_| writable), Err(Error::InUse));
}

#[test]
fn a_table_that_maps_itself_may_not_write_to_itself() {
    let model = Model::new(false, Shape::Wide);
    let mut walk = Walk::default();
    model.write(0, 0, Entry::new(0, Entry::PRESENT | Entry::WRITABLE));
    assert_eq!(model.rules().get_table(0, Use::L1, &mut walk), Err(Error::InUse));
    model.write(0, 0, Entry::new(0, Entry::PRESENT));
    assert_eq!(model.rules().get_table(0, Use::L1, &mut walk), Ok(Outcome::Done));
    model.rules().put_table(0, Use::L1, &mut walk);
    assert_eq!(model.at(0).references(), 1);
}

#[test]
fn two_domains_and_two_threads_never_share_a_table_for_writing() {
    let frames = Frames::new(1);
    let page = frames.page(0).expect("a frame");
    page.allocate(GUEST);
    let as_table = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                if page.get_use(Use::L1, Epochs::default()).is_ok() {
                    as_table.store(true, std::sync::atomic::Ordering::SeqCst);
                    page.set_valid();
                    as_table.store(false, std::sync::atomic::Ordering::SeqCst);
                    let _ = page.put_use(Epochs::default());
                    page.finish_release(Epochs::default());
                }
            }
        });
        for _ in 0..20_000 {
            if page.get_use(Use::Writable, Epochs::default()).is_ok() {
                assert!(!as_table.load(std::sync::atomic::Ordering::SeqCst));
                let _ = page.put_use(Epochs::default());
            }
        }
    });
    assert_eq!(page.usage().1, 0);
}

#[test]
fn a_table_of_32_bits_needs_its_last_and_keeps_it() {
    let model = Model::new(false, Shape::Pae);
    let rules = model.rules();
    let mut walk = Walk::default();
    model.write(0, 0, Entry::new(1, Entry::PRESENT));
    assert_eq!(rules.get_table(0, Use::L3, &mut walk), Err(Error::Invalid));
    // One that is there as another table of level 2 can't be the last.
    model.write(0, 3, Entry::new(1, Entry::PRESENT));
    assert_eq!(rules.get_table(0, Use::L3, &mut walk), Err(Error::Invalid));
    model.write(0, 3, Entry::new(2, Entry::PRESENT));
    assert_eq!(rules.get_table(0, Use::L3, &mut walk), Ok(Outcome::Done));
    assert_eq!(model.at(2).usage(), (Use::LastL2, 1));
    let mut update = |table, index, new| rules.update_table(table, index, new, &mut walk);
    let other = Entry::new(5, Entry::PRESENT);
    for index in [3, 4, 511] {
        assert_eq!(update((0, Use::L3), index, other), Err(Error::Invalid), "{index}");
    }
    assert_eq!(update((2, Use::LastL2), 428, other), Err(Error::Invalid));
    assert_eq!(update((2, Use::LastL2), 427, other), Ok(Outcome::Done));
    // Nothing of it is for the kernel's programs unless the kernel says so.
    assert_eq!(model.read(2, 427), other);
    assert_eq!(update((0, Use::L3), 1, Entry(other.0 | Entry::NO_EXECUTE)), Err(Error::Invalid));
    let mut walk = Walk::default();
    assert_eq!(rules.get_table(6, Use::L4, &mut walk), Err(Error::Invalid));
}

#[test]
fn a_count_that_cannot_be_kept_changes_nothing() {
    let words = [const { Word::free() }; 2];
    let entries = std::boxed::Box::leak(std::boxed::Box::new([Count::default(); 1]));
    let counts = Counts::new(words.as_ptr(), entries);
    let [first, second] = [0, 1].map(|frame| Page::new(&words[frame], &counts));
    for page in [first, second] {
        page.allocate(GUEST);
        for _ in page.references()..MANY - 1 {
            assert_eq!(page.get(GUEST), Ok(()));
        }
    }
    (0..4).for_each(|_| assert_eq!(first.get(GUEST), Ok(())));
    assert!(first.get_use(Use::Writable, Epochs::default()).is_ok());
    assert_eq!((first.references(), first.usage()), (MANY + 3, (Use::Writable, 1)));
    for _ in 0..3 {
        assert_eq!(second.get(GUEST), Err(Refused::TooOften));
        assert_eq!((second.references(), second.owner()), (MANY - 1, Some(GUEST)));
    }
    // There is room again when the first is used less.
    (0..4).for_each(|_| assert!(!first.put()));
    assert_eq!(second.get(GUEST), Ok(()));
    assert_eq!((first.references(), first.usage()), (MANY - 1, (Use::Writable, 1)));
}

#[test]
fn tables_of_a_level_refer_to_each_other_but_not_in_a_row() {
    for yields in [false, true] {
        let model = Model::new(yields, Shape::Wide);
        let (rules, mut walk) = (model.rules(), Walk::default());
        let there = |mfn| Entry::new(mfn, Entry::PRESENT);
        // Four levels of which the top refers to itself; two tops more.
        for (mfn, index, to) in [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 0, 8), (0, 1, 0), (4, 1, 0)] {
            model.write(mfn, index, there(to));
        }
        let mut pin = |mfn| finish(|| rules.get_table(mfn, Use::L4, &mut walk));
        assert_eq!([pin(0), pin(4), pin(5)], [Ok(()); 3]);
        assert_eq!((model.at(0).usage(), model.at(4).usage()), ((Use::L4, 2), (Use::L4, 1)));
        let mut update = |mfn, new| {
            let place = (mfn, Use::L4);
            finish(|| rules.update_table(place, 2, new, &mut walk))
        };
        // What refers to others is not referred to, and the other way round; nor written to.
        assert_eq!(update(5, there(4)), Err(Error::Invalid));
        assert_eq!(update(0, there(5)), Err(Error::Invalid));
        assert_eq!(update(5, Entry(there(5).0 | Entry::WRITABLE)), Err(Error::Invalid));
        assert_eq!(update(5, there(5)), Ok(()));
        assert_eq!(update(5, there(0)), Ok(()));
        assert_eq!(model.at(0).usage(), (Use::L4, 3));
        for mfn in [0, 5, 4] {
            assert_eq!(model.at(3).usage(), (Use::L1, 1), "before {mfn}");
            rules.put_table(mfn, Use::L4, &mut walk);
            while rules.settle(&mut walk) == Outcome::Again {}
        }
        assert!(model.frames.all().iter().all(|page| page.usage().1 == 0 && !page.is_linear()));
        assert!(model.check(&[]).is_ok());
    }
}

#[test]
fn a_shared_frame_is_data_for_good() {
    let frames = Frames::new(1);
    let page = frames.page(0).expect("a frame");
    page.share(GUEST);
    assert_eq!(page.get(GUEST), Ok(()));
    assert!(!page.unshare(Epochs::default()));
    // Somebody still maps it, and nobody writes to it.
    for kind in [Use::L1, Use::L4, Use::Descriptors] {
        assert_eq!(page.get_use(kind, Epochs::default()), Err(Refused::OtherUse));
    }
    assert!(page.get_use(Use::Writable, Epochs::default()).is_ok());
    let _ = page.put_use(Epochs::default());
    assert!(page.put() && page.is_shared());
}
