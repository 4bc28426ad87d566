//! Decompression, with a bound on what may come out.
//!
//! A bzImage's payload ends in four bytes that tell the unpacked size (gzip has them itself); the
//! readers below stop at the end of their stream and never see them.

use std::io::{self, Read};

/// Memory that a dictionary may take, in KiB. Kernel builds use 32 to 128 MiB.
const DICTIONARY: u32 = 192 << 10;
/// What a chunk of lz4's legacy format unpacks to, at most.
const LZ4_CHUNK: usize = 8 << 20;

/// Unpacks by magic number, to `limit` bytes at most.
pub(crate) fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let (name, unpacked) = match packed {
        [0x1f, 0x8b, ..] => ("gzip", all(flate2::read::GzDecoder::new(packed), limit)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("xz", xz(packed, limit)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", zstd(packed, limit)),
        [0x02, 0x21, 0x4c, 0x18, rest @ ..] => ("lz4", lz4_legacy(rest, limit)),
        [0x5d, 0, 0, ..] => ("lzma", lzma(packed, limit)),
        [b'B', b'Z', b'h', ..] => return Err("bzip2 compression is not supported".to_owned()),
        [0x89, b'L', b'Z', b'O', ..] => return Err("lzo compression is not supported".to_owned()),
        _ => return Err("not a kernel: neither ELF nor bzImage, nor compressed".to_owned()),
    };
    unpacked.map_err(|error| format!("damaged {name} data: {error}"))
}

fn too_large(limit: u64) -> io::Error {
    io::Error::other(format!("more than {} MiB unpacked", limit >> 20))
}

fn all(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

fn xz(packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    all(lzma_rust2::XzReader::new_mem_limit(packed, false, DICTIONARY), limit)
}

fn zstd(packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    // The decoder refuses windows above 128 MiB, which is what `zstd --ultra -22` makes.
    all(ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?, limit)
}

fn lzma(packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    all(lzma_rust2::LzmaReader::new_mem_limit(packed, DICTIONARY, None)?, limit)
}

/// `lz4 -l`: chunks, each after its length; what doesn't fit in the rest ends it.
fn lz4_legacy(mut rest: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((chunk, tail)) = tail.split_at_checked(length) else { break };
        let start = bytes.len();
        bytes.resize(start + LZ4_CHUNK, 0);
        let count = lz4_flex::block::decompress_into(chunk, &mut bytes[start..])
            .map_err(io::Error::other)?;
        bytes.truncate(start + count);
        if bytes.len() as u64 > limit {
            return Err(too_large(limit));
        }
        rest = tail;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

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
    fn a_dictionary_of_gibibytes_is_refused() {
        let mut bytes = lzma(b"text");
        bytes[1..5].copy_from_slice(&(3_u32 << 30).to_le_bytes());
        assert!(unpack(&bytes, LIMIT).unwrap_err().contains("damaged lzma data"));
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
