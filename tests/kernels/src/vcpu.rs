//! Other vcpus of the kernel. They must never be called for anything: the shared page's first part and
//! all that is known of traps are the first one's.

use xen::abi::Plain;
use xen::abi::vcpu::{FLAT_KERNEL_CS, FLAT_KERNEL_SS, GuestContext, IN_KERNEL, INITIALISE};

use crate::hypercall::{call, number, place};
use crate::memory;

/// An operation on a vcpu (VCPUOP_*, vcpu.h).
pub fn operation(command: u64, vcpu: u64, argument: u64) -> i64 {
    call(number::VCPU_OP, &[command, vcpu, argument])
}

/// Says what a vcpu starts with.
pub fn initialise(vcpu: u64, context: &mut GuestContext) -> i64 {
    operation(INITIALISE, vcpu, place(context))
}

/// What a good one starts with: where, and the end of its stack.
pub fn context(entry: u64, stack: u64) -> GuestContext {
    let mut context = GuestContext::zeroed();
    context.flags = IN_KERNEL;
    context.user_regs.rip = entry;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.user_regs.rsp = stack;
    context.user_regs.rflags = 1 << 9;
    context.kernel_ss = FLAT_KERNEL_SS.into();
    context.kernel_sp = stack;
    context.ctrlreg[3] = memory::root() << 12;
    context
}
