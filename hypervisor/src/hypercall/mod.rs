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
pub mod narrow;
mod physdev;
mod platform;
mod sched;
mod sysctl;
mod vcpu;
mod version;

use hypervisor::paging::Error;
use xen::abi::errno::{EBUSY, EINVAL, ENOSYS, EPERM, Errno};
use xen::abi::hypercall as number;

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

/// Bytes of the instruction that a hypercall is made with.
const INSTRUCTION: u64 = 2;

/// Does the hypercall that the guest's registers hold.
pub fn dispatch(guest: &mut Guest<'_>) {
    let registers = guest.registers();
    let number = registers.rax;
    if number == number::IRET {
        return iret::iret(guest);
    }
    let done = match number {
        number::MMU_UPDATE => mmu::usual(guest),
        number::MMUEXT_OP => mmuext::usual(guest),
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
        number::MMU_UPDATE | number::MMUEXT_OP => 4,
        number::CONSOLE_IO | number::GRANT_TABLE_OP | number::VCPU_OP => 3,
        number::SYSCTL | number::DOMCTL => 1,
        _ => 2,
    }
}

/// Does a hypercall.
fn call(guest: &mut Guest<'_>, number: u64, arguments: Arguments) -> Answer {
    let [a, b, c, d, ..] = arguments;
    match number {
        number::SET_TRAP_TABLE => callbacks::set_trap_table(guest, a),
        number::MMU_UPDATE => mmu::update(guest, arguments),
        number::SET_GDT => descriptors::set_gdt(guest, a, b as u32),
        number::STACK_SWITCH => callbacks::stack_switch(guest, a, b),
        number::SET_CALLBACKS => callbacks::set_callbacks(guest, a, b, c),
        number::FPU_TASKSWITCH => callbacks::fpu_taskswitch(guest, a as u32),
        number::PLATFORM_OP => platform::operation(guest, a),
        number::SET_DEBUGREG => callbacks::set_debug(guest, a as u32, b),
        number::GET_DEBUGREG => callbacks::get_debug(guest, a as u32),
        number::UPDATE_DESCRIPTOR => descriptors::update(guest, a, b),
        number::MEMORY_OP => memory::operation(guest, a, b),
        number::MULTICALL => multicall::multicall::<multicall::Wide>(guest, arguments),
        number::UPDATE_VA_MAPPING => {
            mmu::update_va_mapping(guest, a, b, c, xen::abi::DOMID_SELF.into())
        }
        number::SET_TIMER_OP => sched::set_timer(guest, a),
        number::XEN_VERSION => version::operation(guest, a as u32, b),
        number::CONSOLE_IO => console::operation(guest, a as u32, b as u32, c),
        number::GRANT_TABLE_OP => grants::operation(guest, a, b, c),
        number::VM_ASSIST => callbacks::vm_assist(guest, a as u32, b as u32),
        number::UPDATE_VA_MAPPING_OTHERDOMAIN => mmu::update_va_mapping(guest, a, b, c, d),
        number::VCPU_OP => vcpu::operation(guest, a as u32, b as u32, c),
        number::SET_SEGMENT_BASE => callbacks::set_segment_base(guest, a as u32, b),
        number::MMUEXT_OP => mmuext::operations(guest, arguments),
        number::SCHED_OP => sched::operation(guest, a as u32, b),
        number::CALLBACK_OP => callbacks::operation(guest, a as u32, b),
        number::EVENT_CHANNEL_OP => events::operation(guest, a as u32, b),
        number::PHYSDEV_OP => physdev::operation(guest, a as u32, b),
        number::SYSCTL => sysctl::operation(guest, a),
        number::DOMCTL => domctl::operation(guest, a),
        _ => Err(ENOSYS.into()),
    }
}
