//! A second vcpu, made, started and stopped by the first; and what the first finds when it runs
//! again with segments that are there no more.
//!
//! There is one processor, so that a vcpu that yields has the other one run. The second one only
//! counts: it must never be called for anything, as the shared page's first part is not its own.

use core::arch::{asm, global_asm};

use kernels::answer::{answer, trap, value};
use kernels::hypercall::{call, number, place};
use kernels::memory::{self, flag, frame, map, scratch};
use kernels::traps::attempt;
use kernels::vcpu::{initialise, operation};
use xen::abi::sched;
use xen::abi::vcpu::{self, GuestContext};

const SECOND: u64 = 1;
/// Turns that the second vcpu is given to be seen running, or not.
const TURNS: u64 = 200;
/// A data segment of ring 3, and the bit that says that it is there.
const DATA: u64 = 0x00cf_f300_0000_ffff;
const PRESENT: u64 = 1 << 47;
/// Its entry in the GDT, and a selector for it.
const ENTRY: u64 = 3;
const SELECTOR: u64 = ENTRY << 3 | 3;

type Change = fn(&mut GuestContext);

global_asm!(
    r#"
    .globl second_entry, second_turns
second_entry:
    inc qword ptr [rip + second_turns]
    mov eax, {sched_op}
    mov edi, {yield_}
    xor esi, esi
    syscall
    jmp second_entry

    .section .bss.second, "aw", @nobits
    .balign 8
second_turns: .quad 0
    .text
    "#,
    sched_op = const number::SCHED_OP,
    yield_ = const sched::YIELD,
);

unsafe extern "C" {
    static second_entry: u8;
    static second_turns: u64;
}

fn turns() -> u64 {
    memory::read(&raw const second_turns as u64)
}

fn give_way() {
    call(number::SCHED_OP, &[sched::YIELD]);
}

/// Whether the second vcpu runs if it is let.
fn runs() -> u64 {
    let before = turns();
    (0..TURNS)
        .any(|_| {
            give_way();
            turns() != before
        })
        .into()
}

/// What a good one starts with.
fn context(stack: u64) -> GuestContext {
    kernels::vcpu::context(&raw const second_entry as u64, stack + 4096)
}

pub fn check() {
    let stack = scratch(0);
    map(stack, flag::DATA);
    refused(stack);
    if initialise(SECOND, &mut context(stack)) != 0 {
        return;
    }
    answer("initialise it again", initialise(SECOND, &mut context(stack)));
    answer("is it up", operation(vcpu::IS_UP, SECOND, 0));
    value("it runs", runs());
    for round in 0..3 {
        value("round", round);
        answer("up", operation(vcpu::UP, SECOND, 0));
        answer("is it up", operation(vcpu::IS_UP, SECOND, 0));
        value("it runs", runs());
        answer("up again", operation(vcpu::UP, SECOND, 0));
        segments();
        answer("down", operation(vcpu::DOWN, SECOND, 0));
        answer("is it up", operation(vcpu::IS_UP, SECOND, 0));
        value("it runs", runs());
        answer("down again", operation(vcpu::DOWN, SECOND, 0));
    }
}

/// First registers that no vcpu may have.
fn refused(stack: u64) {
    for (name, vcpu) in [("the third", 2), ("the last", 8191), ("none", u64::MAX)] {
        answer("initialise", initialise(vcpu, &mut context(stack)));
        answer(name, operation(vcpu::IS_UP, vcpu, 0));
        answer(name, operation(vcpu::UP, vcpu, 0));
    }
    answer("up before it is initialised", operation(vcpu::UP, SECOND, 0));
    let bad: &[(&str, Change)] = &[
        ("no page table", |context| context.ctrlreg[3] = 0),
        ("data as a page table", |context| context.ctrlreg[3] = frame(scratch(0)) << 12),
        ("a page table that isn't there", |context| context.ctrlreg[3] = 1 << 50),
        ("programs' page table that is data", |context| {
            context.ctrlreg[1] = frame(scratch(0)) << 12 | 1
        }),
        ("a GDT that is too long", |context| context.gdt_ents = 1 << 20),
        ("a GDT that is data", |context| {
            (context.gdt_ents, context.gdt_frames[0]) = (512, frame(scratch(0)));
        }),
        ("an LDT that is too long", |context| context.ldt_ents = 1 << 20),
        ("a place of no address to start at", |context| context.user_regs.rip = 1 << 62),
        ("a stack of no address", |context| context.user_regs.rsp = 1 << 62),
        ("a kernel stack of no address", |context| context.kernel_sp = 1 << 62),
        ("an LDT of no address", |context| {
            (context.ldt_ents, context.ldt_base) = (1, 1 << 62);
        }),
        ("no LDT, of no address", |context| {
            (context.ldt_base, context.kernel_sp) = (1 << 62, 1 << 62);
        }),
        ("a base of no address", |context| context.fs_base = 1 << 62),
        ("a base of no address for programs", |context| context.gs_base_user = 1 << 62),
        ("a trap's handler of no address", |context| context.trap_ctxt[14].address = 1 << 62),
        ("an event callback of no address", |context| context.event_callback_eip = 1 << 62),
    ];
    for (name, change) in bad {
        let mut context = context(stack);
        change(&mut context);
        // One that is taken after all is the last.
        answer(name, initialise(SECOND, &mut context));
    }
}

/// A segment goes away while the other vcpu runs.
fn segments() {
    let page = scratch(1);
    let loads: [(&str, fn()); 4] = [
        ("ds", || {
            // SAFETY: ring 3 code uses no such segment's base or limit in 64-bit mode.
            unsafe { asm!("mov ds, {:e}", in(reg) SELECTOR) }
        }),
        ("es", || {
            // SAFETY: as above.
            unsafe { asm!("mov es, {:e}", in(reg) SELECTOR) }
        }),
        ("fs", || {
            // SAFETY: as above; nothing here uses what its base leads to.
            unsafe { asm!("mov fs, {:e}", in(reg) SELECTOR) }
        }),
        ("gs", || {
            // SAFETY: as above.
            unsafe { asm!("mov gs, {:e}", in(reg) SELECTOR) }
        }),
    ];
    for (name, load) in loads {
        map(page, flag::DATA);
        memory::fill(page, 0);
        memory::write(page + 8 * ENTRY, DATA);
        map(page, flag::READ_ONLY);
        answer("a GDT", call(number::SET_GDT, &[place(&mut [frame(page)]), 512]));
        let ended = attempt(|| {
            load();
            let descriptor = (frame(page) << 12) + 8 * ENTRY;
            call(number::UPDATE_DESCRIPTOR, &[descriptor, DATA & !PRESENT]);
            runs();
        });
        trap(name, ended);
        let frame = ended.map_or([0; 6], |trap| core::array::from_fn(|index| trap.frame[index]));
        for (name, selector) in ["ds", "es", "fs", "gs"].into_iter().zip(&frame[2..]) {
            value(name, *selector);
        }
        clear();
        answer("no GDT", call(number::SET_GDT, &[0, 0]));
    }
    map(page, flag::DATA);
}

fn clear() {
    // SAFETY: nothing here uses what these segments lead to.
    unsafe {
        asm!("mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}", in(reg) 0);
    }
}
