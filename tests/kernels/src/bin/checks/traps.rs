//! What traps lead to, in the kernel.

use core::arch::asm;

use kernels::answer::{answer, trap, value};
use kernels::hypercall::{call, number, place};
use kernels::memory::{self, flag, map, scratch};
use kernels::program::iret;
use kernels::traps::attempt;
use xen::abi::vcpu::TrapInfo;

const GATE: TrapInfo = TrapInfo { vector: 0, flags: 0, cs: 0xe033, pad: 0, address: 0 };

pub fn check() {
    exceptions();
    addresses();
    returns();
    tables();
    callbacks();
    answer("segment bases", call(number::SET_SEGMENT_BASE, &[0, 0x1234]));
    for (name, base) in [
        ("the kernel's", memory::VIRT_BASE),
        ("the hypervisor's", 0xffff_8300_0000_0000),
        ("not canonical", 0x0000_8000_0000_0000),
        ("zero", 0),
    ] {
        for which in 0..6 {
            if which != 3 {
                answer(name, call(number::SET_SEGMENT_BASE, &[which, base]));
            }
        }
    }
    for selector in [0xe02b, 0, 0x1b, 0xe008, 0xffff, 3] {
        answer("a selector of GS", call(number::SET_SEGMENT_BASE, &[3, selector]));
    }
    call(number::SET_SEGMENT_BASE, &[3, 0]);
    debug_registers();
    fpu();
}

fn exceptions() {
    trap(
        "a division by zero",
        attempt(|| {
            // SAFETY: it traps.
            unsafe { asm!("xor ecx, ecx", "div ecx", out("rax") _, out("rcx") _, out("rdx") _) }
        }),
    );
    let instructions: [(&str, fn()); 7] = [
        // SAFETY: each of them traps.
        ("ud2", || unsafe { asm!("ud2") }),
        // SAFETY: as above.
        ("int3", || unsafe { asm!("int3") }),
        // SAFETY: as above.
        ("int 0x80", || unsafe { asm!("int 0x80") }),
        // SAFETY: as above.
        ("int 0x81", || unsafe { asm!("int 0x81") }),
        // SAFETY: as above.
        ("int 14", || unsafe { asm!("int 14") }),
        // SAFETY: as above.
        ("a single step", || unsafe {
            asm!("pushfq", "or dword ptr [rsp], 0x100", "popfq", "nop", "nop")
        }),
        // SAFETY: as above.
        ("a far call", || unsafe { asm!("push 0x3", "push 0", "retfq") }),
    ];
    for (name, act) in instructions {
        trap(name, attempt(act));
    }
}

fn addresses() {
    let page = scratch(0);
    map(page, flag::READ_ONLY);
    for (name, at) in [
        ("nowhere", 0x1000),
        ("read-only memory", page),
        ("the end of programs' addresses", 0x0000_7fff_ffff_fff8),
        ("not canonical", 0x0000_8000_0000_0000),
        ("the machine-to-physical table", 0xffff_8000_0000_0000),
        ("behind that table", 0xffff_8080_0000_0000),
        ("the window of segments", 0xffff_8200_0000_0000),
        ("the hypervisor", 0xffff_82d0_8000_0000),
        ("all memory", 0xffff_8300_0000_0000),
        ("behind the hypervisor", 0xffff_8800_0000_0000),
        ("the last word", !7),
    ] {
        trap("read", attempt(|| memory::read(at)));
        trap(name, attempt(|| memory::write(at, 0)));
    }
    map(page, flag::DATA);
    map(page, flag::DATA | flag::NO_EXECUTE);
    trap("run what is not to be executed", attempt(|| jump(page)));
    trap("run nothing", attempt(|| jump(0x1000)));
    trap("run the hypervisor", attempt(|| jump(0xffff_82d0_8000_0000)));
    trap("run what is not canonical", attempt(|| jump(0x0000_8000_0000_0000)));
    map(page, flag::DATA);
}

fn jump(at: u64) {
    // SAFETY: it traps there.
    unsafe { asm!("jmp {}", in(reg) at) }
}

/// Returns to the kernel itself, with frames that are good and bad.
fn returns() {
    let page = scratch(0);
    map(page, flag::DATA);
    // ud2
    memory::write(page, 0x0b0f);
    let stack = scratch(1) + 4096;
    let good = [0, 0, 0, 0, page, 0xe030, 0x202, stack, 0xe02b];
    let change = |index: usize, value: u64| {
        let mut frame = good;
        frame[index] = value;
        frame
    };
    trap("a return", iret(good));
    for cs in
        [0xe033 & !3, 0xe031, 0xe032, 0, 8, 0x10, 0xe008, 0xe010, 0xe040, 0xfff0, 0xfff4, 0x1_e030]
    {
        trap("a return to a code segment", iret(change(5, cs)));
    }
    for ss in [0xe02b, 0xe028, 0, 8, 0xe010, 0xe008, 0xe033, 0xe040, 0xfff0, 0xfff4] {
        trap("a return to a stack segment", iret(change(8, ss)));
    }
    for rflags in [
        0,
        0x202,
        0x102,
        0x3202,
        1 << 14,
        1 << 16,
        1 << 17,
        1 << 18,
        1 << 19,
        1 << 20,
        1 << 21,
        !0x100,
    ] {
        memory::write(page, 0x0b0f);
        trap("a return with flags", iret(change(6, rflags)));
    }
    for rip in [0x1000, 0x0000_8000_0000_0000, 0xffff_8300_0000_0000, !0, 0x7fff_ffff_ffff] {
        trap("a return to an address", iret(change(4, rip)));
    }
    for flags in [0, 1 << 8, !0] {
        trap("a return from a system call", iret(change(3, flags)));
    }
    let frame = iret(change(6, 0x3ed7)).map_or([0; 5], |trap| trap.returns_to());
    value("flags", frame[2]);
    value("code", frame[1]);
    value("stack", frame[4]);
    let frame = iret(change(6, 0x2)).map_or([0; 5], |trap| trap.returns_to());
    value("flags", frame[2]);
    value("code", frame[1]);
    memory::mask_events(true);
}

fn tables() {
    let mut table = [GATE; 3];
    let list = place(&mut table);
    answer("no traps in a list", call(number::SET_TRAP_TABLE, &[list]));
    for (name, address) in [
        ("a handler of the kernel", memory::VIRT_BASE),
        ("one of the hypervisor", 0xffff_8300_0000_0000),
        ("one not canonical", 0x0000_8000_0000_0000),
        ("one beyond programs", 0x0000_7fff_ffff_ffff),
    ] {
        table[0] = TrapInfo { vector: 200, address, ..GATE };
        answer(name, call(number::SET_TRAP_TABLE, &[place(&mut table)]));
        table[0] = TrapInfo { vector: 200, address, cs: 0xe008, ..GATE };
        answer(name, call(number::SET_TRAP_TABLE, &[place(&mut table)]));
    }
    answer("all traps forgotten", call(number::SET_TRAP_TABLE, &[0]));
    kernels::traps::init();
    // A table that ends where memory does.
    let page = scratch(1);
    map(page, flag::DATA);
    memory::map_frame(scratch(2), 0, 0);
    for entry in 0..256 {
        memory::write(page + 16 * entry, 0xe033_0000 | 0xc8);
        memory::write(page + 16 * entry + 8, memory::VIRT_BASE);
    }
    answer("a list without an end", call(number::SET_TRAP_TABLE, &[page]));
    map(scratch(2), flag::DATA);
    kernels::traps::init();
}

fn callbacks() {
    let hypervisor = 0xffff_8300_0000_0000;
    let bad = 0x0000_8000_0000_0000;
    let good = memory::VIRT_BASE;
    for list in
        [[good; 3], [hypervisor, good, good], [good, bad, good], [good, good, bad], [bad; 3]]
    {
        answer("callbacks", call(number::SET_CALLBACKS, &list));
    }
    for command in 0..3 {
        for kind in 0..9_u64 {
            for address in [good, bad] {
                let mut register = [kind | 1 << 16, address];
                answer("one callback", call(number::CALLBACK_OP, &[command, place(&mut register)]));
            }
        }
    }
    kernels::traps::init();
    for stack in [good, hypervisor, bad, 0] {
        for segment in [0xe02b, 0, 0xe010, 0xe02b | 1 << 32, 0xffff] {
            answer("a stack", call(number::STACK_SWITCH, &[segment, stack]));
        }
    }
    kernels::traps::init();
}

fn debug_registers() {
    for number in [0, 1, 2, 3, 4, 5, 6, 7, 8, 1 << 31, u32::MAX.into()] {
        for (name, new) in [
            ("zero", 0),
            ("an address", 0x1234),
            ("the kernel's address", memory::VIRT_BASE),
            ("the hypervisor's", 0xffff_8300_0000_0000),
            ("not canonical", 0x0000_8000_0000_0000),
            ("all ones", !0),
            ("all low ones", 0xffff_ffff),
            ("one that is on", 0x401),
            ("one for ports", 0x0002_0402),
        ] {
            answer(name, call(number::SET_DEBUGREG, &[number, new]));
            value("it is", call(number::GET_DEBUGREG, &[number]) as u64);
        }
        call(number::SET_DEBUGREG, &[number, 0]);
    }
    call(number::SET_DEBUGREG, &[7, 0x400]);
    // A breakpoint at an instruction, and one at data.
    let page = scratch(0);
    map(page, flag::DATA);
    // nop; ud2
    memory::write(page, 0x0b_0f90);
    call(number::SET_DEBUGREG, &[0, page]);
    answer("a breakpoint", call(number::SET_DEBUGREG, &[7, 0x402]));
    trap("runs into it", attempt(|| jump(page)));
    value("why", call(number::GET_DEBUGREG, &[6]) as u64);
    call(number::SET_DEBUGREG, &[0, page + 8]);
    answer("a watched word", call(number::SET_DEBUGREG, &[7, 0x000d_0402]));
    trap("writes to it", attempt(|| memory::write(page + 8, 0)));
    trap("reads beside it", attempt(|| memory::read(page + 16)));
    answer("none", call(number::SET_DEBUGREG, &[7, 0x400]));
    trap("writes to it", attempt(|| memory::write(page + 8, 0)));
    call(number::SET_DEBUGREG, &[0, 0]);
    call(number::SET_DEBUGREG, &[6, 0]);
}

fn fpu() {
    let use_it = || {
        // SAFETY: nothing here uses the FPU.
        unsafe { asm!("fninit") }
    };
    trap("the FPU", attempt(use_it));
    answer("next use traps", call(number::FPU_TASKSWITCH, &[1]));
    trap("the FPU", attempt(use_it));
    trap("the FPU again", attempt(use_it));
    answer("next use traps", call(number::FPU_TASKSWITCH, &[!0]));
    answer("or not", call(number::FPU_TASKSWITCH, &[0]));
    trap("the FPU", attempt(use_it));
    answer("next use traps", call(number::FPU_TASKSWITCH, &[1 << 32]));
    trap("the FPU", attempt(use_it));
    // SAFETY: changes nothing of Rust's.
    trap("clts", attempt(|| unsafe { asm!("clts") }));
}
