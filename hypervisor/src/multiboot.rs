//! What a multiboot loader left in memory (Multiboot Specification 0.6.96 and 2.0).
//!
//! The loader's structures are read, never followed blindly: every address goes through
//! [`Memory`], which may refuse it.

use crate::memory_map::{Kind, MemoryMap, Region};

/// What a loader of version 1 leaves in `eax`.
pub const MAGIC_1: u32 = 0x2bad_b002;
/// What a loader of version 2 leaves in `eax`.
pub const MAGIC_2: u32 = 0x36d7_6289;
/// The most modules that are kept.
pub const MAX_MODULES: usize = 16;

/// Physical memory to read.
pub trait Memory {
    /// The bytes at a physical address, if they are there.
    fn bytes(&self, address: u64, length: usize) -> Option<&'static [u8]>;

    /// The text up to a zero byte, at most `limit` bytes; empty if it isn't UTF-8.
    fn text(&self, address: u64, limit: usize) -> &'static str {
        let mut length = 0;
        while length < limit {
            match self.bytes(address + length as u64, 1) {
                Some([byte]) if *byte != 0 => length += 1,
                _ => break,
            }
        }
        let bytes = self.bytes(address, length).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// A file that the loader loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Module {
    /// Its first byte.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
    /// What stood behind its name.
    pub cmdline: &'static str,
}

/// Everything that the loader says.
#[derive(Debug, Clone, Default)]
pub struct BootInfo {
    /// The hypervisor's command line.
    pub cmdline: &'static str,
    /// What the loader calls itself.
    loader: &'static str,
    /// Memory as the firmware reports it.
    pub memory: MemoryMap,
    modules: [Module; MAX_MODULES],
    count: usize,
    /// A copy of ACPI's root pointer, where the loader gives one.
    pub rsdp: Option<u64>,
}

/// Why a loader can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootError {
    /// It is no multiboot loader.
    NotMultiboot(u32),
    /// A structure is outside memory, or cut off.
    Truncated,
    /// It reports no memory map.
    NoMemoryMap,
    /// It reports more memory regions or modules than are kept.
    TooMany,
}

/// The longest command line.
const MAX_LINE: usize = 4096;
/// Bits of `flags` in version 1: a command line, modules, a memory map, the loader's name.
const HAS_CMDLINE: u32 = 1 << 2;
const HAS_MODULES: u32 = 1 << 3;
const HAS_MEMORY_MAP: u32 = 1 << 6;
const HAS_LOADER: u32 = 1 << 9;

/// What follows the first word.
fn without_name(line: &'static str) -> &'static str {
    line.trim_start().split_once(' ').map_or("", |(_, rest)| rest.trim_start())
}

impl BootInfo {
    /// Reads what the loader left: `magic` from `eax`, the structure at `address` from `ebx`.
    pub fn read(magic: u32, address: u64, memory: &dyn Memory) -> Result<Self, BootError> {
        let mut info = Self::default();
        match magic {
            MAGIC_1 => info.read_1(address, memory)?,
            MAGIC_2 => info.read_2(address, memory)?,
            other => return Err(BootError::NotMultiboot(other)),
        }
        if info.memory.total() == 0 {
            return Err(BootError::NoMemoryMap);
        }
        if !info.is_grub_2() {
            info.cmdline = without_name(info.cmdline);
            for module in &mut info.modules[..info.count] {
                module.cmdline = without_name(module.cmdline);
            }
        }
        Ok(info)
    }

    /// GRUB 2 passes what stands behind a file's name; every other loader the name, too.
    fn is_grub_2(&self) -> bool {
        self.loader.strip_prefix("GRUB ").is_some_and(|version| !version.starts_with('0'))
    }

    /// The modules in the order of loading.
    pub fn modules(&self) -> &[Module] {
        &self.modules[..self.count]
    }

    fn read_1(&mut self, address: u64, memory: &dyn Memory) -> Result<(), BootError> {
        let head = memory.bytes(address, 68).ok_or(BootError::Truncated)?;
        let flags = u32_at(head, 0);
        if flags & HAS_LOADER != 0 {
            self.loader = memory.text(u32_at(head, 64).into(), MAX_LINE);
        }
        if flags & HAS_CMDLINE != 0 {
            self.cmdline = memory.text(u32_at(head, 16).into(), MAX_LINE);
        }
        if flags & HAS_MODULES != 0 {
            let (count, list) = (u32_at(head, 20), u64::from(u32_at(head, 24)));
            for index in 0..u64::from(count) {
                let entry = memory.bytes(list + 16 * index, 16).ok_or(BootError::Truncated)?;
                let cmdline = memory.text(u32_at(entry, 8).into(), MAX_LINE);
                let (start, end) = (u32_at(entry, 0).into(), u32_at(entry, 4).into());
                self.add_module(Module { start, end, cmdline })?;
            }
        }
        if flags & HAS_MEMORY_MAP != 0 {
            let (mut at, length) = (u64::from(u32_at(head, 48)), u64::from(u32_at(head, 44)));
            let end = at + length;
            while at < end {
                let entry = memory.bytes(at, 24).ok_or(BootError::Truncated)?;
                self.add_region(&entry[4..])?;
                // The size does not count itself.
                at += u64::from(u32_at(entry, 0)) + 4;
            }
        }
        Ok(())
    }

    fn read_2(&mut self, address: u64, memory: &dyn Memory) -> Result<(), BootError> {
        let head = memory.bytes(address, 8).ok_or(BootError::Truncated)?;
        let end = address + u64::from(u32_at(head, 0));
        let mut at = address + 8;
        while at + 8 <= end {
            let tag = memory.bytes(at, 8).ok_or(BootError::Truncated)?;
            let (kind, size) = (u32_at(tag, 0), u32_at(tag, 4));
            if size < 8 || at + u64::from(size) > end {
                return Err(BootError::Truncated);
            }
            let body = memory.bytes(at + 8, size as usize - 8).ok_or(BootError::Truncated)?;
            match kind {
                0 => break,
                1 => self.cmdline = memory.text(at + 8, body.len()),
                2 => self.loader = memory.text(at + 8, body.len()),
                3 if body.len() >= 8 => {
                    let cmdline = memory.text(at + 16, body.len() - 8);
                    let (start, end) = (u32_at(body, 0).into(), u32_at(body, 4).into());
                    self.add_module(Module { start, end, cmdline })?;
                }
                6 if body.len() >= 8 => {
                    let entry = u32_at(body, 0).max(24) as usize;
                    for region in body[8..].chunks_exact(entry) {
                        self.add_region(region)?;
                    }
                }
                14 | 15 => self.rsdp = Some(at + 8),
                _ => {}
            }
            at = (at + u64::from(size)).next_multiple_of(8);
        }
        Ok(())
    }

    fn add_module(&mut self, module: Module) -> Result<(), BootError> {
        if module.start >= module.end {
            return Err(BootError::Truncated);
        }
        *self.modules.get_mut(self.count).ok_or(BootError::TooMany)? = module;
        self.count += 1;
        Ok(())
    }

    /// Takes in start, length and kind, as both versions lay them out.
    fn add_region(&mut self, entry: &[u8]) -> Result<(), BootError> {
        let start = u64_at(entry, 0);
        let end = start.saturating_add(u64_at(entry, 8));
        let kind = Kind::from_e820(u32_at(entry, 16));
        self.memory.set(Region { start, end, kind }).map_err(|_| BootError::TooMany)
    }
}

/// A little-endian number; 0 behind the end.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let found = bytes.get(offset..offset + 4).and_then(|slice| slice.try_into().ok());
    found.map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec::Vec;

    /// Memory from address 0 on.
    struct Ram(&'static [u8]);

    impl Memory for Ram {
        fn bytes(&self, address: u64, length: usize) -> Option<&'static [u8]> {
            let start = usize::try_from(address).ok()?;
            self.0.get(start..start.checked_add(length)?)
        }
    }

    fn ram(bytes: Vec<u8>) -> Ram {
        Ram(Box::leak(bytes.into_boxed_slice()))
    }

    fn put(bytes: &mut [u8], at: usize, words: &[u32]) {
        for (index, word) in words.iter().enumerate() {
            bytes[at + 4 * index..][..4].copy_from_slice(&word.to_le_bytes());
        }
    }

    #[test]
    fn version_1_is_read() {
        let mut bytes = std::vec![0; 1024];
        put(&mut bytes, 0, &[HAS_CMDLINE | HAS_MODULES | HAS_MEMORY_MAP, 0, 0, 0, 512, 1, 256]);
        put(&mut bytes, 44, &[48, 300]);
        put(&mut bytes, 256, &[0x1000, 0x2000, 600, 0]);
        put(&mut bytes, 300, &[20, 0, 0, 0x9000, 0, 1, 20, 0x9000, 0, 0x1000, 0, 2]);
        bytes[512..533].copy_from_slice(b"xen.gz  dom0_mem=256M");
        bytes[600..612].copy_from_slice(b"vmlinuz ro a");
        let info = BootInfo::read(MAGIC_1, 0, &ram(bytes)).unwrap();
        assert_eq!(info.cmdline, "dom0_mem=256M");
        assert_eq!(info.modules(), [Module { start: 0x1000, end: 0x2000, cmdline: "ro a" }]);
        assert_eq!(info.memory.total(), 0x9000);
        assert_eq!(info.memory.regions().len(), 2);
    }

    #[test]
    fn version_2_is_read() {
        let mut bytes = std::vec![0; 256];
        put(&mut bytes, 0, &[120, 0, 1, 12]);
        bytes[16..19].copy_from_slice(b"a=b");
        put(&mut bytes, 24, &[3, 18, 0x3000, 0x4000]);
        bytes[40..42].copy_from_slice(b"m\0");
        put(&mut bytes, 48, &[6, 40, 24, 0, 0, 0, 0x8000, 0, 1, 0]);
        put(&mut bytes, 88, &[14, 16]);
        put(&mut bytes, 104, &[2, 16]);
        bytes[112..119].copy_from_slice(b"GRUB 2.");
        let info = BootInfo::read(MAGIC_2, 0, &ram(bytes)).unwrap();
        assert_eq!((info.cmdline, info.rsdp), ("a=b", Some(96)));
        assert_eq!(info.modules(), [Module { start: 0x3000, end: 0x4000, cmdline: "m" }]);
        assert_eq!(info.memory.total(), 0x8000);
    }

    #[test]
    fn others_are_refused() {
        let read = |magic| BootInfo::read(magic, 0, &ram(std::vec![0; 128])).unwrap_err();
        assert_eq!(read(7), BootError::NotMultiboot(7));
        assert_eq!(read(MAGIC_1), BootError::NoMemoryMap);
        assert_eq!(
            BootInfo::read(MAGIC_1, 1 << 40, &ram(Vec::new())).unwrap_err(),
            BootError::Truncated
        );
    }

    proptest! {
        /// Whatever is in memory, reading it ends.
        #[test]
        fn garbage_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), two: bool) {
            let magic = if two { MAGIC_2 } else { MAGIC_1 };
            let _ = BootInfo::read(magic, 0, &ram(bytes));
        }
    }
}
