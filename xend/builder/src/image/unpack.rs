//! Decompression, with a bound on what may come out.
//!
//! A bzImage's payload ends in four bytes that tell the unpacked size (gzip has them itself); the
//! readers below stop at the end of their stream and never see them.

use std::io::{self, Read};

use super::MAX_FILE;

/// Memory that an LZMA dictionary may take, in KiB.
const LZMA_MEMORY: u32 = 512 << 10;
/// What a chunk of lz4's legacy format unpacks to, at most.
const LZ4_CHUNK: usize = 8 << 20;

/// Unpacks by magic number.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let (name, unpacked) = match packed {
        [0x1f, 0x8b, ..] => ("gzip", all(flate2::read::GzDecoder::new(packed))),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            ("xz", all(lzma_rust2::XzReader::new(packed, false)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", zstd(packed)),
        [0x02, 0x21, 0x4c, 0x18, rest @ ..] => ("lz4", lz4_legacy(rest)),
        [0x5d, 0, 0, ..] => ("lzma", lzma(packed)),
        [b'B', b'Z', b'h', ..] => return Err("bzip2 compression is not supported".to_owned()),
        [0x89, b'L', b'Z', b'O', ..] => return Err("lzo compression is not supported".to_owned()),
        _ => return Err("not a kernel: neither ELF nor bzImage, nor compressed".to_owned()),
    };
    unpacked.map_err(|error| format!("damaged {name} data: {error}"))
}

fn too_large() -> io::Error {
    io::Error::other("more than 1 GiB unpacked")
}

fn all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}

fn zstd(packed: &[u8]) -> io::Result<Vec<u8>> {
    all(ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?)
}

fn lzma(packed: &[u8]) -> io::Result<Vec<u8>> {
    all(lzma_rust2::LzmaReader::new_mem_limit(packed, LZMA_MEMORY, None)?)
}

/// `lz4 -l`: chunks, each after its length; what doesn't fit in the rest ends it.
fn lz4_legacy(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let Some((chunk, tail)) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)
        else {
            break;
        };
        let start = bytes.len();
        if (start + LZ4_CHUNK) as u64 > MAX_FILE {
            return Err(too_large());
        }
        bytes.resize(start + LZ4_CHUNK, 0);
        let count = lz4_flex::block::decompress_into(chunk, &mut bytes[start..])
            .map_err(io::Error::other)?;
        bytes.truncate(start + count);
        rest = tail;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// Packs with the command that kernel builds use.
    fn packed(command: &str, args: &[&str], text: &[u8]) -> Vec<u8> {
        let mut child = Command::new(command)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let text = text.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(&text).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.stdout
    }

    fn text() -> Vec<u8> {
        (0..3_000_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect()
    }

    #[test]
    fn gzip_and_xz_as_the_kernel_build_makes_them_with_the_size_behind() {
        let xz: &[&str] = &["--check=crc32", "--x86", "--lzma2=dict=32MiB"];
        for (command, args) in [("gzip", &["-n"][..]), ("xz", xz), ("xz", &["--format=lzma"])] {
            let mut bytes = packed(command, args, &text());
            bytes.extend_from_slice(&12_000_000_u32.to_le_bytes());
            assert!(unpack(&bytes).unwrap() == text(), "{command} {args:?}");
        }
    }

    #[test]
    fn lz4_legacy_chunks() {
        let mut bytes = vec![0x02, 0x21, 0x4c, 0x18];
        for chunk in text().chunks(LZ4_CHUNK) {
            let block = lz4_flex::block::compress(chunk);
            bytes.extend_from_slice(&(block.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&block);
        }
        bytes.extend_from_slice(&12_000_000_u32.to_le_bytes());
        assert!(unpack(&bytes).unwrap() == text());
    }

    #[test]
    fn a_cut_off_stream_is_an_error() {
        let bytes = packed("xz", &["--check=crc32"], &text());
        let error = unpack(&bytes[..bytes.len() / 2]).unwrap_err();
        assert!(error.starts_with("damaged xz data"), "{error}");
    }
}
