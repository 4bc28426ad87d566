//! Decompression, with a bound on what may come out.
//!
//! A bzImage's payload ends in four bytes that tell the unpacked size (gzip has them itself); the
//! decoders below stop at the end of their stream and use them as a hint only.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use xz::Output;

/// What a chunk of lz4's legacy format unpacks to, at most.
const LZ4_CHUNK: usize = 8 << 20;
/// So much is unpacked at once, in bytes.
const PIECE: usize = 1 << 20;

/// Unpacks by magic number, to `limit` bytes at most.
pub(crate) fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let hint = packed.last_chunk().map_or(0, |last| u32::from_le_bytes(*last) as usize);
    // A hint that lies costs no more than the truth could.
    let is_likely = hint / 64 < packed.len() && hint <= limit;
    let mut output = Output::new(if is_likely { hint + PIECE } else { 0 }, limit);
    let (name, result) = match packed {
        [0x1f, 0x8b, ..] => ("gzip", gzip(packed, &mut output)),
        _ if packed.starts_with(xz::MAGIC) => ("xz", xz::unpack(packed, &mut output)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", zstd(packed, &mut output)),
        [0x02, 0x21, 0x4c, 0x18, rest @ ..] => ("lz4", lz4_legacy(rest, &mut output)),
        [0x5d, 0, 0, ..] => ("lzma", xz::unpack_lzma(packed, &mut output)),
        [b'B', b'Z', b'h', ..] => return Err("bzip2 compression is not supported".into()),
        [0x89, b'L', b'Z', b'O', ..] => return Err("lzo compression is not supported".into()),
        _ => return Err("not a kernel: neither ELF nor bzImage, nor compressed".into()),
    };
    match result {
        Ok(()) => Ok(output.finish()),
        Err(reason) => Err(format!("damaged {name} data: {reason}")),
    }
}

fn text(error: impl Debug) -> String {
    format!("{error:?}")
}

/// RFC 1952: a header, deflated data, a checksum.
fn gzip(packed: &[u8], output: &mut Output) -> Result<(), String> {
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
    let mut input = deflated(packed).ok_or("its header is cut off")?;
    let mut inflater = alloc::boxed::Box::new(DecompressorOxide::new());
    loop {
        output.room(PIECE)?;
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) =
            decompress(&mut inflater, input, &mut output.bytes, output.done, flags);
        input = &input[read..];
        output.done += written;
        output.check()?;
        match status {
            TINFLStatus::Done => break,
            TINFLStatus::HasMoreOutput => (),
            other => return Err(text(other)),
        }
    }
    let (sum, _) = input.split_first_chunk().ok_or("its checksum is cut off")?;
    match u32::from_le_bytes(*sum) == crc32fast::hash(&output.bytes[..output.done]) {
        true => Ok(()),
        false => Err("its checksum is wrong".into()),
    }
}

/// What comes behind a header of RFC 1952.
fn deflated(packed: &[u8]) -> Option<&[u8]> {
    const HEADER_SUM: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    let flags = *packed.get(3)?;
    let mut rest = packed.get(10..)?;
    if flags & EXTRA != 0 {
        let (length, behind) = rest.split_first_chunk()?;
        rest = behind.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HEADER_SUM != 0 { rest.get(2..) } else { Some(rest) }
}

fn zstd(mut packed: &[u8], output: &mut Output) -> Result<(), String> {
    // The decoder refuses windows above 128 MiB, which is what `zstd --ultra -22` makes.
    let mut decoder = FrameDecoder::new();
    decoder.init(&mut packed).map_err(text)?;
    loop {
        let some = BlockDecodingStrategy::UptoBytes(PIECE);
        let is_over = decoder.decode_blocks(&mut packed, some).map_err(text)?;
        let ready = decoder.can_collect();
        output.write(ready, |room| {
            let mut read = 0;
            while read < room.len() {
                match ruzstd::io::Read::read(&mut decoder, &mut room[read..]).map_err(text)? {
                    0 => break,
                    count => read += count,
                }
            }
            Ok::<_, String>(read)
        })?;
        if is_over && decoder.can_collect() == 0 {
            return Ok(());
        }
    }
}

/// `lz4 -l`: chunks, each after its length; what doesn't fit in the rest ends it.
fn lz4_legacy(mut rest: &[u8], output: &mut Output) -> Result<(), String> {
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((chunk, tail)) = tail.split_at_checked(length) else { break };
        output
            .write(LZ4_CHUNK, |room| lz4_flex::block::decompress_into(chunk, room).map_err(text))?;
        rest = tail;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::vec;

    const LIMIT: u64 = 16 << 20;

    fn text() -> Vec<u8> {
        (0..300_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    /// As scripts/xz_wrap.sh in the kernel's sources has it made.
    fn xz(text: &[u8]) -> Vec<u8> {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.lzma_options.dict_size = 32 << 20;
        options.set_check_sum_type(lzma_rust2::CheckType::Crc32);
        options.prepend_pre_filter(lzma_rust2::filter::FilterType::BcjX86, 0);
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn lzma(text: &[u8]) -> Vec<u8> {
        let options = lzma_rust2::LzmaOptions::with_preset(1);
        let mut writer =
            lzma_rust2::LzmaWriter::new_use_header(Vec::new(), &options, None).unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn lz4(text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x02, 0x21, 0x4c, 0x18];
        for chunk in text.chunks(500_000) {
            let block = lz4_flex::block::compress(chunk);
            bytes.extend_from_slice(&(block.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&block);
        }
        bytes
    }

    type Pack = fn(&[u8]) -> Vec<u8>;
    const PACKERS: [(&str, Pack); 5] =
        [("gzip", gzip), ("xz", xz), ("lzma", lzma), ("zstd", zstd), ("lz4", lz4)];

    #[test]
    fn what_was_packed_comes_out_with_the_size_behind_it() {
        for (name, pack) in PACKERS {
            let mut bytes = pack(&text());
            bytes.extend_from_slice(&1_200_000_u32.to_le_bytes());
            assert!(unpack(&bytes, LIMIT).unwrap() == text(), "{name}");
        }
    }

    #[test]
    fn more_than_the_limit_is_an_error() {
        for (name, pack) in PACKERS {
            let error = unpack(&pack(&vec![0; 3 << 20]), 2 << 20).unwrap_err();
            let expected = format!("damaged {name} data: more than 2 MiB unpacked");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_cut_off_stream_is_an_error() {
        for (name, pack) in PACKERS.iter().filter(|(name, _)| *name != "lz4") {
            let bytes = pack(&text());
            let error = unpack(&bytes[..bytes.len() / 2], LIMIT).unwrap_err();
            assert!(error.starts_with(&format!("damaged {name} data")), "{error}");
        }
    }

    #[test]
    fn the_window_of_zstd_ultra_is_allowed_and_a_larger_one_is_not() {
        // RFC 8878: magic, a descriptor without flags, the window as exponent << 3, one last block
        // that repeats a byte 100,000 times.
        let frame = |exponent: u8| {
            let [low, middle, high, _] = (1 | 1 << 1 | 100_000_u32 << 3).to_le_bytes();
            [0x28, 0xb5, 0x2f, 0xfd, 0, (exponent - 10) << 3, low, middle, high, b'x']
        };
        assert_eq!(unpack(&frame(27), LIMIT).unwrap(), vec![b'x'; 100_000]);
        assert!(unpack(&frame(28), LIMIT).is_err());
    }

    #[test]
    fn a_dictionary_of_gibibytes_takes_no_memory() {
        let mut bytes = lzma(b"text");
        bytes[1..5].copy_from_slice(&(3_u32 << 30).to_le_bytes());
        assert_eq!(unpack(&bytes, LIMIT).unwrap(), b"text");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damage_does_no_harm(
            kind in 0..PACKERS.len(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX,
        ) {
            let mut bytes = PACKERS[kind].1(&[*b"some text"; 2000].concat());
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(unpacked) = unpack(&bytes, LIMIT) {
                prop_assert!(unpacked.len() as u64 <= LIMIT);
            }
        }
    }
}
