//! The decoder of writes to page tables against what the assembler makes of their text: all
//! operations, sizes and registers, and all ways to name a place in memory.

use std::fs;
use std::process::Command;

use hypervisor::writes::{Operation, Source, Write};

const REGISTERS: [[&str; 16]; 3] = [
    [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ],
    [
        "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d",
        "r12d", "r13d", "r14d", "r15d",
    ],
    [
        "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b",
        "r13b", "r14b", "r15b",
    ],
];
const SIZES: [(u8, &str); 3] = [(8, "qword"), (4, "dword"), (1, "byte")];
const PLACES: [&str; 14] = [
    "[rax]",
    "[rsp]",
    "[rbp]",
    "[r12]",
    "[r13]",
    "[rdi + 8]",
    "[rsp - 8]",
    "[r13 + 0x1000]",
    "[rip + 16]",
    "[rax + rcx * 8]",
    "[rbp + r12 * 4 + 1]",
    "[r12 + r13 * 2 - 0x800]",
    "[rcx * 8 + 0x100]",
    "fs:[rdx]",
];

/// Text, and what it should be decoded as.
type Case = (String, Operation, Source, u8);

fn cases() -> Vec<Case> {
    use Operation::*;
    let mut cases = Vec::new();
    let places = || PLACES.iter().enumerate();
    for (row, (size, word)) in SIZES.into_iter().enumerate() {
        for (number, name) in REGISTERS[row].iter().enumerate() {
            let source = Source::Register(number as u8);
            for (index, place) in places() {
                let place = format!("{word} ptr {place}");
                // Each register meets each place; operations take turns.
                let plain =
                    [("mov", Move), ("or", Or), ("and", And), ("xor", Xor), ("xchg", Exchange)];
                for (text, operation) in plain.into_iter().skip((number + index) % 2).step_by(2) {
                    cases.push((format!("{text} {place}, {name}"), operation, source, size));
                }
                cases.push((
                    format!("lock cmpxchg {place}, {name}"),
                    CompareExchange,
                    source,
                    size,
                ));
                if size > 1 {
                    for (text, operation) in [("bts", SetBit), ("btr", ClearBit), ("btc", FlipBit)]
                    {
                        cases.push((
                            format!("lock {text} {place}, {name}"),
                            operation,
                            source,
                            size,
                        ));
                    }
                }
            }
        }
        for (_, place) in places() {
            let place = format!("{word} ptr {place}");
            let values: &[i64] =
                if size == 1 { &[0, 2, -3] } else { &[0, 2, -3, 0x1234, -0x12345] };
            for &value in values {
                let source = Source::Immediate(value as u64);
                for (text, operation) in
                    [("mov", Move), ("lock or", Or), ("lock and", And), ("xor", Xor)]
                {
                    cases.push((format!("{text} {place}, {value}"), operation, source, size));
                }
            }
            if size > 1 {
                for (text, operation) in [("bts", SetBit), ("btr", ClearBit), ("btc", FlipBit)] {
                    let source = Source::Immediate(5);
                    cases.push((format!("lock {text} {place}, 5"), operation, source, size));
                }
            }
        }
    }
    cases
}

/// Assembles each text; gives its bytes.
fn assemble(name: &str, texts: &[String]) -> Vec<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the assembler");
    let (source, object, flat) = (folder.join("a.s"), folder.join("a.o"), folder.join("a.bin"));
    // Each begins at a multiple of 16 behind its own length.
    let mut text = String::from(".intel_syntax noprefix\n");
    for (index, line) in texts.iter().enumerate() {
        text += &format!(".balign 16\n.byte e{index} - s{index}\ns{index}: {line}\ne{index}:\n");
    }
    fs::write(&source, text).expect("the source");
    let run = |command: &mut Command| {
        let output = command.output().expect("binutils are installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(Command::new("as").arg("--64").arg("-o").arg(&object).arg(&source));
    run(Command::new("objcopy").args(["-O", "binary", "-j", ".text"]).arg(&object).arg(&flat));
    let bytes = fs::read(&flat).expect("the code");
    let _ = fs::remove_dir_all(&folder);
    let code = |piece: &[u8]| piece[1..=usize::from(piece[0])].to_vec();
    bytes.chunks(16).map(code).collect()
}

#[test]
fn what_the_assembler_writes_is_understood() {
    let cases = cases();
    let texts: Vec<String> = cases.iter().map(|(text, ..)| text.clone()).collect();
    let codes = assemble("writes", &texts);
    assert_eq!(codes.len(), cases.len());
    for ((text, operation, source, size), code) in cases.into_iter().zip(codes) {
        let length = code.len() as u8;
        let expected = Some(Write { operation, source, size, length });
        assert_eq!(Write::decode(&code, true), expected, "{text}: {code:02x?}");
        // Cut off it is nothing.
        for end in 0..code.len() {
            assert_eq!(Write::decode(&code[..end], true), None, "{text}, {end} bytes: {code:02x?}");
        }
    }
}

#[test]
fn other_instructions_are_not_taken_for_writes() {
    let texts = [
        "mov rax, [rdi]",
        "add [rdi], rax",
        "inc qword ptr [rdi]",
        "neg qword ptr [rdi]",
        "not qword ptr [rdi]",
        "xadd [rdi], rax",
        "lock cmpxchg8b [rdi]",
        "lock cmpxchg16b [rdi]",
        "stosq",
        "movsq",
        "push qword ptr [rdi]",
        "pop qword ptr [rdi]",
        "shl qword ptr [rdi], 1",
        "sub [rdi], rax",
        "movups [rdi], xmm0",
        "xor rax, rax",
        "mov word ptr [rdi], ax",
        "xchg word ptr [rdi], ax",
        "bt qword ptr [rdi], 1",
        "cmp [rdi], rax",
        "test [rdi], rax",
        "mov byte ptr [rdi], ah",
        "movnti [rdi], rax",
        "adc [rdi], rax",
        "sbb [rdi], rax",
    ];
    let texts = texts.map(str::to_owned);
    for (text, code) in texts.iter().zip(assemble("others", &texts)) {
        assert_eq!(Write::decode(&code, true), None, "{text}: {code:02x?}");
    }
}
