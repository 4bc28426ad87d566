//! Kernel files: found out what they are, unpacked, and their wishes read.

mod bzimage;
mod notes;
mod unpack;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use elf::ElfBytes;
use elf::abi::{EM_X86_64, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;

use crate::error::Error;
use crate::layout::Needs;

/// No kernel or ramdisk is larger, in bytes; a bigger one is a mistake or an attack.
pub(crate) const MAX_FILE: u64 = 1 << 30;

/// A kernel's ELF image, unpacked.
#[derive(Debug)]
pub struct Kernel {
    elf: Vec<u8>,
    segments: Vec<SegmentRange>,
    /// What it needs of the layout.
    pub needs: Needs,
    /// What it calls itself, e.g. `linux 2.6`.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SegmentRange {
    physical: u64,
    file: std::ops::Range<usize>,
}

/// Bytes that go to a physical address of the guest.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) physical: u64,
    pub(crate) bytes: &'a [u8],
}

/// A whole file of a sensible size.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("not a file")));
    }
    if metadata.len() > MAX_FILE {
        return Err(failed(io::Error::other("larger than 1 GiB")));
    }
    fs::read(path).map_err(failed)
}

impl Kernel {
    /// Reads a kernel: an ELF file, the same compressed, or a bzImage that holds one.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = read(path)?;
        Self::parse(file).map_err(|reason| Error::Kernel { path: PathBuf::from(path), reason })
    }

    fn parse(file: Vec<u8>) -> Result<Self, String> {
        let elf = unpack_all(file)?;
        let parsed = ElfBytes::<LittleEndian>::minimal_parse(&elf)
            .map_err(|error| format!("damaged ELF file: {error}"))?;
        let header = parsed.ehdr;
        if header.class != Class::ELF64 || header.e_machine != EM_X86_64 {
            return Err("not a 64-bit x86 kernel".to_owned());
        }
        let notes = notes::read(&parsed)?;
        let segments = segments(&parsed, &notes)?;
        let end = segments.iter().map(|(_, end)| *end).max().unwrap_or(0);
        let name = notes.name();
        let needs = notes.needs(header.e_entry, end)?;
        let segments = segments.into_iter().map(|(segment, _)| segment).collect();
        Ok(Self { elf, segments, needs, name })
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.segments.iter().map(|segment| Segment {
            physical: segment.physical,
            bytes: &self.elf[segment.file.clone()],
        })
    }
}

/// The loadable segments and the physical address at which each ends in memory.
fn segments(
    elf: &ElfBytes<'_, LittleEndian>,
    notes: &notes::Notes,
) -> Result<Vec<(SegmentRange, u64)>, String> {
    let table = elf.segments().ok_or("no program headers")?;
    let mut found = Vec::new();
    for header in table.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0) {
        elf.segment_data(&header).map_err(|error| format!("damaged segment: {error}"))?;
        let physical = header.p_paddr.checked_sub(notes.paddr_offset);
        let end = physical.and_then(|start| start.checked_add(header.p_memsz));
        let (Some(physical), Some(end)) = (physical, end.filter(|end| *end <= MAX_FILE)) else {
            return Err(format!("segment at impossible address {:#x}", header.p_paddr));
        };
        if header.p_filesz > header.p_memsz {
            return Err(format!("segment at {:#x} is larger than its memory", header.p_paddr));
        }
        let start = header.p_offset as usize;
        let file = start..start + header.p_filesz as usize;
        found.push((SegmentRange { physical, file }, end));
    }
    if found.is_empty() { Err("nothing in it to load".to_owned()) } else { Ok(found) }
}

/// Takes off what is wrapped round the ELF image.
fn unpack_all(file: Vec<u8>) -> Result<Vec<u8>, String> {
    const ELF: &[u8] = b"\x7fELF";
    if file.starts_with(ELF) {
        return Ok(file);
    }
    let elf = match bzimage::payload(&file)? {
        Some(payload) => unpack::unpack(payload)?,
        None => unpack::unpack(&file)?,
    };
    if elf.starts_with(ELF) {
        Ok(elf)
    } else {
        Err("what is packed in it is no ELF file".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_kernel_says_so() {
        let error = Kernel::parse(b"#!/bin/sh\necho no kernel\n".to_vec()).unwrap_err();
        assert!(error.contains("not a kernel"), "{error}");
    }

    #[test]
    fn an_ordinary_program_lacks_the_notes() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let error = Kernel::parse(program).unwrap_err();
        assert!(error.contains("Xen"), "{error}");
    }

    proptest! {
        #[test]
        fn no_file_brings_it_down(mut file in proptest::collection::vec(any::<u8>(), 0..600), kind in 0..6_usize) {
            let magics: [&[u8]; 6] =
                [b"\x7fELF\x02\x01\x01", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18", b"\x5d\0\0"];
            let magic: &[u8] = magics[kind];
            let len = magic.len().min(file.len());
            file[..len].copy_from_slice(&magic[..len]);
            let _ = Kernel::parse(file);
        }
    }
}
