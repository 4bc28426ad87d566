//! Kernel files: found out what they are, unpacked, and their wishes read.

mod bzimage;
#[cfg(feature = "domain")]
mod contents;
mod notes;
mod source;
mod unpack;

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use elf::abi::{EI_NIDENT, EM_386, EM_X86_64, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{self, Class, FileHeader};
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};

use crate::error::Error;
use crate::layout::Needs;
use crate::width::Width;

pub(crate) use source::Source;

#[cfg(feature = "domain")]
pub(crate) use contents::Contents;
#[cfg(feature = "domain")]
pub use contents::is_packed;

/// No kernel is larger, in bytes, packed or not.
pub const MAX_KERNEL: u64 = 256 << 20;

/// How an ELF file begins.
const ELF: &[u8] = b"\x7fELF";
/// Bytes of an ELF file's header of 64 bits; that of 32 bits is shorter.
const HEADER: u64 = 64;

/// A kernel's ELF image, unpacked, in memory or in a file.
#[derive(Debug)]
pub struct Kernel<S> {
    source: S,
    segments: Vec<Segment>,
    /// What it needs of the layout.
    pub needs: Needs,
    /// What it calls itself, e.g. `linux 2.6`.
    pub name: String,
}

/// What goes to a physical address of the guest: bytes of the image, and then zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where the first byte goes.
    pub physical: u64,
    /// Where the image has what goes there.
    pub image: Range<u64>,
    /// How many zero bytes follow.
    pub zeros: u64,
}

impl<'a> Kernel<Cow<'a, [u8]>> {
    /// A kernel in memory: an ELF file, the same compressed, or a bzImage that holds one. What is
    /// not packed is not copied.
    pub fn from_bytes(file: impl Into<Cow<'a, [u8]>>) -> Result<Self, Error> {
        unpack_all(file.into(), MAX_KERNEL).and_then(Self::of).map_err(Error::Image)
    }

    /// The bytes of a segment.
    pub fn bytes(&self, segment: &Segment) -> &[u8] {
        // Both ends are in the image: that was checked when it was looked at.
        &self.source[segment.image.start as usize..segment.image.end as usize]
    }
}

impl<S: Source> Kernel<S> {
    /// The kernel in an ELF image.
    fn of(source: S) -> Result<Self, String> {
        let head = source.part(0, HEADER)?;
        let (ident, rest) = head.split_at(EI_NIDENT);
        let damaged = |error| format!("damaged ELF file: {error}");
        let ident = file::parse_ident::<LittleEndian>(ident).map_err(damaged)?;
        let header = FileHeader::parse_tail(ident, rest).map_err(damaged)?;
        let width = match (header.class, header.e_machine) {
            (Class::ELF64, EM_X86_64) => Width::Bits64,
            (Class::ELF32, EM_386) => Width::Bits32,
            _ => return Err("not an x86 kernel".to_owned()),
        };
        let size = ProgramHeader::size_for(header.class) as u64;
        if u64::from(header.e_phentsize) != size || header.e_phnum == 0 {
            return Err("no program headers".to_owned());
        }
        let table = source.part(header.e_phoff, size * u64::from(header.e_phnum))?;
        let table = SegmentTable::new(header.endianness, header.class, &table);
        let notes = notes::read(&source, &table)?;
        let segments = segments(&source, &table, &notes)?;
        let end = segments.iter().map(|(_, end)| *end).max().unwrap_or(0);
        let name = notes.name();
        let needs = notes.needs(width, header.e_entry, end)?;
        let segments = segments.into_iter().map(|(segment, _)| segment).collect();
        Ok(Self { source, segments, needs, name })
    }

    /// What is loaded where.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

/// The loadable segments and the physical address at which each ends in memory.
fn segments(
    source: &impl Source,
    table: &SegmentTable<'_, LittleEndian>,
    notes: &notes::Notes,
) -> Result<Vec<(Segment, u64)>, String> {
    let mut found = Vec::new();
    for header in table.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0) {
        let image = source::range(header.p_offset, header.p_filesz)?;
        source.check(image.clone())?;
        let physical = header.p_paddr.checked_sub(notes.paddr_offset);
        let end = physical.and_then(|start| start.checked_add(header.p_memsz));
        let (Some(physical), Some(end)) = (physical, end) else {
            return Err(format!("segment at impossible address {:#x}", header.p_paddr));
        };
        let Some(zeros) = header.p_memsz.checked_sub(header.p_filesz) else {
            return Err(format!("segment at {:#x} is larger than its memory", header.p_paddr));
        };
        found.push((Segment { physical, image, zeros }, end));
    }
    if found.is_empty() { Err("nothing in it to load".to_owned()) } else { Ok(found) }
}

/// Takes off what is wrapped round the ELF image.
fn unpack_all(file: Cow<'_, [u8]>, most: u64) -> Result<Cow<'_, [u8]>, String> {
    if file.starts_with(ELF) {
        return Ok(file);
    }
    let payload = bzimage::payload(&file)?.unwrap_or(&file);
    let elf = unpack::unpack(payload, most)?;
    match elf.starts_with(ELF) {
        true => Ok(elf.into()),
        false => Err("what is packed in it is no ELF file".to_owned()),
    }
}

/// Takes off what is wrapped round a kernel's ELF image; no more than `most` bytes may come out.
pub fn unpack(file: Vec<u8>, most: u64) -> Result<Vec<u8>, String> {
    unpack_all(file.into(), most).map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
