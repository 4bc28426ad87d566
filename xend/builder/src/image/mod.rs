//! Kernel files: found out what they are, unpacked, and their wishes read.

mod bzimage;
#[cfg(feature = "domain")]
mod file;
mod notes;
mod unpack;

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use elf::ElfBytes;
use elf::abi::{EM_386, EM_X86_64, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;

use crate::error::Error;
use crate::layout::Needs;
use crate::width::Width;

#[cfg(feature = "domain")]
pub(crate) use file::Ramdisk;

/// No kernel is larger, in bytes, packed or not: it is held in memory until its domain is built.
const MAX_KERNEL: u64 = 256 << 20;

/// How an ELF file begins.
const ELF: &[u8] = b"\x7fELF";

/// A kernel's ELF image, unpacked.
#[derive(Debug)]
pub struct Kernel<'a> {
    elf: Cow<'a, [u8]>,
    segments: Vec<SegmentRange>,
    /// What it needs of the layout.
    pub needs: Needs,
    /// What it calls itself, e.g. `linux 2.6`.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SegmentRange {
    physical: u64,
    file: Range<usize>,
    zeros: u64,
}

/// Bytes that go to a physical address of the guest, and how many zero bytes follow them.
#[derive(Debug)]
pub struct Segment<'a> {
    /// Where the first byte goes.
    pub physical: u64,
    /// What goes there.
    pub bytes: &'a [u8],
    /// How many zero bytes follow.
    pub zeros: u64,
}

impl<'a> Kernel<'a> {
    /// A kernel in memory: an ELF file, the same compressed, or a bzImage that holds one. What is
    /// not packed is not copied.
    pub fn from_bytes(file: impl Into<Cow<'a, [u8]>>) -> Result<Self, Error> {
        Self::parse(file).map_err(Error::Image)
    }

    fn parse(file: impl Into<Cow<'a, [u8]>>) -> Result<Self, String> {
        let elf = unpack_all(file.into())?;
        let parsed = ElfBytes::<LittleEndian>::minimal_parse(&elf)
            .map_err(|error| format!("damaged ELF file: {error}"))?;
        let header = parsed.ehdr;
        let width = match (header.class, header.e_machine) {
            (Class::ELF64, EM_X86_64) => Width::Bits64,
            (Class::ELF32, EM_386) => Width::Bits32,
            _ => return Err("not an x86 kernel".to_owned()),
        };
        let notes = notes::read(&parsed)?;
        let segments = segments(&parsed, &notes)?;
        let end = segments.iter().map(|(_, end)| *end).max().unwrap_or(0);
        let name = notes.name();
        let needs = notes.needs(width, header.e_entry, end)?;
        let segments = segments.into_iter().map(|(segment, _)| segment).collect();
        Ok(Self { elf, segments, needs, name })
    }

    /// What is loaded where.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.segments.iter().map(|segment| Segment {
            physical: segment.physical,
            bytes: &self.elf[segment.file.clone()],
            zeros: segment.zeros,
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
        let (Some(physical), Some(end)) = (physical, end) else {
            return Err(format!("segment at impossible address {:#x}", header.p_paddr));
        };
        let Some(zeros) = header.p_memsz.checked_sub(header.p_filesz) else {
            return Err(format!("segment at {:#x} is larger than its memory", header.p_paddr));
        };
        let start = header.p_offset as usize;
        let file = start..start + header.p_filesz as usize;
        found.push((SegmentRange { physical, file, zeros }, end));
    }
    if found.is_empty() { Err("nothing in it to load".to_owned()) } else { Ok(found) }
}

/// Takes off what is wrapped round the ELF image.
fn unpack_all(file: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, String> {
    if file.starts_with(ELF) {
        return Ok(file);
    }
    let payload = bzimage::payload(&file)?.unwrap_or(&file);
    let elf = unpack::unpack(payload, MAX_KERNEL)?;
    match elf.starts_with(ELF) {
        true => Ok(elf.into()),
        false => Err("what is packed in it is no ELF file".to_owned()),
    }
}

/// Takes off what is wrapped round a kernel's ELF image.
pub fn unpack(file: Vec<u8>) -> Result<Vec<u8>, String> {
    unpack_all(file.into()).map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
