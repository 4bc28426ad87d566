//! Vcpus: how long they ran, and another one.

use core::arch::global_asm;

use kernels::answer::{answer, line};
use kernels::events;
use kernels::hypercall::{call, number, place, volatile};
use kernels::memory::{frame, read, root, scratch};
use xen::abi::Plain;
use xen::abi::vcpu as op;
use xen::abi::x86_32::{
    FLAT_KERNEL_CS, FLAT_KERNEL_DS, FLAT_KERNEL_SS, GuestContext, Runstate, mfn_to_cr3,
};

// The other one says that it is there, and goes down.
global_asm!(
    r#"
    .globl other_entry
other_entry:
    mov [edi], esi
    mov ebx, {down}
    mov ecx, 1
    call hypercall_page + 32 * {vcpu_op}
    ud2
    "#,
    down = const op::DOWN,
    vcpu_op = const number::VCPU_OP,
);

unsafe extern "C" {
    static other_entry: u8;
}

pub fn all() {
    answer("is up", call(number::VCPU_OP, &[op::IS_UP, 0]));
    let mut state = Runstate { state: 9, state_entry_time: [0; 2], time: [[0; 2]; 4] };
    let at = place(&mut state);
    let mut area = [at as u32];
    for (name, command, argument) in [
        ("run state", op::GET_RUNSTATE_INFO, at),
        ("run state, shown", op::REGISTER_RUNSTATE_MEMORY_AREA, place(&mut area)),
    ] {
        state.state = 9;
        answer(name, call(number::VCPU_OP, &[command, 0, argument]));
        let Runstate { state, time: [running, ..], .. } = volatile(&mut state);
        line(format_args!("it runs: {}, it ran: {}", state == 0, running != [0; 2]));
    }
    area = [0];
    call(number::VCPU_OP, &[op::REGISTER_RUNSTATE_MEMORY_AREA, 0, place(&mut area)]);
    answer("no such vcpu", call(number::VCPU_OP, &[op::IS_UP, 7]));
    other();
}

fn other() {
    let mut context = GuestContext::zeroed();
    let regs = &mut context.user_regs;
    regs.eip = &raw const other_entry as u32;
    regs.esp = scratch(1) as u32;
    (regs.edi, regs.esi) = (scratch(2) as u32, 0x1234_5678);
    // Ring 0 is nobody's: it becomes ring 1.
    (regs.cs, regs.ss) = (FLAT_KERNEL_CS & !3, FLAT_KERNEL_SS & !3);
    [regs.ds, regs.es, regs.fs, regs.gs] = [FLAT_KERNEL_DS; 4];
    context.ctrlreg[3] = mfn_to_cr3(frame(scratch(3)));
    let start = |name, context: &mut GuestContext| {
        answer(name, call(number::VCPU_OP, &[op::INITIALISE, 1, place(context)]));
    };
    start("another, with bad tables", &mut context);
    context.ctrlreg[3] = mfn_to_cr3(frame(root()));
    start("another", &mut context);
    start("another, again", &mut context);
    answer("up", call(number::VCPU_OP, &[op::UP, 1]));
    let is_up = || call(number::VCPU_OP, &[op::IS_UP, 1]) == 1;
    while read(scratch(2)) != 0x1234_5678 || is_up() {
        events::poll(0, super::events::now() + 1_000_000);
    }
    line(format_args!("it was there"));
}
