//! The ELF notes by which a kernel says that it runs on Xen, and how (elfnote.h).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use elf::abi::PT_NOTE;
use elf::endian::LittleEndian;
use elf::segment::SegmentTable;
use xen::abi::{PAGE_SIZE, elfnote};

use super::source::{Source, range};
use crate::layout::Needs;
use crate::width::Width;

/// No kernel has more notes, in bytes.
const MOST: u64 = 1 << 20;

/// What the notes say.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    xen_version: Option<String>,
    guest_os: Option<String>,
    guest_version: Option<String>,
    entry: Option<u64>,
    virt_base: Option<u64>,
    pub(crate) paddr_offset: u64,
    hypercall_page: Option<u64>,
    init_p2m: Option<u64>,
    mod_start_pfn: bool,
    pae: Option<String>,
    needs_auto_translation: bool,
}

/// Reads the notes of a kernel; fails if it says nothing of Xen.
pub(crate) fn read(
    source: &impl Source,
    table: &SegmentTable<'_, LittleEndian>,
) -> Result<Notes, String> {
    let mut notes = Notes::default();
    for header in table.iter().filter(|header| header.p_type == PT_NOTE) {
        if header.p_filesz > MOST {
            return Err(format!("damaged ELF file: notes of {} bytes", header.p_filesz));
        }
        let range = range(header.p_offset, header.p_filesz)?;
        source.check(range.clone())?;
        let mut at = range.start;
        while let Some((note, next)) = next(source, at, range.end) {
            if note.name == b"Xen\0" {
                notes.take(note.kind, &note.desc);
            }
            at = next;
        }
    }
    match &notes.xen_version {
        None => Err("not a Xen PV kernel: it has no Xen notes".to_owned()),
        Some(version) if !version.starts_with("xen-3.0") => {
            Err(format!("made for hypervisor interface '{version}', not for xen-3.0"))
        }
        Some(_) => Ok(notes),
    }
}

struct Note {
    kind: u32,
    name: Vec<u8>,
    desc: Vec<u8>,
}

/// The note that begins at an offset before `end`, and where the next one does; `None` if there is no
/// other. The notes of kernels are always padded to 4 bytes, whatever their header says of that. The last
/// one may have less than it says, as GRUB's of 32 bits: the file ends there, and Xen's builders take it.
fn next(source: &impl Source, at: u64, end: u64) -> Option<(Note, u64)> {
    const HEADER: u64 = 12;
    if at.checked_add(HEADER)? > end {
        return None;
    }
    let header = source.part(at, HEADER).ok()?;
    let word = |index: usize| number(&header[4 * index..][..4]);
    let (name_len, desc_len) = (word(0)?, word(1)?);
    let name = at + HEADER;
    let desc = name + name_len.next_multiple_of(4);
    let note = Note {
        kind: word(2)? as u32,
        name: source.part(name, name_len).ok()?.into_owned(),
        desc: source.part(desc, desc_len.min(end.checked_sub(desc)?)).ok()?.into_owned(),
    };
    Some((note, desc + desc_len.next_multiple_of(4)))
}

fn number(desc: &[u8]) -> Option<u64> {
    match desc.len() {
        4 => Some(u64::from(u32::from_le_bytes(desc.try_into().ok()?))),
        8 => Some(u64::from_le_bytes(desc.try_into().ok()?)),
        _ => None,
    }
}

fn text(desc: &[u8]) -> String {
    String::from_utf8_lossy(desc).trim_end_matches('\0').to_owned()
}

impl Notes {
    fn take(&mut self, kind: u32, desc: &[u8]) {
        match kind {
            elfnote::XEN_VERSION => self.xen_version = Some(text(desc)),
            elfnote::GUEST_OS => self.guest_os = Some(text(desc)),
            elfnote::GUEST_VERSION => self.guest_version = Some(text(desc)),
            elfnote::ENTRY => self.entry = number(desc),
            elfnote::VIRT_BASE => self.virt_base = number(desc),
            elfnote::PADDR_OFFSET => self.paddr_offset = number(desc).unwrap_or(0),
            elfnote::HYPERCALL_PAGE => self.hypercall_page = number(desc),
            elfnote::INIT_P2M => self.init_p2m = number(desc),
            elfnote::MOD_START_PFN => self.mod_start_pfn = number(desc) == Some(1),
            elfnote::PAE_MODE => self.pae = Some(text(desc)),
            elfnote::FEATURES => {
                // A word without '!' is required; '|' parts them.
                let wanted = text(desc);
                self.needs_auto_translation =
                    wanted.split('|').any(|word| word == "auto_translated_physmap");
            }
            _ => {}
        }
    }

    /// What the kernel calls itself.
    pub(crate) fn name(&self) -> String {
        let parts = [self.guest_os.as_deref(), self.guest_version.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The notes as wishes for the layout.
    pub(crate) fn needs(
        &self,
        width: Width,
        elf_entry: u64,
        kernel_end: u64,
    ) -> Result<Needs, String> {
        let pae = self.pae.as_deref().unwrap_or("no");
        if width == Width::Bits32 && !(pae.starts_with("yes") || pae.starts_with("bimodal")) {
            return Err("a 32-bit kernel without PAE, which no hypervisor runs any more".to_owned());
        }
        if self.needs_auto_translation {
            return Err("it wants auto-translated memory, which PV guests don't have".to_owned());
        }
        let virt_base = self.virt_base.ok_or("its Xen notes don't say where it is mapped")?;
        let inside = |address: u64| address.checked_sub(virt_base).filter(|at| *at < kernel_end);
        let entry = self.entry.unwrap_or(elf_entry);
        inside(entry).ok_or_else(|| format!("its entry point {entry:#x} is outside of it"))?;
        let hypercall_page = match self.hypercall_page {
            None => None,
            Some(address) => Some(
                inside(address)
                    .filter(|at| at.is_multiple_of(PAGE_SIZE as u64))
                    .ok_or_else(|| format!("its hypercall page {address:#x} is no page of it"))?,
            ),
        };
        Needs {
            width,
            virt_base,
            entry,
            kernel_end,
            hypercall_page,
            // With 32 bits there is no room for another mapping.
            p2m_base: self.init_p2m.filter(|_| width == Width::Bits64),
            ramdisk_outside: self.mod_start_pfn,
        }
        .checked()
    }
}
