//! The container of xz, around LZMA2: blocks, each with its filters and a checksum of what comes out
//! (`xz-file-format.txt` of XZ Utils; the numbers below are its sections).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bcj;
use crate::lzma::{Coder, Damaged, Decoder, Properties};
use crate::output::Output;

/// What a file begins with.
pub const MAGIC: &[u8] = b"\xfd7zXZ\0";
const FOOTER_MAGIC: &[u8; 2] = b"YZ";
/// Filters (5.3).
const X86: u64 = 4;
const LZMA2: u64 = 0x21;

/// What each block is summed up with (2.1.1.2).
#[derive(Clone, Copy)]
enum Check {
    None,
    Crc32,
    Crc64,
}

impl Check {
    fn new(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Crc32),
            4 => Ok(Self::Crc64),
            _ => Err(format!("its checksum is of kind {number}: use CRC32 or CRC64")),
        }
    }

    /// Compares with what follows a block.
    fn of(self, text: &[u8], input: &mut Input<'_>) -> Result<(), String> {
        let is_right = match self {
            Self::None => true,
            Self::Crc32 => u32::from_le_bytes(input.array()?) == crc32fast::hash(text),
            Self::Crc64 => u64::from_le_bytes(input.array()?) == crc64(text),
        };
        if is_right { Ok(()) } else { Err("its checksum is wrong".into()) }
    }
}

/// Takes bytes from the front of what is left.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("it is cut off")?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array().map(|[byte]| byte)
    }

    /// A number of as many bytes as it needs (1.2).
    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for index in 0..9 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number in it is too long".into())
    }

    /// Zeros up to a multiple of four bytes, when so many were taken.
    fn padding(&mut self, taken: usize) -> Result<(), String> {
        match self.take(taken.wrapping_neg() % 4)?.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err("its padding is not empty".into()),
        }
    }

    /// The checksum of what was taken before.
    fn sum(&mut self, of: &[u8]) -> Result<(), String> {
        match u32::from_le_bytes(self.array()?) == crc32fast::hash(of) {
            true => Ok(()),
            false => Err("a header's checksum is wrong".into()),
        }
    }
}

/// Sizes of a block, in bytes: packed, without the padding, and unpacked.
type Sizes = (u64, u64);

/// Unpacks a whole file; what is behind its end is left alone.
pub fn unpack(packed: &[u8], output: &mut Output) -> Result<(), String> {
    let mut input = Input(packed);
    if input.take(MAGIC.len())? != MAGIC {
        return Err(Damaged.into());
    }
    let flags: [u8; 2] = input.array()?;
    input.sum(&flags)?;
    let check = Check::new(flags[1])?;
    let mut blocks = Vec::new();
    // A block begins with its header's size; the index begins with a 0.
    while input.0.first().is_some_and(|words| *words > 0) {
        blocks.push(block(&mut input, check, output)?);
    }
    let length = index(&mut input, &blocks)?;
    footer(&mut input, length, flags)
}

/// A block (3).
fn block(input: &mut Input<'_>, check: Check, output: &mut Output) -> Result<Sizes, String> {
    let start = input.0.len();
    let words = usize::from(input.0[0]);
    let header = Header::read(input.take(4 * words)?)?;
    input.sum(header.bytes)?;
    let first = output.done;
    let begun = input.0.len();
    lzma2(input, output)?;
    let packed = begun - input.0.len();
    input.padding(packed)?;
    let text = &mut output.bytes[first..output.done];
    if header.is_x86 {
        bcj::undo(text);
    }
    check.of(text, input)?;
    Ok(((start - input.0.len() - packed.wrapping_neg() % 4) as u64, text.len() as u64))
}

/// A block's header (3.1).
struct Header<'a> {
    bytes: &'a [u8],
    /// Its text went through the filter for x86.
    is_x86: bool,
}

impl<'a> Header<'a> {
    const FILTERS: u8 = 3;
    const RESERVED: u8 = 0x3c;
    const PACKED: u8 = 0x40;
    const UNPACKED: u8 = 0x80;

    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut fields = Input(bytes);
        let [_, flags] = fields.array()?;
        if flags & Self::RESERVED != 0 {
            return Err("its header is of another kind".into());
        }
        // Sizes are told again by the data itself.
        for size in [Self::PACKED, Self::UNPACKED] {
            if flags & size != 0 {
                fields.number()?;
            }
        }
        let mut is_x86 = false;
        for left in (0..=flags & Self::FILTERS).rev() {
            let (filter, length) = (fields.number()?, fields.number()?);
            let properties = fields.take(usize::try_from(length).unwrap_or(usize::MAX))?;
            match filter {
                X86 if left > 0 && !is_x86 && properties.iter().all(|byte| *byte == 0) => {
                    is_x86 = true;
                }
                // How large the dictionary is doesn't matter.
                LZMA2 if left == 0 => (),
                _ => return Err(format!("its filter {filter:#x} is not supported")),
            }
        }
        match fields.0.iter().all(|byte| *byte == 0) {
            true => Ok(Self { bytes, is_x86 }),
            false => Err("its header is of another kind".into()),
        }
    }
}

/// Chunks of LZMA2, to the last (5.3.1 and `lzma2_decoder.c` of XZ Utils).
fn lzma2(input: &mut Input<'_>, output: &mut Output) -> Result<(), String> {
    const END: u8 = 0;
    const PLAIN_IN_NEW_DICTIONARY: u8 = 1;
    const PLAIN: u8 = 2;
    const PACKED: u8 = 0x80;
    const NEW_STATE: u8 = 0xa0;
    const NEW_PROPERTIES: u8 = 0xc0;
    const NEW_DICTIONARY: u8 = 0xe0;
    let mut dictionary = None;
    let mut decoder: Option<Decoder> = None;
    loop {
        let control = input.byte()?;
        if matches!(control, PLAIN_IN_NEW_DICTIONARY | NEW_DICTIONARY..) {
            (dictionary, decoder) = (Some(output.done), None);
        }
        if control == END {
            return Ok(());
        }
        let start = dictionary.ok_or(Damaged)?;
        let low = usize::from(u16::from_be_bytes(input.array()?)) + 1;
        if matches!(control, PLAIN_IN_NEW_DICTIONARY | PLAIN) {
            output.append(input.take(low)?)?;
            continue;
        }
        if control < PACKED {
            return Err(Damaged.into());
        }
        let unpacked = (usize::from(control & 0x1f) << 16) + low;
        let packed = usize::from(u16::from_be_bytes(input.array()?)) + 1;
        if control >= NEW_PROPERTIES {
            let properties = Properties::new(input.byte()?)?;
            decoder = properties.is_for_lzma2().then(|| Decoder::new(properties));
        } else if control >= NEW_STATE {
            decoder = decoder.map(|decoder| Decoder::new(decoder.properties()));
        }
        let mut coder = Coder::new(input.take(packed)?)?;
        let end = output.done + unpacked;
        decoder.as_mut().ok_or(Damaged)?.some(&mut coder, output, start, unpacked)?;
        if output.done != end || !coder.is_over() {
            return Err(Damaged.into());
        }
    }
}

/// The index says what was seen of blocks (4); its length in bytes.
fn index(input: &mut Input<'_>, blocks: &[Sizes]) -> Result<usize, String> {
    let start = input.0;
    input.byte()?;
    let mut is_same = input.number()? == blocks.len() as u64;
    for sizes in blocks {
        is_same &= (input.number()?, input.number()?) == *sizes;
    }
    if !is_same {
        return Err("its index tells other sizes".into());
    }
    let length = start.len() - input.0.len();
    input.padding(length)?;
    let length = length.next_multiple_of(4);
    input.sum(&start[..length])?;
    Ok(length + size_of::<u32>())
}

/// The end (2.1.2).
fn footer(input: &mut Input<'_>, index: usize, flags: [u8; 2]) -> Result<(), String> {
    let sum: [u8; 4] = input.array()?;
    let rest: [u8; 6] = input.array()?;
    Input(&sum).sum(&rest)?;
    let [a, b, c, d, flags_again @ ..] = rest;
    let backward = (u64::from(u32::from_le_bytes([a, b, c, d])) + 1) * 4;
    match backward == index as u64 && flags_again == flags && input.array()? == *FOOTER_MAGIC {
        true => Ok(()),
        false => Err("its end is another's".into()),
    }
}

/// CRC64 of ECMA-182, reversed (6).
fn crc64(bytes: &[u8]) -> u64 {
    const TABLE: [u64; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut value, mut bit) = (index as u64, 0);
            while bit < 8 {
                let low = value & 1;
                value = value >> 1 ^ (0xc96c_5795_d787_0f42 * low);
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let step = |sum: u64, byte: &u8| TABLE[(sum as u8 ^ byte) as usize] ^ sum >> 8;
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lzma_rust2::filter::FilterType;
    use lzma_rust2::{CheckType, XzOptions, XzWriter};
    use proptest::prelude::*;
    use std::io::Write;
    use std::num::NonZeroU64;

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut output = Output::new(0, 64 << 20);
        super::unpack(packed, &mut output).map(|()| output.finish())
    }

    fn packed(text: &[u8], options: XzOptions) -> Vec<u8> {
        let mut writer = XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    /// Pieces that come again, and others that don't.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let near = prop_oneof![Just(0xe8), Just(0xe9), Just(0), Just(0xff), any::<u8>()];
        let piece = (prop::collection::vec(near, 1..40), 1_usize..30);
        let pieces = prop::collection::vec((0_usize..20, piece), 0..60);
        pieces.prop_map(|pieces| {
            let mut text = Vec::new();
            for (back, (piece, times)) in pieces {
                match text.len().checked_sub(back * times) {
                    Some(from) if back > 0 => text.extend_from_within(from..),
                    _ => (0..times).for_each(|_| text.extend_from_slice(&piece)),
                }
            }
            text
        })
    }

    const CHECKS: [CheckType; 3] = [CheckType::None, CheckType::Crc32, CheckType::Crc64];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn what_another_packed_comes_out(
            text in texts(),
            check in 0..CHECKS.len(),
            is_x86: bool,
            (context, literal, position) in (0_u32..=4, 0_u32..=4, 0_u32..=4),
            best: bool,
        ) {
            let mut options = XzOptions::with_preset(if best { 6 } else { 1 });
            options.set_check_sum_type(CHECKS[check]);
            options.lzma_options.dict_size = 1 << 16;
            options.lzma_options.lc = context;
            options.lzma_options.lp = literal.min(4 - context);
            options.lzma_options.pb = position;
            if is_x86 {
                options.prepend_pre_filter(FilterType::BcjX86, 0);
            }
            prop_assert_eq!(unpacked(&packed(&text, options)), Ok(text));
        }
    }

    /// Numbers that nobody can pack.
    fn noise(length: u32) -> Vec<u8> {
        let step = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8)
        };
        (0..length).scan(1, |state, _| step(state)).collect()
    }

    #[test]
    fn what_can_not_be_packed_and_several_blocks_come_out() {
        let text = [noise(90_000), std::vec![7; 200_000], noise(150_000)].concat();
        let mut options = XzOptions::with_preset(0);
        options.lzma_options.dict_size = 1 << 16;
        options.set_block_size(NonZeroU64::new(1 << 17));
        assert!(unpacked(&packed(&text, options)).unwrap() == text);
    }

    #[test]
    fn damage_is_seen_wherever_it_is() {
        let mut options = XzOptions::with_preset(1);
        options.set_check_sum_type(CheckType::Crc32);
        let good = packed(b"some text, some text, and some more", options);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(unpacked(&bad).is_err(), "byte {at}");
            assert!(unpacked(&good[..at]).is_err(), "cut off at {at}");
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let mut options = XzOptions::with_preset(1);
        options.set_check_sum_type(CheckType::Sha256);
        let error = unpacked(&packed(b"text", options)).unwrap_err();
        assert_eq!(error, "its checksum is of kind 10: use CRC32 or CRC64");
        let mut options = XzOptions::with_preset(1);
        options.prepend_pre_filter(FilterType::BcjArm, 0);
        let error = unpacked(&packed(b"text", options)).unwrap_err();
        assert_eq!(error, "its filter 0x7 is not supported");
    }
}
