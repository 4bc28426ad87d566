//! Programs of 32 bits, without and with ways into the kernel of their own.

use kernels::answer::{answer, trap, value};
use kernels::program::{CODE, INTERRUPTS, Program, STACK, iret};
use kernels::traps;

const FIRST: usize = 10;

pub fn check() {
    const SEGMENT: u64 = 0xe023;
    let codes: &[(&str, &[u8])] = &[
        ("syscall in 32 bits", &[0x0f, 0x05]),
        ("sysenter in 32 bits", &[0x0f, 0x34]),
        // pushf; or dword [esp], 0x100; popf; the call
        ("a stepped syscall in 32 bits", &[0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x0f, 0x05]),
        ("a stepped sysenter in 32 bits", &[0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x0f, 0x34]),
        ("int 0x80 in 32 bits", &[0xcd, 0x80]),
        ("ud2 in 32 bits", &[0x0f, 0x0b]),
    ];
    for (is_wanted, masks) in [(false, false), (true, false), (true, true), (false, true)] {
        for registered in traps::init_32_bit(is_wanted, masks) {
            answer("an entry for 32 bits", registered);
        }
        for (name, code) in codes {
            let program = Program::new(FIRST, code);
            let frame = [0, 0, 0, 0, CODE, SEGMENT, INTERRUPTS | 2, STACK + 4096, 0xe02b];
            let ended = iret(frame);
            trap(name, ended);
            let [rip, cs, rflags, rsp, ss] = ended.map_or([0; 5], |trap| trap.returns_to());
            value("at", rip);
            value("code segment", cs);
            value("flags", rflags & !0xd5);
            value("stack", rsp);
            value("stack segment", ss);
            value("events are masked", ended.is_some_and(|trap| trap.masks).into());
            program.end();
        }
    }
    traps::init();
}
