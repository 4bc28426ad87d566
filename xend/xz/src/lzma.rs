//! The LZMA decoder, from memory to memory: what came out is its own dictionary.
//!
//! The format is described in `DOC/lzma-specification.txt` of the LZMA SDK.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::output::Output;

/// A match may end so many bytes behind where it was to end, and is copied in words.
const SLACK: usize = LONGEST + WORD;
const LONGEST: usize = 273;
const WORD: usize = 8;

/// A bit's probability of being 0, in 2048ths.
type Probability = u16;
const ONE: u32 = 1 << 11;
const EVEN: Probability = ONE as Probability / 2;
/// How fast probabilities adapt.
const SHIFT: u32 = 5;

/// States: what was decoded last. Below this one it was a literal.
const MATCHED: usize = 7;
const STATES: usize = 12;
/// The state behind a literal.
const LITERAL: [u8; 16] = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5, 0, 0, 0, 0];
/// Positions are told apart by up to 4 of their bits.
const POSITIONS: usize = 16;
/// Of distances: the first class that has some bits of its own, and the first of which only the
/// lowest four have probabilities.
const MODELLED: usize = 4;
const DIRECT: usize = 14;

/// A distance that marks the end.
const END: usize = u32::MAX as usize;

/// The data makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

impl From<Damaged> for String {
    fn from(_: Damaged) -> Self {
        "it makes no sense".into()
    }
}

/// The range decoder, over packed bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coder<'a> {
    packed: &'a [u8],
    next: usize,
    range: u32,
    code: u32,
}

impl<'a> Coder<'a> {
    /// Begins: the first byte is always 0.
    pub(super) fn new(packed: &'a [u8]) -> Result<Self, Damaged> {
        let [0, a, b, c, d, ..] = *packed else { return Err(Damaged) };
        Ok(Self { packed, next: 5, range: u32::MAX, code: u32::from_be_bytes([a, b, c, d]) })
    }

    /// Whether more was read than there is.
    pub(super) fn is_cut_off(&self) -> bool {
        self.next > self.packed.len()
    }

    /// Whether all was read, and nothing is left of the number that it stands for.
    pub(super) fn is_over(&self) -> bool {
        self.next == self.packed.len() && self.code == 0
    }

    #[inline(always)]
    fn normalize(&mut self) {
        if self.range < 1 << 24 {
            let byte = self.packed.get(self.next).copied().unwrap_or(0);
            self.next += 1;
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(byte);
        }
    }

    /// A bit.
    #[inline(always)]
    fn bit(&mut self, probability: &mut Probability) -> bool {
        self.normalize();
        let likely = u32::from(*probability);
        let bound = (self.range >> 11) * likely;
        let is_one = self.code >= bound;
        if is_one {
            self.range -= bound;
            self.code -= bound;
            *probability = (likely - (likely >> SHIFT)) as Probability;
        } else {
            self.range = bound;
            *probability = (likely + ((ONE - likely) >> SHIFT)) as Probability;
        }
        is_one
    }

    /// A number below `N`, a power of two: the highest bit first.
    #[inline(always)]
    fn number<const N: usize>(&mut self, tree: &mut [Probability; N]) -> usize {
        let mut node = 1;
        for _ in 0..N.ilog2() {
            node = (node << 1) | usize::from(self.bit(&mut tree[node & (N - 1)]));
        }
        node - N
    }

    /// A number of some bits, at most 5: the lowest first.
    #[inline(always)]
    fn reverse<const N: usize>(&mut self, tree: &mut [Probability; N], bits: u32) -> usize {
        let (mut node, mut number) = (1, 0);
        for index in 0..bits {
            let bit = usize::from(self.bit(&mut tree[node & (N - 1)]));
            node = (node << 1) | bit;
            number |= bit << index;
        }
        number
    }

    /// A number of some bits, each as likely 0 as 1.
    #[inline(always)]
    fn even(&mut self, bits: u32) -> usize {
        let mut number = 0;
        for _ in 0..bits {
            self.normalize();
            self.range >>= 1;
            let is_one = self.code >= self.range;
            if is_one {
                self.code -= self.range;
            }
            number = number << 1 | usize::from(is_one);
        }
        number
    }
}

/// How many of a number's bits choose among probabilities, and which of the text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Properties {
    context_bits: u32,
    literal_mask: usize,
    position_mask: usize,
}

impl Properties {
    /// From their byte.
    pub(super) fn new(byte: u8) -> Result<Self, Damaged> {
        let (position_bits, rest) = (byte / 45, byte % 45);
        let (literal_bits, context_bits) = (rest / 9, rest % 9);
        if position_bits > 4 {
            return Err(Damaged);
        }
        Ok(Self {
            context_bits: context_bits.into(),
            literal_mask: (1 << literal_bits) - 1,
            position_mask: (1 << position_bits) - 1,
        })
    }

    /// LZMA2 allows fewer bits (`xz-file-format.txt`, section 5.3.1).
    pub(super) fn is_for_lzma2(&self) -> bool {
        self.literals() <= 1 << 4
    }

    fn literals(&self) -> usize {
        (self.literal_mask + 1) << self.context_bits
    }
}

/// Lengths of matches.
struct Lengths {
    is_long: Probability,
    is_longest: Probability,
    short: [[Probability; 8]; POSITIONS],
    long: [[Probability; 8]; POSITIONS],
    longest: [Probability; 256],
}

impl Lengths {
    const NEW: Self = Self {
        is_long: EVEN,
        is_longest: EVEN,
        short: [[EVEN; 8]; POSITIONS],
        long: [[EVEN; 8]; POSITIONS],
        longest: [EVEN; 256],
    };

    #[inline(always)]
    fn decode(&mut self, coder: &mut Coder<'_>, position: usize) -> usize {
        if !coder.bit(&mut self.is_long) {
            return 2 + coder.number(&mut self.short[position]);
        }
        if !coder.bit(&mut self.is_longest) {
            return 10 + coder.number(&mut self.long[position]);
        }
        18 + coder.number(&mut self.longest)
    }
}

/// All probabilities but literals'.
struct Model {
    is_match: [[Probability; POSITIONS]; STATES],
    is_repeated: [Probability; STATES],
    is_not_last: [Probability; STATES],
    is_not_second: [Probability; STATES],
    is_fourth: [Probability; STATES],
    is_not_short: [[Probability; POSITIONS]; STATES],
    lengths: Lengths,
    repeated_lengths: Lengths,
    classes: [[Probability; 64]; 4],
    distances: [[Probability; 32]; DIRECT - MODELLED],
    lowest: [Probability; 16],
}

impl Model {
    const NEW: Self = Self {
        is_match: [[EVEN; POSITIONS]; STATES],
        is_repeated: [EVEN; STATES],
        is_not_last: [EVEN; STATES],
        is_not_second: [EVEN; STATES],
        is_fourth: [EVEN; STATES],
        is_not_short: [[EVEN; POSITIONS]; STATES],
        lengths: Lengths::NEW,
        repeated_lengths: Lengths::NEW,
        classes: [[EVEN; 64]; 4],
        distances: [[EVEN; 32]; DIRECT - MODELLED],
        lowest: [EVEN; 16],
    };

    /// The last distances, when one of them but the last is used again.
    #[inline(always)]
    fn older(&mut self, coder: &mut Coder<'_>, state: usize, last: [usize; 4]) -> [usize; 4] {
        let [first, second, third, fourth] = last;
        if !coder.bit(&mut self.is_not_second[state]) {
            [second, first, third, fourth]
        } else if !coder.bit(&mut self.is_fourth[state]) {
            [third, first, second, fourth]
        } else {
            [fourth, first, second, third]
        }
    }

    /// A distance, less 1, or [`END`].
    #[inline(always)]
    fn distance(&mut self, coder: &mut Coder<'_>, length: usize) -> usize {
        let class = coder.number(&mut self.classes[(length - 2).min(3)]);
        if class < MODELLED {
            return class;
        }
        let bits = (class >> 1) as u32 - 1;
        let high = (2 | class & 1) << bits;
        if class < DIRECT {
            return high + coder.reverse(&mut self.distances[class - MODELLED], bits);
        }
        high + (coder.even(bits - 4) << 4) + coder.reverse(&mut self.lowest, 4)
    }
}

/// Where decoding stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Enough came out.
    Full,
    /// The end is marked.
    End,
}

/// What is known of the text so far.
pub(super) struct Decoder {
    properties: Properties,
    model: Model,
    literals: Vec<[Probability; 0x300]>,
    state: usize,
    /// The last four distances, less 1.
    distances: [usize; 4],
}

impl Decoder {
    /// Knows nothing yet.
    pub(super) fn new(properties: Properties) -> Self {
        Self {
            properties,
            model: Model::NEW,
            literals: vec![[EVEN; 0x300]; properties.literals()],
            state: 0,
            distances: [0; 4],
        }
    }

    /// The properties in use.
    pub(super) fn properties(&self) -> Properties {
        self.properties
    }

    /// Decodes into `text` from `at` until `end` or a bit further, and says how far it came. Before
    /// `at` is the dictionary; there has to be [`SLACK`] behind `end`.
    fn run(
        &mut self,
        packed: &mut Coder<'_>,
        text: &mut [u8],
        mut at: usize,
        end: usize,
    ) -> Result<(usize, Stopped), Damaged> {
        // Copies, which stay in registers.
        let mut coder = *packed;
        let (mut state, mut distances) = (self.state, self.distances);
        let Properties { context_bits, literal_mask, position_mask } = self.properties;
        let model = &mut self.model;
        let mut stopped = Stopped::Full;
        while at < end {
            let position = at & position_mask & (POSITIONS - 1);
            if !coder.bit(&mut model.is_match[state][position]) {
                let before = if at == 0 { 0 } else { text[at - 1] };
                let context = usize::from(before) >> (8 - context_bits);
                let tree = &mut self.literals[((at & literal_mask) << context_bits) + context];
                text[at] = if state < MATCHED {
                    literal(&mut coder, tree)
                } else {
                    let other = text.get(at.wrapping_sub(distances[0] + 1)).ok_or(Damaged)?;
                    unlike(&mut coder, tree, *other)
                };
                at += 1;
                state = usize::from(LITERAL[state & 15]);
                continue;
            }
            let was_literal = state < MATCHED;
            let length = if !coder.bit(&mut model.is_repeated[state]) {
                let length = model.lengths.decode(&mut coder, position);
                let distance = model.distance(&mut coder, length);
                if distance == END {
                    stopped = Stopped::End;
                    break;
                }
                distances = [distance, distances[0], distances[1], distances[2]];
                state = if was_literal { 7 } else { 10 };
                length
            } else {
                let is_last = !coder.bit(&mut model.is_not_last[state]);
                if is_last && !coder.bit(&mut model.is_not_short[state][position]) {
                    state = if was_literal { 9 } else { 11 };
                    1
                } else {
                    if !is_last {
                        distances = model.older(&mut coder, state, distances);
                    }
                    state = if was_literal { 8 } else { 11 };
                    model.repeated_lengths.decode(&mut coder, position)
                }
            };
            copy(text, at, distances[0], length)?;
            at += length;
        }
        coder.normalize();
        (self.state, self.distances, *packed) = (state, distances, coder);
        Ok((at, stopped))
    }

    /// Decodes so many bytes, or a few more, behind what came out; the dictionary began at `start`.
    pub(super) fn some(
        &mut self,
        coder: &mut Coder<'_>,
        output: &mut Output,
        start: usize,
        count: usize,
    ) -> Result<Stopped, String> {
        output.room(count + SLACK)?;
        let at = output.done - start;
        let (end, stopped) = self.run(coder, &mut output.bytes[start..], at, at + count)?;
        output.done = start + end;
        output.check()?;
        if coder.is_cut_off() { Err("it is cut off".into()) } else { Ok(stopped) }
    }
}

/// Unpacks a file as LZMA's first programs made them: properties, the dictionary's size, the text's
/// size if it is known, and the text.
pub fn unpack(packed: &[u8], output: &mut Output) -> Result<(), String> {
    /// So much is unpacked at once, in bytes.
    const PIECE: usize = 1 << 20;
    const UNKNOWN: u64 = u64::MAX;
    let Some(([properties, _, _, _, _, size @ ..], rest)) = packed.split_first_chunk::<13>() else {
        return Err("it is cut off".into());
    };
    let size = u64::from_le_bytes(*size);
    let mut decoder = Decoder::new(Properties::new(*properties)?);
    let mut coder = Coder::new(rest)?;
    while (output.done as u64) < size {
        let left = usize::try_from(size).unwrap_or(usize::MAX) - output.done;
        if decoder.some(&mut coder, output, 0, left.min(PIECE))? == Stopped::End {
            break;
        }
    }
    match size {
        UNKNOWN => Ok(()),
        _ if output.done as u64 == size => Ok(()),
        _ => Err("it has another size than it says".into()),
    }
}

/// A byte that nothing is known of but its neighbours.
#[inline(always)]
fn literal(coder: &mut Coder<'_>, tree: &mut [Probability; 0x300]) -> u8 {
    let mut node = 1;
    for _ in 0..8 {
        node = (node << 1) | usize::from(coder.bit(&mut tree[node & 0xff]));
    }
    node as u8
}

/// A byte that isn't what is at the last distance: behind their first difference, nothing is known.
#[inline(always)]
fn unlike(coder: &mut Coder<'_>, tree: &mut [Probability; 0x300], other: u8) -> u8 {
    let (mut other, mut same, mut node) = (usize::from(other), 0x100, 1);
    for _ in 0..8 {
        other <<= 1;
        let expected = other & same;
        let is_one = coder.bit(&mut tree[same + expected + node]);
        same = if is_one { expected } else { same & !expected };
        node = (node << 1) | usize::from(is_one);
    }
    node as u8
}

/// Repeats what came out `distance + 1` bytes before, some bytes too many.
#[inline(always)]
fn copy(text: &mut [u8], at: usize, distance: usize, length: usize) -> Result<(), Damaged> {
    let from = at.checked_sub(distance + 1).ok_or(Damaged)?;
    if distance + 1 < WORD {
        for index in 0..length {
            text[at + index] = text[from + index];
        }
        return Ok(());
    }
    let mut done = 0;
    while done < length {
        let word: [u8; WORD] = text[from + done..][..WORD].try_into().map_err(|_| Damaged)?;
        text[at + done..][..WORD].copy_from_slice(&word);
        done += WORD;
    }
    Ok(())
}
