//! What programs do, and where it leads.

use kernels::answer::{trap, value};
use kernels::program::{CODE, INTERRUPTS, Program, STACK};
use kernels::{events, memory};

const FIRST: usize = 10;

pub fn check() {
    let codes: &[(&str, &[u8])] = &[
        ("syscall", &[0x0f, 0x05]),
        ("sysenter", &[0x0f, 0x34]),
        ("int 0x80", &[0xcd, 0x80]),
        ("int 0x81", &[0xcd, 0x81]),
        ("int3", &[0xcc]),
        ("int 3", &[0xcd, 3]),
        ("int 4", &[0xcd, 4]),
        ("int 14", &[0xcd, 14]),
        ("ud2", &[0x0f, 0x0b]),
        ("hlt", &[0xf4]),
        ("cli", &[0xfa]),
        ("in al, 0x61", &[0xe4, 0x61]),
        ("rdmsr", &[0x0f, 0x32]),
        ("wrmsr", &[0x0f, 0x30]),
        ("mov rax, cr0", &[0x0f, 0x20, 0xc0]),
        ("mov rax, cr3", &[0x0f, 0x20, 0xd8]),
        ("mov cr3, rax", &[0x0f, 0x22, 0xd8]),
        ("mov rax, dr7", &[0x0f, 0x21, 0xf8]),
        ("wbinvd", &[0x0f, 0x09]),
        ("clts", &[0x0f, 0x06]),
        ("lgdt", &[0x0f, 0x01, 0x10]),
        ("swapgs", &[0x0f, 0x01, 0xf8]),
        ("forced cpuid; ud2", &[0x0f, 0x0b, b'x', b'e', b'n', 0x0f, 0xa2, 0x0f, 0x0b]),
        ("div", &[0x31, 0xc9, 0xf7, 0xf1]),
        ("read nothing", &[0xa1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("read the kernel", &[0xa1, 0, 0, 0x10, 0x80, 0xff, 0xff, 0xff, 0xff]),
        ("read the hypervisor", &[0xa1, 0, 0, 0, 0, 0, 0x83, 0xff, 0xff]),
        (
            "read the machine-to-physical table; ud2",
            &[0xa1, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0x0f, 0x0b],
        ),
        ("write the machine-to-physical table", &[0xa3, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff]),
        ("write to code", &[0xa3, 0, 0, 0x40, 0, 0, 0, 0, 0]),
        ("run the stack", &[0xff, 0xe4]),
        ("iretq to ring 0", &[0x6a, 0, 0x6a, 0, 0x6a, 2, 0x6a, 8, 0x6a, 0, 0x48, 0xcf]),
    ];
    for (name, code) in codes {
        let program = Program::new(FIRST, code);
        let ended = program.run(INTERRUPTS | 2);
        trap(name, ended);
        let [rip, cs, rflags, rsp, ss] = ended.map_or([0; 5], |trap| trap.returns_to());
        value("at", rip.wrapping_sub(CODE));
        value("code segment", cs);
        value("flags", rflags & !0xd5);
        value("stack", rsp.wrapping_sub(STACK));
        value("stack segment", ss);
        program.end();
    }
    // pushf; popf with everything set; ud2
    let program =
        Program::new(FIRST, &[0x9c, 0x48, 0x81, 0x0c, 0x24, 0xd5, 0x7c, 0x2f, 0, 0x9d, 0x0f, 0x0b]);
    let ended = program.run(INTERRUPTS | 2);
    trap("flags set by a program", ended);
    value("are", ended.map_or(0, |trap| trap.returns_to()[2]));
    program.end();
    returns();
    events_come();
}

fn returns() {
    let program = Program::new(FIRST, &[0x0f, 0x0b]);
    let good = [0, 0, 0, 0, CODE, 0xe033, 0x202, STACK + 4096, 0xe02b];
    for (index, values) in [
        (4, [0, CODE + 4096 * 8, 0x0000_8000_0000_0000, 0xffff_8300_0000_0000, !0]),
        (5, [0xe023, 0xe02b, 0x1b, 0xfff3, 0xe00b]),
        (6, [0, 0x3202, 0x4202, 0x1_0202, 0x2_0202]),
        (7, [0, 1, 0x0000_8000_0000_0000, 0xffff_8300_0000_0000, !0]),
        (8, [0, 3, 0xe033, 0x1b, 0xe013]),
    ] {
        for value in values {
            let mut frame = good;
            frame[index] = value;
            let ended = kernels::program::iret(frame);
            trap("a return to a program", ended);
            let [_, cs, _, _, ss] = ended.map_or([0; 5], |trap| trap.returns_to());
            kernels::answer::value("code segment", cs);
            kernels::answer::value("stack segment", ss);
        }
    }
    program.end();
}

/// Events reach the kernel when they may.
fn events_come() {
    use kernels::hypercall::{number, operation};
    // jmp $
    let program = Program::new(FIRST, &[0xeb, 0xfe]);
    let mut bind = [0_u32, 0];
    operation(number::EVENT_CHANNEL_OP, 7, &mut bind);
    let mut port = kernels::hypercall::volatile(&mut bind)[1];
    events::mask_all(false);
    operation(number::EVENT_CHANNEL_OP, 4, &mut port);
    let ended = program.run(INTERRUPTS | 2);
    trap("an event for a program", ended);
    let rip = ended.map_or(0, |trap| trap.returns_to()[0]);
    value("at", rip.wrapping_sub(CODE));
    value("events are masked then", memory::shared(memory::MASK) & 1);
    memory::mask_events(true);
    events::forget();
    operation(number::EVENT_CHANNEL_OP, 3, &mut port);
    program.end();
}
