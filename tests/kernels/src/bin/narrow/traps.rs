//! Exceptions of the kernel and of programs, privileged instructions, and returns.

use core::arch::asm;

use kernels::answer::{answer, line, trap, value};
use kernels::hypercall::{call, iret, number, operation};
use kernels::memory::flag::{ACCESSED, DATA, DIRTY, PRESENT, READ_ONLY, USER, WRITABLE};
use kernels::memory::{VIRT_BASE, map, read, scratch, shared_address, write};
use kernels::traps::{Trap, attempt};
use xen::abi::x86_32::{CallbackRegister, FLAT_KERNEL_CS, FLAT_KERNEL_SS};
use xen::abi::{callback, physdev};

/// Flat segments of programs (FLAT_RING3_CS, FLAT_RING3_DS, arch-x86/xen-x86_32.h).
const PROGRAM_CODE: u32 = 0xe02b;
const PROGRAM_DATA: u32 = 0xe033;
/// Without interrupts: an event, if any waits, isn't delivered.
const FLAGS: u32 = 2;
const INTERRUPTS: u32 = 1 << 9;
const VIRTUAL_8086: u32 = 1 << 17;

pub fn all() {
    exceptions();
    privileged();
    programs();
    returns();
}

/// An instruction, or two, that may trap.
macro_rules! code {
    ($($text:literal),+ $(, $operand:tt = $value:expr)*) => {
        // SAFETY: what traps is over then; it changes nothing that the compiler keeps.
        trap($($text),+, attempt(|| unsafe { asm!($($text),+) }))
    };
}

fn exceptions() {
    code!("ud2");
    code!("int3");
    code!("int 0x80");
    code!("hlt");
    code!("ltr ax");
    trap("divide by 0", attempt(divide_by_0));
    trap("a jump to nowhere", attempt(|| jump(0x1000)));
    for (name, selector) in [
        ("the hypervisor's code", 0xe008_u16),
        ("code of 64 bits, which isn't there", 0xe033),
        ("programs' code", 0xe02b),
    ] {
        trap(name, attempt(|| far_jump(selector)));
    }
    // SAFETY: as above.
    trap("syscall", attempt(|| unsafe { asm!("syscall", out("ecx") _) }));
}

fn divide_by_0() {
    // SAFETY: it traps, and changes nothing that the compiler keeps.
    unsafe { asm!("xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _) }
}

fn jump(address: u32) {
    // SAFETY: nothing is there: it faults.
    unsafe { asm!("call {}", in(reg) address) }
}

fn far_jump(selector: u16) {
    let target = [VIRT_BASE as u32, u32::from(selector)];
    // SAFETY: it faults.
    unsafe { asm!("jmp fword ptr [{}]", in(reg) target.as_ptr()) }
}

fn privileged() {
    code!("cli");
    code!("in al, 0x80");
    answer("ports' level 1", operation(number::PHYSDEV_OP, physdev::SET_IOPL, &mut 1_u32));
    code!("cli");
    answer("ports' level 0", operation(number::PHYSDEV_OP, physdev::SET_IOPL, &mut 0_u32));
    code!("clts");
    let (mut signature, mut features): (u32, u32);
    // SAFETY: cpuid, by the hypervisor, with ebx kept.
    unsafe {
        asm!(
            "push ebx", "ud2", ".ascii \"xen\"", "cpuid", "mov ecx, ebx", "pop ebx",
            inout("eax") 0x4000_0000_u32 => _, out("ecx") signature, out("edx") _,
        );
        asm!(
            "push ebx", "ud2", ".ascii \"xen\"", "cpuid", "pop ebx",
            inout("eax") 0x8000_0001_u32 => _, out("ecx") _, out("edx") features,
        );
    }
    value("cpuid", signature.into());
    line(format_args!("long mode: {}", features >> 29 & 1));
    let mut efer: u32 = 0;
    trap("rdmsr", attempt(|| efer = read_msr(0xc000_0080)));
    line(format_args!("long mode: {}", efer >> 8 & 5));
    trap("base of gs", attempt(|| _ = read_msr(0xc000_0101)));
}

fn read_msr(number: u32) -> u32 {
    let low;
    // SAFETY: reads a register, or traps.
    unsafe { asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") _) };
    low
}

/// Runs a program's code, and says what came of it.
fn program(name: &str, code: &[u8]) -> Option<Trap> {
    let trapped = program_quietly(code);
    trap(name, trapped);
    trapped
}

fn program_quietly(code: &[u8]) -> Option<Trap> {
    let (page, stack) = (scratch(14), scratch(15));
    map(page, DATA);
    for (offset, byte) in (0..).zip(code) {
        // SAFETY: a page to play with.
        unsafe { ((page + offset) as *mut u8).write_volatile(*byte) };
    }
    map(page, READ_ONLY | USER);
    map(stack, PRESENT | WRITABLE | USER | ACCESSED | DIRTY);
    let frame = [page as u32, PROGRAM_CODE, FLAGS, stack as u32 + 4096, PROGRAM_DATA];
    attempt(|| iret(&frame))
}

fn programs() {
    let called = program("a program's call", &[0xcd, 0x80]).expect("it calls");
    let [eip, cs, eflags, esp, ss, ..] = called.returns_to() else { panic!("no frame") };
    let (page, stack) = (scratch(14) as u32, scratch(15) as u32);
    line(format_args!("from {:#x}, {cs:#x}, flags {eflags:#x}", eip - page));
    line(format_args!("stack {:#x}, {ss:#x}", esp - stack));
    program("hlt", &[0xf4]);
    let refused = program_quietly(&[0xcd, 0x82]).is_some_and(|trapped| trapped.kind == 13);
    line(format_args!("its hypercall is refused: {refused}"));
    program("int3", &[0xcc]);
    // mov eax, [0xc0100000]; mov eax, [0xf5800000]; mov eax, 0xc0100000; call eax
    let [a, b, c, d] = (VIRT_BASE as u32 + (1 << 20)).to_le_bytes();
    program("the kernel's memory", &[0xa1, a, b, c, d]);
    program("the hypervisor's", &[0xa1, 0, 0, 0x80, 0xf5]);
    program("the kernel's code", &[0xb8, a, b, c, d, 0xff, 0xd0]);
    // jmp 0xe019:0; jmp 0xe033:0
    program("to the kernel's ring", &[0xea, 0, 0, 0, 0, 0x19, 0xe0]);
    program("to code of 64 bits", &[0xea, 0, 0, 0, 0, 0x33, 0xe0]);
    program("syscall, which nobody hears", &[0x0f, 0x05]);
    let eip = &raw const hears_syscall as u32;
    let mut register =
        CallbackRegister { r#type: callback::SYSCALL32, flags: 0, cs: FLAT_KERNEL_CS.into(), eip };
    answer("hear it", operation(number::CALLBACK_OP, callback::REGISTER, &mut register));
    program("syscall", &[0x0f, 0x05]);
    register.r#type = callback::EVENT;
    answer("no events", operation(number::CALLBACK_OP, callback::UNREGISTER, &mut register));
}

core::arch::global_asm!(
    r#"
    .globl hears_syscall
hears_syscall:
    int 0x80
    "#
);

unsafe extern "C" {
    static hears_syscall: u8;
}

/// Something waits to be delivered.
fn raise_an_event() {
    let word = read(shared_address(0));
    write(shared_address(0), word | 1);
}

/// Returns that can't be made as they are.
fn returns() {
    // in al, 0x80
    program("a port", &[0xe4, 0x80]);
    let stack = scratch(15) as u32 + 4096;
    let page = scratch(14) as u32;
    let attempts: [(&str, [u32; 5]); 5] = [
        ("virtual 8086 mode", [page, PROGRAM_CODE, FLAGS | VIRTUAL_8086, stack, PROGRAM_DATA]),
        ("a segment that isn't there", [page, 0x53, FLAGS, stack, PROGRAM_DATA]),
        ("a stack that isn't there", [page, PROGRAM_CODE, FLAGS, stack, 0x53]),
        ("events for programs", [page, PROGRAM_CODE, FLAGS | INTERRUPTS, stack, PROGRAM_DATA]),
        ("ports for programs", [page, PROGRAM_CODE, FLAGS | 3 << 12, stack, PROGRAM_DATA]),
    ];
    for (name, frame) in attempts {
        raise_an_event();
        trap(name, attempt(|| iret(&frame)));
    }
    answer("another stack", call(number::STACK_SWITCH, &[FLAT_KERNEL_SS.into(), 0]));
    kernels::traps::init();
}
