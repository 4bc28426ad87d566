//! Kernels made by hand, good ones and bad ones.

use proptest::prelude::*;
use xen::abi::elfnote;

use super::*;

const BASE: u64 = 0xffff_ffff_8000_0000;
/// Where the file has what is loaded.
const CODE: u64 = 0x1000;

/// A kernel: one segment of `code` at 16 MiB and 8 KiB more of memory, and notes.
fn kernel(notes: &[(u32, &[u8])], code: &[u8]) -> Vec<u8> {
    let mut note_bytes = Vec::new();
    for (kind, desc) in notes {
        for word in [4, desc.len() as u32, *kind] {
            note_bytes.extend_from_slice(&word.to_le_bytes());
        }
        note_bytes.extend_from_slice(b"Xen\0");
        note_bytes.extend_from_slice(desc);
        note_bytes.resize(note_bytes.len().next_multiple_of(4), 0);
    }
    let len = note_bytes.len() as u64;
    let mut file = Vec::new();
    // System V gABI, chapters 4 and 5: identification, executable for x86-64, two program headers.
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0");
    for word in [BASE, 64, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for half in [0_u16, 0, 64, 56, 2, 64, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    let code_len = code.len() as u64;
    for (kind, words) in [
        (1_u32, [CODE, BASE + (16 << 20), 16 << 20, code_len, code_len + 8192, 4096]),
        (4_u32, [176, 0, 0, len, len, 8]),
    ] {
        file.extend_from_slice(&kind.to_le_bytes());
        file.extend_from_slice(&7_u32.to_le_bytes());
        for word in words {
            file.extend_from_slice(&word.to_le_bytes());
        }
    }
    file.extend_from_slice(&note_bytes);
    assert!(file.len() as u64 <= CODE);
    file.resize(CODE as usize, 0);
    file.extend_from_slice(code);
    file
}

fn word(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

fn good_notes() -> Vec<(u32, Vec<u8>)> {
    vec![
        (elfnote::GUEST_OS, b"linux\0".to_vec()),
        (elfnote::GUEST_VERSION, b"2.6\0".to_vec()),
        (elfnote::XEN_VERSION, b"xen-3.0\0".to_vec()),
        (elfnote::VIRT_BASE, word(BASE).to_vec()),
        (elfnote::ENTRY, word(BASE + (16 << 20) + 4).to_vec()),
        (elfnote::INIT_P2M, word(0x80_0000_0000).to_vec()),
        (elfnote::MOD_START_PFN, 1_u32.to_le_bytes().to_vec()),
        (elfnote::FEATURES, b"!writable_page_tables|pae_pgdir_above_4gb\0".to_vec()),
    ]
}

type InMemory = Kernel<Cow<'static, [u8]>>;

fn parsed(file: Vec<u8>) -> Result<InMemory, String> {
    Kernel::from_bytes(file).map_err(|error| error.to_string())
}

fn parse(notes: &[(u32, Vec<u8>)]) -> Result<InMemory, String> {
    let notes: Vec<(u32, &[u8])> = notes.iter().map(|(kind, desc)| (*kind, &desc[..])).collect();
    parsed(kernel(&notes, b"some code"))
}

/// A kernel of 32 bits: one page of code at 1 MiB, and its notes.
fn narrow_kernel(pae: Option<&[u8]>) -> Vec<u8> {
    const NARROW_BASE: u32 = 0xc000_0000;
    let word = |value: u32| value.to_le_bytes().to_vec();
    let mut notes = Vec::new();
    let said = [
        (elfnote::XEN_VERSION, b"xen-3.0\0".to_vec()),
        (elfnote::VIRT_BASE, word(NARROW_BASE)),
        (elfnote::ENTRY, word(NARROW_BASE + (1 << 20))),
    ];
    for (kind, desc) in said.into_iter().chain(pae.map(|pae| (elfnote::PAE_MODE, pae.to_vec()))) {
        for word in [4, desc.len() as u32, kind] {
            notes.extend_from_slice(&word.to_le_bytes());
        }
        notes.extend_from_slice(b"Xen\0");
        notes.extend_from_slice(&desc);
        notes.resize(notes.len().next_multiple_of(4), 0);
    }
    let len = notes.len() as u32;
    // System V gABI, chapters 4 and 5: as above, for the 80386.
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    [NARROW_BASE, 52, 0, 0].iter().for_each(|word| file.extend_from_slice(&word.to_le_bytes()));
    for half in [52_u16, 32, 2, 40, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    let (at, place) = (CODE as u32, 1 << 20);
    for header in
        [[1, at, NARROW_BASE + place, place, 4, 4096, 7, 4096], [4, 116, 0, 0, len, len, 4, 4]]
    {
        header.iter().for_each(|word: &u32| file.extend_from_slice(&word.to_le_bytes()));
    }
    file.extend_from_slice(&notes);
    file.resize(CODE as usize, 0);
    file.extend_from_slice(b"code");
    file
}

#[test]
fn a_kernel_of_32_bits_has_pae() {
    for pae in [&b"yes\0"[..], b"bimodal\0", b"yes,bimodal\0"] {
        let needs = parsed(narrow_kernel(Some(pae))).unwrap().needs;
        assert_eq!((needs.width, needs.virt_base), (Width::Bits32, 0xc000_0000));
        assert_eq!((needs.entry, needs.kernel_end), (0xc010_0000, (1 << 20) + 4096));
    }
    for pae in [None, Some(&b"no\0"[..])] {
        let error = parsed(narrow_kernel(pae)).unwrap_err();
        assert!(error.contains("without PAE"), "{error}");
    }
}

#[test]
fn a_kernel_says_what_it_needs() {
    let kernel = parse(&good_notes()).unwrap();
    assert_eq!(kernel.name, "linux 2.6");
    assert_eq!(
        kernel.needs,
        Needs {
            width: Width::Bits64,
            virt_base: BASE,
            entry: BASE + (16 << 20) + 4,
            kernel_end: (16 << 20) + 9 + 8192,
            hypercall_page: None,
            p2m_base: Some(0x80_0000_0000),
            ramdisk_outside: true,
        }
    );
    let segments = kernel.segments();
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].physical, 16 << 20);
    assert_eq!(kernel.bytes(&segments[0]), b"some code");
    assert_eq!(segments[0].zeros, 8192);
}

#[test]
fn an_older_kernel_gets_its_list_in_the_mapping_and_a_hypercall_page() {
    let mut notes = good_notes();
    notes.retain(|(kind, _)| ![elfnote::INIT_P2M, elfnote::MOD_START_PFN].contains(kind));
    notes.push((elfnote::HYPERCALL_PAGE, word(BASE + (16 << 20) + 4096).to_vec()));
    let needs = parse(&notes).unwrap().needs;
    assert_eq!(needs.hypercall_page, Some((16 << 20) + 4096));
    assert_eq!((needs.p2m_base, needs.ramdisk_outside), (None, false));
}

#[test]
fn the_last_note_may_be_cut_off() {
    // The size in the second program header, of the notes.
    const SIZE: usize = 64 + 56 + 32;
    let notes = good_notes();
    let notes: Vec<(u32, &[u8])> = notes.iter().map(|(kind, desc)| (*kind, &desc[..])).collect();
    let mut file = kernel(&notes, b"some code");
    let size = u64::from_le_bytes(file[SIZE..SIZE + 8].try_into().unwrap());
    let needs = parsed(file.clone()).unwrap().needs;
    file[SIZE..SIZE + 8].copy_from_slice(&(size - 8).to_le_bytes());
    assert_eq!(parsed(file.clone()).unwrap().needs, needs);
    // Of one that isn't even begun nothing is known, and too many are refused.
    let last = notes[notes.len() - 1].1.len().next_multiple_of(4) as u64;
    file[SIZE..SIZE + 8].copy_from_slice(&(size - last - 8).to_le_bytes());
    assert!(parsed(file.clone()).is_ok());
    file[SIZE..SIZE + 8].copy_from_slice(&(2_u64 << 20).to_le_bytes());
    assert!(parsed(file).unwrap_err().contains("notes of 2097152 bytes"));
}

#[test]
fn notes_that_cannot_be_met_are_refused() {
    let bad: [(u32, &[u8], &str); 8] = [
        (elfnote::XEN_VERSION, b"xen-2.0\0", "xen-2.0"),
        (elfnote::VIRT_BASE, b"\0\0", "where it is mapped"),
        (elfnote::VIRT_BASE, &word(BASE + 4096), "base address"),
        (elfnote::ENTRY, &word(BASE - 1), "entry point"),
        (elfnote::ENTRY, &word(BASE + (64 << 20)), "entry point"),
        (elfnote::INIT_P2M, &word(BASE), "p2m"),
        (elfnote::HYPERCALL_PAGE, &word(BASE + 1), "hypercall page"),
        (elfnote::FEATURES, b"auto_translated_physmap", "auto-translated"),
    ];
    for (kind, desc, expected) in bad {
        let mut notes = good_notes();
        notes.retain(|(other, _)| *other != kind);
        notes.push((kind, desc.to_vec()));
        let error = parse(&notes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_no_kernel_says_so() {
    let error = parsed(b"#!/bin/sh\necho no kernel\n".to_vec()).unwrap_err();
    assert!(error.contains("not a kernel"), "{error}");
}

#[test]
fn an_ordinary_program_lacks_the_notes() {
    let program = std::fs::read("/proc/self/exe").unwrap();
    let error = parsed(program).unwrap_err();
    assert!(error.contains("Xen"), "{error}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = std::env::temp_dir();
    let missing = folder.join("no-such-kernel");
    for (path, reason) in [(&missing, "No such file"), (&folder, "not a file")] {
        let kernel = Kernel::open(path, Ok).unwrap_err();
        for error in [kernel, Contents::open(path).unwrap_err()] {
            let text = error.to_string();
            assert!(text.starts_with(path.to_str().unwrap()), "{text}");
            assert!(text.contains(reason), "{text}");
        }
    }
}

#[test]
fn a_file_is_read_where_memory_would_be() {
    let notes = good_notes();
    let notes: Vec<(u32, &[u8])> = notes.iter().map(|(kind, desc)| (*kind, &desc[..])).collect();
    let whole = kernel(&notes, b"some code");
    let path = std::env::temp_dir().join(format!("builder-kernel-{}", std::process::id()));
    std::fs::write(&path, &whole).unwrap();
    let in_file = Kernel::open(&path, |_| Err("it isn't packed".to_owned())).unwrap();
    let in_memory = parsed(whole.clone()).unwrap();
    assert_eq!(in_file.segments(), in_memory.segments());
    assert_eq!(in_file.needs, in_memory.needs);
    // One that isn't an image yet becomes one.
    let packed = path.with_extension("packed");
    std::fs::write(&packed, b"packed").unwrap();
    let unpack = |_| std::fs::File::open(&path).map_err(|error| error.to_string());
    assert_eq!(Kernel::open(&packed, unpack).unwrap().needs, in_memory.needs);
    // What is loaded has to be there.
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = Kernel::open(&path, Ok).unwrap_err().to_string();
    assert!(error.contains("cut off"), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&packed).unwrap();
}

proptest! {
    #[test]
    fn no_file_brings_it_down(
        mut file in proptest::collection::vec(any::<u8>(), 0..600), kind in 0..6_usize,
    ) {
        let magics: [&[u8]; 6] = [
            b"\x7fELF\x02\x01\x01", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd",
            b"\x02\x21\x4c\x18", b"\x5d\0\0",
        ];
        let magic = magics[kind];
        let len = magic.len().min(file.len());
        file[..len].copy_from_slice(&magic[..len]);
        let _ = parsed(file);
    }

    #[test]
    fn no_damaged_kernel_brings_it_down(
        damage in proptest::collection::vec((0..560_usize, any::<u8>()), 1..8),
    ) {
        let notes = good_notes();
        let notes: Vec<(u32, &[u8])> = notes.iter().map(|(kind, desc)| (*kind, &desc[..])).collect();
        let mut file = kernel(&notes, &[0; 64]);
        for (at, byte) in damage {
            file[at] = byte;
        }
        let Ok(kernel) = parsed(file) else { return Ok(()) };
        for segment in kernel.segments() {
            let len = kernel.bytes(segment).len() as u64;
            let end = segment.physical + len + segment.zeros;
            prop_assert!(end <= kernel.needs.kernel_end);
        }
        // Whatever it asks for, it gets an answer.
        let _ = crate::layout::Layout::new(&kernel.needs, 1 << 20, 65_536);
    }
}
