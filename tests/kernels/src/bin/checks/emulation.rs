//! Instructions that only ring 0 has, in the kernel.

use core::arch::asm;

use kernels::answer::{answer, line, trap, value};
use kernels::hypercall::{call, number, place};
use kernels::memory::{self, flag, map, scratch};
use kernels::traps::{Trap, attempt};

/// Runs code from a page, with rax, rcx, rdx as given; gives rax as it was left if nothing trapped.
fn run(code: &[u8], [rax, rcx, rdx]: [u64; 3]) -> (Option<Trap>, u64) {
    let page = scratch(0);
    for (index, byte) in code.iter().chain(&[0xc3]).enumerate() {
        // SAFETY: within a page that is here to be written to.
        unsafe { ((page + index as u64) as *mut u8).write_volatile(*byte) };
    }
    let mut left = 0;
    let trap = attempt(|| {
        // SAFETY: what the code does is what is looked at; it returns or traps.
        unsafe {
            asm!(
                "push rbx", "call {page}", "pop rbx",
                page = in(reg) page,
                inlateout("rax") rax => left,
                inlateout("rcx") rcx => _,
                inlateout("rdx") rdx => _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
    });
    (trap, left)
}

pub fn check() {
    map(scratch(0), flag::DATA);
    instructions();
    registers();
    ports();
    cpuid();
    vm_assist();
}

fn instructions() {
    let codes: &[(&str, &[u8])] = &[
        ("hlt", &[0xf4]),
        ("cli", &[0xfa]),
        ("sti", &[0xfb]),
        ("clts", &[0x0f, 0x06]),
        ("invd", &[0x0f, 0x08]),
        ("wbinvd", &[0x0f, 0x09]),
        ("invlpg", &[0x0f, 0x01, 0x38]),
        ("lgdt", &[0x0f, 0x01, 0x10]),
        ("lidt", &[0x0f, 0x01, 0x18]),
        ("lmsw", &[0x0f, 0x01, 0xf0]),
        ("lldt", &[0x0f, 0x00, 0xd0]),
        ("ltr", &[0x0f, 0x00, 0xd8]),
        ("str", &[0x0f, 0x00, 0xc8]),
        ("swapgs", &[0x0f, 0x01, 0xf8]),
        ("sysret", &[0x48, 0x0f, 0x07]),
        ("sysexit", &[0x0f, 0x35]),
        ("sysenter", &[0x0f, 0x34]),
        ("vmcall", &[0x0f, 0x01, 0xc1]),
        ("vmmcall", &[0x0f, 0x01, 0xd9]),
        ("monitor", &[0x0f, 0x01, 0xc8]),
        ("xsetbv", &[0x0f, 0x01, 0xd1]),
        ("xgetbv", &[0x0f, 0x01, 0xd0]),
        ("rdpmc", &[0x0f, 0x33]),
        ("rdtscp", &[0x0f, 0x01, 0xf9]),
        ("rsm", &[0x0f, 0xaa]),
        ("mov rax, cr0", &[0x0f, 0x20, 0xc0]),
        ("mov rax, cr1", &[0x0f, 0x20, 0xc8]),
        ("mov rax, cr2", &[0x0f, 0x20, 0xd0]),
        ("mov rax, cr3", &[0x0f, 0x20, 0xd8]),
        ("mov rax, cr4", &[0x0f, 0x20, 0xe0]),
        ("mov rax, cr8", &[0x44, 0x0f, 0x20, 0xc0]),
        ("mov rax, dr0", &[0x0f, 0x21, 0xc0]),
        ("mov rax, dr4", &[0x0f, 0x21, 0xe0]),
        ("mov rax, dr6", &[0x0f, 0x21, 0xf0]),
        ("mov rax, dr7", &[0x0f, 0x21, 0xf8]),
        ("mov cr0, rax", &[0x0f, 0x22, 0xc0]),
        ("mov cr2, rax", &[0x0f, 0x22, 0xd0]),
        ("mov cr3, rax", &[0x0f, 0x22, 0xd8]),
        ("mov cr8, rax", &[0x44, 0x0f, 0x22, 0xc0]),
        ("mov dr0, rax", &[0x0f, 0x23, 0xc0]),
        ("mov dr7, rax", &[0x0f, 0x23, 0xf8]),
        ("lock nop", &[0xf0, 0x90]),
        ("fifteen prefixes", &[0x66; 15]),
        ("far jump", &[0x48, 0xff, 0x28]),
    ];
    for (name, code) in codes {
        let (ended, _) = run(code, [0, 0, 0]);
        trap(name, ended);
    }
    for (name, code) in [("cr0", [0x0f, 0x20, 0xc0]), ("cr2", [0x0f, 0x20, 0xd0])] {
        let _ = run(&[0x0f, 0x22, code[2]], [77, 0, 0]);
        let (ended, left) = run(&code, [0, 0, 0]);
        trap(name, ended);
        value(name, left);
    }
    let (_, cr3) = run(&[0x0f, 0x20, 0xd8], [0, 0, 0]);
    answer("cr3 is the base", i64::from(cr3 >> 12 == memory::root()));
    trap("the base that there is", run(&[0x0f, 0x22, 0xd8], [cr3, 0, 0]).0);
    trap("a base that is none", run(&[0x0f, 0x22, 0xd8], [0xfee0_0000, 0, 0]).0);
    trap("a base beyond memory", run(&[0x0f, 0x22, 0xd8], [!0, 0, 0]).0);
}

fn registers() {
    let numbers = [
        0x10,
        0x17,
        0x1b,
        0x34,
        0x3a,
        0x48,
        0x49,
        0x8b,
        0xce,
        0xfe,
        0x10a,
        0x174,
        0x175,
        0x176,
        0x179,
        0x17a,
        0x186,
        0x1a0,
        0x1d9,
        0x200,
        0x277,
        0x2ff,
        0x345,
        0x38f,
        0x400,
        0x480,
        0x6e0,
        0x802,
        0xda0,
        0x4000_0000,
        0xc000_0080,
        0xc000_0081,
        0xc000_0082,
        0xc000_0083,
        0xc000_0084,
        0xc000_0100,
        0xc000_0101,
        0xc000_0102,
        0xc000_0103,
        0xc001_0000,
        0xc001_0010,
        0xc001_0015,
        0xc001_001f,
        0xc001_0114,
        0xc001_1029,
        0xffff_ffff,
    ];
    for number in numbers {
        line(format_args!("register {number:#x}"));
        trap("rdmsr", run(&[0x0f, 0x32], [0, number, 0]).0);
        for low in [0, 1, 0xffff_ffff] {
            trap("wrmsr", run(&[0x0f, 0x30], [low, number, 0]).0);
        }
        // Not canonical as a base.
        trap("wrmsr", run(&[0x0f, 0x30], [0, number, 0x8000]).0);
    }
    for base in [0xc000_0100, 0xc000_0101, 0xc000_0102] {
        run(&[0x0f, 0x30], [0x1234_5678, base, 0xffff_8800]);
        let (_, low) = run(&[0x0f, 0x32], [0, base, 0]);
        value("a base", low);
        call(number::SET_SEGMENT_BASE, &[base - 0xc000_0100, 0]);
    }
}

fn ports() {
    for iopl in [0, 1, 3, 4, u32::MAX] {
        let mut new = iopl;
        answer("a level for ports", call(number::PHYSDEV_OP, &[6, place(&mut new)]));
        for port in [0x20, 0x21, 0x40, 0x61, 0x71, 0xa1, 0x3fd, 0xcf9, 0x402, 0xffff] {
            let (ended, left) = run(&[0xec], [0, 0, port]);
            trap("in al, dx", ended);
            if matches!(port, 0x20 | 0x21 | 0xa1 | 0x402 | 0xffff) {
                value("reads", left & 0xff);
            }
        }
        for code in [&[0xed][..], &[0x66, 0xed], &[0xe4, 0x61], &[0xe5, 0x61], &[0x66, 0xe5, 0x61]]
        {
            trap("other sizes", run(code, [0, 0, 0x402]).0);
        }
        for code in [&[0xee][..], &[0xef], &[0x66, 0xef], &[0xe6, 0x80], &[0xe7, 0x80]] {
            trap("out", run(code, [0, 0, 0x80]).0);
        }
        trap("cli", run(&[0xfa], [0; 3]).0);
        trap("sti", run(&[0xfb], [0; 3]).0);
    }
    let mut new = 1;
    call(number::PHYSDEV_OP, &[6, place(&mut new)]);
    // Beyond the last port, PCI's configuration of nothing.
    trap("across the end", run(&[0xed], [0, 0, 0xfffe]).0);
    trap("an address", run(&[0xef], [0x80ff_f800, 0, 0xcf8]).0);
    let (_, left) = run(&[0xed], [0, 0, 0xcf8]);
    value("it is", left);
    let (_, left) = run(&[0xed], [0, 0, 0xcfc]);
    value("nothing there", left);
    call(number::PHYSDEV_OP, &[6, place(&mut 0)]);
}

fn cpuid() {
    const FORCED: [u8; 7] = [0x0f, 0x0b, b'x', b'e', b'n', 0x0f, 0xa2];
    for leaf in [0, 0x4000_0000, 0x4000_0001, 0x4000_0003, 0x8000_0000] {
        let (ended, left) = run(&FORCED, [leaf, 0, 0]);
        trap("cpuid", ended);
        value("says", left);
    }
    trap("a prefix without cpuid", run(&FORCED[..5], [0; 3]).0);
    trap("with another instruction", run(&[0x0f, 0x0b, b'x', b'e', b'n', 0x0f, 0x32], [0; 3]).0);
    // The prefix at the end of a page, the instruction nowhere.
    let page = scratch(0);
    memory::map_frame(scratch(1), 0, 0);
    let at = page + 4096 - 5;
    for (index, byte) in FORCED[..5].iter().enumerate() {
        // SAFETY: within the page.
        unsafe { ((at + index as u64) as *mut u8).write_volatile(*byte) };
    }
    // SAFETY: it traps.
    trap("cut off", attempt(|| unsafe { asm!("jmp {}", in(reg) at) }));
    map(scratch(1), flag::DATA);
}

fn vm_assist() {
    for command in [0, 1, 2, u64::MAX] {
        for kind in [0, 1, 2, 3, 4, 5, 6, 31, 32, 33, 63, 64, u32::MAX.into()] {
            // The level for ports is looked at in other checks.
            if kind != 4 {
                answer("assist", call(number::VM_ASSIST, &[command, kind]));
            }
        }
    }
}
