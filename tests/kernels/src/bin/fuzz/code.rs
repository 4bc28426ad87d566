//! Instructions: writes to tables in place, privileged ones, and programs of random bytes.

use core::arch::asm;

use kernels::answer::line;
use kernels::hypercall::{call, number, place};
use kernels::memory::{self, scratch};
use kernels::program::{CODE, STACK, iret};
use kernels::random::Random;
use kernels::traps::{Trap, attempt};
use xen::abi::DOMID_SELF;
use xen::abi::errno::EOPNOTSUPP;
use xen::abi::evtchn::{BIND_VIRQ, EXPAND_ARRAY, RESET};

use crate::field::{self, Field};
use crate::values;

/// Writes bytes of code there.
fn put(at: u64, code: &[u8]) {
    for (index, byte) in code.iter().enumerate() {
        // SAFETY: within a page that is the kernel's to write to.
        unsafe { ((at + index as u64) as *mut u8).write_volatile(*byte) };
    }
}

/// Runs code of the kernel's; it returns or traps.
fn run(code: &[u8], [rax, rcx, rdx, rsi]: [u64; 4]) -> Option<Trap> {
    let page = scratch(field::CODE);
    put(page, code);
    put(page + code.len() as u64, &[0xc3]);
    attempt(|| {
        // SAFETY: the code changes these registers only, and memory that nobody relies on.
        unsafe {
            asm!(
                "push rbx", "call {page}", "pop rbx",
                page = in(reg) page,
                inlateout("rax") rax => _,
                inlateout("rcx") rcx => _,
                inlateout("rdx") rdx => _,
                inlateout("rsi") rsi => _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
    })
}

/// Writes somewhere in the window, which may map tables: with one of the instructions that
/// kernels use for that, or nearly one.
pub fn write(random: &mut Random, is_traced: bool) -> Option<Trap> {
    const CODES: &[&[u8]] = &[
        &[0x48, 0x89, 0x06],                   // mov [rsi], rax
        &[0x89, 0x06],                         // mov [rsi], eax
        &[0x66, 0x89, 0x06],                   // mov [rsi], ax
        &[0x88, 0x06],                         // mov [rsi], al
        &[0x48, 0xc7, 0x06, 0, 0, 0, 0],       // mov qword [rsi], 0
        &[0x48, 0x87, 0x06],                   // xchg [rsi], rax
        &[0xf0, 0x48, 0x0f, 0xb1, 0x0e],       // lock cmpxchg [rsi], rcx
        &[0xf0, 0x48, 0x09, 0x06],             // lock or [rsi], rax
        &[0xf0, 0x48, 0x21, 0x06],             // lock and [rsi], rax
        &[0xf0, 0x80, 0x26, 0xfd],             // lock and byte [rsi], ~2
        &[0xf0, 0x80, 0x0e, 0x02],             // lock or byte [rsi], 2
        &[0xf0, 0x48, 0x0f, 0xba, 0x36, 0x01], // lock btr qword [rsi], 1
        &[0xf0, 0x48, 0x0f, 0xba, 0x2e, 0x3f], // lock bts qword [rsi], 63
        &[0x48, 0x0f, 0xab, 0x06],             // bts [rsi], rax
        &[0x48, 0x31, 0x06],                   // xor [rsi], rax
        &[0x48, 0x01, 0x06],                   // add [rsi], rax
        &[0x48, 0xff, 0x06],                   // inc qword [rsi]
        &[0xf0, 0x0f, 0xc7, 0x0e],             // lock cmpxchg8b [rsi]
        &[0x48, 0x8b, 0x06],                   // mov rax, [rsi]
        &[0x0f, 0x18, 0x06],                   // prefetch
    ];
    let code = random.pick(CODES);
    let at = values::window(random);
    let value = if random.once_in(2) { memory::read_or(at & !7, 0) } else { random.word() };
    if is_traced {
        line(format_args!("write {code:x?} at {at:#x}, {value:#x}"));
    }
    // What is written may be an entry: it is looked at by the hypervisor like any other.
    run(code, [value, random.word(), random.word(), at])
}

/// A privileged instruction with any registers.
pub fn instruction(random: &mut Random, field: &Field, is_traced: bool) -> Option<Trap> {
    const CODES: &[&[u8]] = &[
        &[0x0f, 0x30],
        &[0x0f, 0x32],
        &[0x0f, 0x20, 0xc0],
        &[0x0f, 0x20, 0xe0],
        &[0x0f, 0x21, 0xf0],
        &[0x0f, 0x22, 0xe0],
        &[0x0f, 0x22, 0xd0],
        &[0x0f, 0x06],
        &[0x0f, 0x09],
        &[0xec],
        &[0xed],
        &[0x66, 0xed],
        &[0xfa],
        &[0xfb],
        &[0x0f, 0x0b],
        &[0x0f, 0x0b, b'x', b'e', b'n', 0x0f, 0xa2],
        &[0xcc],
        &[0xcd, 0x80],
        &[0xcd, 0x20],
        &[0x0f, 0x01, 0x16],
        &[0x0f, 0x00, 0xd8],
        &[0x0f, 0x01, 0xf8],
        &[0x0f, 0x01, 0xd1],
        &[0x0f, 0x01, 0xd9],
        &[0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0x06],
        &[0x8e, 0xd8],
        &[0x8e, 0xe0],
        &[0x0f, 0x0b],
        &[0xf4],
        &[0x0f, 0x33],
        &[0x0f, 0xa2],
    ];
    const HLT: [u8; 1] = [0xf4];
    const MOV_CR3_RDX: [u8; 3] = [0x0f, 0x22, 0xd2];
    const RDX: usize = 2;
    let code = random.pick(CODES);
    if code == HLT {
        // It may wait for something.
        alarm();
    }
    let mut registers = [0; 4].map(|_: u64| match random.below(4) {
        0 => random.pick(&[0xc000_0080, 0xc000_0100, 0xc000_0101, 0xc000_0102, 0x1b, 0x277, 0x10]),
        1 => 0xffff_8300_0000_0000,
        _ => values::number(random),
    });
    // The same goes for this as for the hypercall that names a base.
    if code == MOV_CR3_RDX && !field.may_be_base(registers[RDX] >> 12) {
        registers[RDX] = field.root() << 12;
    }
    if is_traced {
        line(format_args!("instruction {code:x?}, {registers:x?}"));
    }
    let ended = run(code, registers);
    // SAFETY: the kernel relies on none of them.
    unsafe { asm!("mov ds, {0:e}", "mov fs, {0:e}", in(reg) 0) }
    ended
}

/// Has an event come soon, whatever became of the timer's port.
fn alarm() {
    // In queues, which random calls turn on, what was raised before stays raised.
    let added = call(number::EVENT_CHANNEL_OP, &[EXPAND_ARRAY, place(&mut { u64::MAX })]);
    if added != -i64::from(EOPNOTSUPP.0) {
        call(number::EVENT_CHANNEL_OP, &[RESET, place(&mut u64::from(DOMID_SELF))]);
    }
    kernels::events::forget();
    kernels::events::mask_all(false);
    call(number::EVENT_CHANNEL_OP, &[BIND_VIRQ, place(&mut [0_u32; 3])]);
    // A time that is past.
    call(number::SET_TIMER_OP, &[1]);
}

/// Goes to a program of random bytes, or by a frame that is nearly good.
pub fn program(random: &mut Random, field: &Field, is_traced: bool) -> Option<Trap> {
    field.program();
    let code: [u8; 24] = core::array::from_fn(|_| random.word() as u8);
    put(Field::program_code(), &code);
    // What it runs into in the end.
    put(Field::program_code() + 24, &[0x0f, 0x0b]);
    if random.once_in(4) {
        let known = random.pick(&[
            [0x0f, 0x05, 0x0f, 0x0b],
            [0xcd, 0x80, 0x0f, 0x0b],
            [0x0f, 0x34, 0x0f, 0x0b],
        ]);
        put(Field::program_code(), &known);
    }
    let mut frame = [0, 0, 0, 0, CODE, 0xe033, 0x202, STACK + 4096, 0xe02b];
    let kernel_stack = scratch(field::CODE) + 4096;
    if random.once_in(2) {
        let index = random.below(9) as usize;
        let segments =
            [0, 3, 8, 0x1b, 0x23, 0xe008, 0xe010, 0xe023, 0xe02b, 0xe033, 0xe040, 0xfff3, 0xfff7];
        frame[index] = match index {
            5 | 8 => random.pick(&segments),
            4 | 7 => values::pointer(random),
            _ => values::number(random),
        };
        // To the kernel itself it goes with a stack.
        if frame[5] & 3 != 3 {
            // One of the hypervisor's segments, or none: in 32-bit code the stack would be lost.
            frame[5] = random.pick(&[0, 0xe008, 0xe010, 0xe030, 0xe040]);
            frame[4] = scratch(field::CODE);
            frame[7] = kernel_stack;
            put(scratch(field::CODE), &[0x0f, 0x0b]);
        }
    }
    // Single steps and interrupts off change nothing of what ends it.
    frame[6] |= 0x200;
    alarm();
    if is_traced {
        line(format_args!("program {code:x?}, {frame:x?}"));
    }
    let ended = iret(frame);
    kernels::events::forget();
    // SAFETY: the kernel relies on none of them.
    unsafe {
        asm!("cld", "mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}", in(reg) 0)
    }
    ended
}
