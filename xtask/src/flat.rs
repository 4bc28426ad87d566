//! From the hypervisor's ELF file to what a boot loader loads: its segments one behind the other,
//! with the table of symbols filled in.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use elf::ElfBytes;
use elf::abi::{PT_LOAD, STT_FUNC, STT_NOTYPE};
use elf::endian::LittleEndian;

use crate::project;

/// Where the table goes, and where the image's addresses begin (`hypervisor/link.ld`).
const PLACE: [&str; 2] = ["__symbols", "__symbols_end"];
const BASE: &str = "TEXT_BASE";
/// The longest name that is kept, and what names are cut to at most where there is no room else.
const LONGEST: usize = 80;
const SHORTEST: usize = 32;

/// A name and its address.
struct Symbol {
    name: String,
    address: u64,
    is_code: bool,
}

/// Makes `build/escalus` of the ELF file, and gives its path. Hold the build folder's lock.
pub fn make(file: &Path) -> Result<PathBuf> {
    project::cached("escalus", &project::stamp(file)?, |path| {
        let bytes = fs::read(file)?;
        Ok(fs::write(path, flat(&bytes)?)?)
    })
}

fn flat(file: &[u8]) -> Result<Vec<u8>> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file)?;
    let all = elf.segments().context("no segments")?.iter();
    let loaded: Vec<_> = all.filter(|s| s.p_type == PT_LOAD && s.p_filesz > 0).collect();
    let start = loaded.iter().map(|segment| segment.p_paddr).min().context("nothing to load")?;
    let end = loaded.iter().map(|segment| segment.p_paddr + segment.p_filesz).max().unwrap_or(0);
    let mut image = vec![0; (end - start) as usize];
    let symbols = symbols(&elf)?;
    let find = |name: &str| {
        let found = symbols.iter().find(|symbol| symbol.name == name);
        found.map(|symbol| symbol.address).with_context(|| format!("no symbol {name}"))
    };
    let base = find(BASE)?;
    let strays = strays(&elf, &symbols)?;
    ensure!(strays.is_empty(), "in use after .init is given back: {}", strays.join(", "));
    let [place, limit] = [find(PLACE[0])?, find(PLACE[1])?];
    for segment in &loaded {
        let at = (segment.p_paddr - start) as usize;
        let contents = elf.segment_data(segment)?;
        image[at..at + contents.len()].copy_from_slice(contents);
    }
    let functions = symbols.iter().filter(|symbol| symbol.is_code && symbol.address >= base);
    let mut functions: Vec<(u32, &str)> = functions
        .map(|symbol| (symbol.address - base, symbol.name.as_str()))
        .filter_map(|(distance, name)| Some((u32::try_from(distance).ok()?, name)))
        .collect();
    functions.sort();
    functions.dedup_by_key(|(distance, _)| *distance);
    let room = (limit - place) as usize;
    let mut tables = (SHORTEST..=LONGEST).rev().map(|longest| table(&functions, longest));
    let table = tables.find(|table| table.len() <= room);
    let table =
        table.with_context(|| format!("{room} bytes in link.ld are too few for symbols"))?;
    let at = (place - base - start) as usize;
    image[at..at + table.len()].copy_from_slice(&table);
    Ok(image)
}

fn symbols(elf: &ElfBytes<'_, LittleEndian>) -> Result<Vec<Symbol>> {
    let (table, names) = elf.symbol_table()?.context("the file has no symbols")?;
    let mut symbols = Vec::new();
    for symbol in table.iter().filter(|symbol| symbol.st_name != 0) {
        let name = names.get(symbol.st_name as usize)?;
        let kind = symbol.st_symtype();
        symbols.push(Symbol {
            name: readable(name),
            address: symbol.st_value,
            is_code: kind == STT_FUNC || kind == STT_NOTYPE && name.ends_with("_entry"),
        });
    }
    Ok(symbols)
}

/// The only function that uses what is in `.init` and stays.
const STARTS: &str = "escalus::start::start";
/// Our own functions. Those of libraries stay where they are, though only `.init` calls them.
const OURS: [&str; 2] = ["escalus::", "hypervisor::"];

/// Whether the four bytes behind these are the distance to an address: of a call, a jump, or `lea`.
fn have_distance(before: &[u8]) -> bool {
    matches!(before, [_, 0xe8 | 0xe9] | [0x0f, 0x80..0x90])
        || matches!(before, [0x8d, mode] if mode & 0xc7 == 5)
}

/// Functions that stay, and refer to one that doesn't.
fn strays(elf: &ElfBytes<'_, LittleEndian>, symbols: &[Symbol]) -> Result<Vec<String>> {
    let section = |name: &str| {
        let header = elf.section_header_by_name(name)?;
        header.with_context(|| format!("no section {name}"))
    };
    let [init, text] = [section(".init")?, section(".text")?];
    let is_transient = |symbol: &&Symbol| {
        symbol.is_code && (init.sh_addr..init.sh_addr + init.sh_size).contains(&symbol.address)
    };
    let transient: HashSet<u64> =
        symbols.iter().filter(is_transient).map(|it| it.address).collect();
    let by_address: BTreeMap<u64, &Symbol> =
        symbols.iter().filter(|it| it.is_code).map(|it| (it.address, it)).collect();
    let (bytes, _) = elf.section_data(&text)?;
    let mut strays = Vec::new();
    for (at, window) in (text.sh_addr..).zip(bytes.windows(6)) {
        let (before, distance) = window.split_at(2);
        let distance = i32::from_le_bytes(distance.try_into()?);
        let target = (at + 6).wrapping_add_signed(distance.into());
        if !have_distance(before) || !transient.contains(&target) {
            continue;
        }
        let caller = by_address.range(..=at).next_back().map_or("?", |(_, it)| &it.name);
        if caller != STARTS && OURS.iter().any(|ours| caller.starts_with(ours)) {
            strays.push(caller.to_owned());
        }
    }
    Ok(strays)
}

/// A readable name, without the compiler's hash, and without the module of what is a type's own.
fn readable(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let own = || {
        let (_, rest) = name.split_once("::<impl ")?;
        let (kind, function) = rest.rsplit_once(">::")?;
        (!kind.contains(" for ")).then(|| format!("{kind}::{function}"))
    };
    own().unwrap_or(name)
}

/// A name of so many bytes at most.
fn cut(name: &str, longest: usize) -> String {
    match name.len() > longest {
        true => format!("{}..", &name[..name.floor_char_boundary(longest - 2)]),
        false => name.to_owned(),
    }
}

/// The table as `hypervisor/src/symbols.rs` reads it, with names of so many bytes at most.
fn table(functions: &[(u32, &str)], longest: usize) -> Vec<u8> {
    let cut = |(distance, name): &(u32, &str)| (*distance, cut(name, longest));
    let functions: Vec<(u32, String)> = functions.iter().map(cut).collect();
    let mut bytes = (functions.len() as u32).to_le_bytes().to_vec();
    let mut end = 0;
    for (distance, name) in &functions {
        end += name.len() as u32;
        bytes.extend([distance.to_le_bytes(), end.to_le_bytes()].concat());
    }
    functions.iter().for_each(|(_, name)| bytes.extend(name.as_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypervisor::symbols::Symbols;

    #[test]
    fn the_hypervisor_reads_the_table() {
        let bytes = table(&[(16, "a::b"), (100, "c")], LONGEST);
        assert_eq!(Symbols::new(&bytes).find(20), Some(("a::b", 4)));
        assert_eq!(Symbols::new(&bytes).find(100), Some(("c", 0)));
    }

    #[test]
    fn calls_jumps_and_addresses_have_distances() {
        for code in [&[0x90, 0xe8], &[0x90, 0xe9], &[0x0f, 0x84], &[0x8d, 0x35]] {
            assert!(have_distance(code), "{code:x?}");
        }
        for code in [&[0xdf, 0x0f], &[0x8d, 0x75], &[0x0f, 0x1f], &[0x8b, 0x05]] {
            assert!(!have_distance(code), "{code:x?}");
        }
    }

    #[test]
    fn names_are_readable() {
        let name = "_ZN10hypervisor4time3now17h0123456789abcdefE";
        assert_eq!(readable(name), "hypervisor::time::now");
        let name = "escalus::events::<impl escalus::domain::Domain>::unmask";
        assert_eq!(readable(name), "escalus::domain::Domain::unmask");
        let name = "core::ops::impls::<impl core::ops::FnMut<A> for &mut F>::call";
        assert_eq!(readable(name), name);
        assert_eq!(cut(&"x".repeat(200), 5), "xxx..");
        assert_eq!(table(&[(16, "abcdefgh")], 6), table(&[(16, "abcd..")], 80));
    }
}
