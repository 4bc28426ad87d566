//! Hypercalls: the kernel's number and arguments in registers, an answer in rax.

mod callbacks;
mod console;
mod cpuid;
pub mod descriptors;
mod domctl;
mod events;
mod grants;
pub mod iret;
mod memory;
mod mmu;
pub mod mmuext;
mod multicall;
mod physdev;
mod platform;
mod sched;
mod sysctl;
mod vcpu;
mod version;

use hypervisor::paging::Error;
use xen::abi::errno::{EBUSY, EINVAL, ENOSYS, EPERM, Errno};

use crate::vcpu::Guest;

/// The arguments, in order.
pub type Arguments = [u64; 6];

/// Why a hypercall has no answer.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// It failed.
    Error(Errno),
    /// It takes long: it is made again with these arguments, when what waits has been done.
    Again(Arguments),
}

/// What comes of a hypercall.
pub type Answer = Result<u64, Stop>;

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::Error(error)
    }
}

/// The number that stands for what the rules for page tables say.
pub fn errno(error: Error) -> Errno {
    match error {
        Error::Invalid => EINVAL,
        Error::InUse | Error::Busy => EBUSY,
        Error::NotPermitted => EPERM,
    }
}

/// Hypercalls by number (xen.h).
pub const IRET: u64 = 23;
const MMU_UPDATE: u64 = 1;
const MMUEXT_OP: u64 = 26;

/// Bytes of the instruction that a hypercall is made with.
const INSTRUCTION: u64 = 2;

/// Does the hypercall that the guest's registers hold.
pub fn dispatch(guest: &mut Guest<'_>) {
    let registers = guest.registers();
    let number = registers.rax;
    if number == IRET {
        return iret::iret(guest);
    }
    let done = match number {
        MMU_UPDATE => mmu::usual(guest),
        MMUEXT_OP => mmuext::usual(guest),
        _ => None,
    };
    if done.is_some() {
        guest.registers().rax = 0;
        return;
    }
    let registers = guest.registers();
    let arguments =
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
    let answer = call(guest, number, arguments);
    let registers = guest.registers();
    match answer {
        Ok(value) => registers.rax = value,
        Err(Stop::Error(error)) => registers.rax = i64::from(-error.0) as u64,
        Err(Stop::Again(arguments)) => {
            registers.rip -= INSTRUCTION;
            let places = [
                &mut registers.rdi,
                &mut registers.rsi,
                &mut registers.rdx,
                &mut registers.r10,
                &mut registers.r8,
            ];
            // Other registers are the guest's, who relies on them.
            let changed = places.into_iter().zip(arguments).take(arguments_of(number));
            changed.for_each(|(place, argument)| *place = argument);
        }
    }
}

/// How many arguments a hypercall has that may take long.
fn arguments_of(number: u64) -> usize {
    match number {
        // mmu_update, mmuext_op
        1 | 26 => 4,
        // console_io, grant_table_op, vcpu_op
        18 | 20 | 24 => 3,
        // sysctl, domctl
        35 | 36 => 1,
        _ => 2,
    }
}

/// Does a hypercall.
fn call(guest: &mut Guest<'_>, number: u64, arguments: Arguments) -> Answer {
    let [a, b, c, d, ..] = arguments;
    match number {
        0 => callbacks::set_trap_table(guest, a),
        1 => mmu::update(guest, arguments),
        2 => descriptors::set_gdt(guest, a, b as u32),
        3 => callbacks::stack_switch(guest, a, b),
        4 => callbacks::set_callbacks(guest, a, b, c),
        5 => callbacks::fpu_taskswitch(guest, a as u32),
        7 => platform::operation(guest, a),
        8 => callbacks::set_debug(guest, a as u32, b),
        9 => callbacks::get_debug(guest, a as u32),
        10 => descriptors::update(guest, a, b),
        12 => memory::operation(guest, a, b),
        13 => multicall::multicall(guest, arguments),
        14 => mmu::update_va_mapping(guest, a, b, c, xen::abi::DOMID_SELF.into()),
        15 => sched::set_timer(guest, a),
        17 => version::operation(guest, a as u32, b),
        18 => console::operation(guest, a as u32, b as u32, c),
        20 => grants::operation(guest, a, b, c),
        21 => callbacks::vm_assist(guest, a as u32, b as u32),
        22 => mmu::update_va_mapping(guest, a, b, c, d),
        24 => vcpu::operation(guest, a as u32, b as u32, c),
        25 => callbacks::set_segment_base(guest, a as u32, b),
        26 => mmuext::operations(guest, arguments),
        29 => sched::operation(guest, a as u32, b),
        30 => callbacks::operation(guest, a as u32, b),
        32 => events::operation(guest, a as u32, b),
        33 => physdev::operation(guest, a as u32, b),
        35 => sysctl::operation(guest, a),
        36 => domctl::operation(guest, a),
        _ => Err(ENOSYS.into()),
    }
}
