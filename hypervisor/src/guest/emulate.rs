//! Privileged instructions of a PV kernel, which faults in ring 3 where it would not in ring 0.

use hypervisor::paging::Outcome;
use xen::abi::assist::ARCHITECTURAL_IOPL;

use super::memory;
use super::writes::code;
use crate::arch::cpu;
use crate::policy;
use crate::ports;
use crate::tables;
use crate::vcpu::Guest;

/// Before a `cpuid` that wants the hypervisor's answer (XEN_EMULATE_PREFIX, arch-x86/xen.h).
const FORCED: [u8; 5] = [0x0f, 0x0b, b'x', b'e', b'n'];
const CPUID: [u8; 2] = [0x0f, 0xa2];

/// An invalid instruction that means "cpuid, by the hypervisor".
pub fn forced(guest: &mut Guest<'_>) -> bool {
    let (bytes, length) = code(guest);
    let is_forced = length >= 7 && bytes[..5] == FORCED && bytes[5..7] == CPUID;
    if is_forced {
        guest.registers().rip += 7;
        cpuid(guest);
    }
    is_forced
}

fn cpuid(guest: &mut Guest<'_>) {
    let leaf = guest.registers().rax as u32;
    let subleaf = guest.registers().rcx as u32;
    let [eax, ebx, ecx, edx] = policy::cpuid(guest, leaf, subleaf);
    let registers = guest.registers();
    registers.rax = eax.into();
    registers.rbx = ebx.into();
    registers.rcx = ecx.into();
    registers.rdx = edx.into();
}

/// Emulates the instruction at rip; false if it is the guest's own fault.
pub fn privileged(guest: &mut Guest<'_>) -> bool {
    let (bytes, length) = code(guest);
    let mut code = &bytes[..length];
    let mut size = 4;
    let mut prefixes = 0;
    let mut rex = 0;
    let mut repeats = false;
    while let Some((first, rest)) = code.split_first() {
        match first {
            0x66 => size = 2,
            0x40..=0x4f if !guest.is_narrow() => rex = *first,
            0xf2 | 0xf3 => repeats = true,
            0xf0 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 => (),
            _ => break,
        }
        prefixes += 1;
        code = rest;
    }
    if let Some(0x6c..=0x6f) = code.first()
        && may_use_ports(guest)
    {
        string(guest, code[0], size, repeats, prefixes + 1);
        return true;
    }
    match port(guest, code, size) {
        Some(used) => {
            guest.registers().rip += prefixes + used;
            return true;
        }
        None if !guest.is_in_kernel() => return false,
        None => (),
    }
    match kernel(guest, code, rex) {
        Some(Step::Over(used)) => guest.registers().rip += prefixes + used,
        Some(Step::Again) => (),
        None => return false,
    }
    true
}

/// `in` and `out`, which programs may use too if the kernel lets them.
fn port(guest: &mut Guest<'_>, code: &[u8], size: u8) -> Option<u64> {
    let (&opcode, rest) = code.split_first()?;
    let (number, used) = match opcode {
        0xe4..=0xe7 => (u16::from(*rest.first()?), 2),
        0xec..=0xef => (guest.registers().rdx as u16, 1),
        _ => return None,
    };
    if !may_use_ports(guest) {
        return None;
    }
    let size = if opcode & 1 == 0 { 1 } else { size };
    let domain = guest.domain();
    if opcode & 2 == 0 {
        let value = ports::read(domain, number, size);
        guest.set_part(0, value.into(), size);
    } else {
        ports::write(domain, number, size, guest.registers().rax as u32);
    }
    Some(used)
}

/// Whether the privilege level for ports lets who runs use them. The kernel is in ring 1 as far as
/// that is concerned, unless it asked to be in ring 0.
fn may_use_ports(guest: &Guest<'_>) -> bool {
    let ring = match (guest.is_in_kernel(), guest.domain().assists(ARCHITECTURAL_IOPL)) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => 3,
    };
    guest.own.iopl >> 12 >= ring
}

/// So many elements are moved at once; what is left is moved when the instruction faults again.
const MOST: u64 = 1024;

/// `ins` and `outs`: between a port and memory, once or as often as rcx says. The registers always
/// tell how far it got, so that it goes on after an interrupt or a page fault.
fn string(guest: &mut Guest<'_>, opcode: u8, size: u8, repeats: bool, length: u64) {
    const BACKWARDS: u64 = 1 << 10;
    let size = if opcode & 1 == 0 { 1 } else { size };
    let is_output = opcode & 2 != 0;
    let number = guest.registers().rdx as u16;
    let width = guest.width();
    let count = if repeats { guest.registers().rcx & width } else { 1 };
    let step = match guest.registers().rflags & BACKWARDS {
        0 => u64::from(size),
        _ => u64::from(size).wrapping_neg(),
    };
    for _ in 0..count.min(MOST) {
        let registers = guest.registers();
        let address = if is_output { registers.rsi } else { registers.rdi } & width;
        let mut bytes = [0; 4];
        let part = &mut bytes[..usize::from(size)];
        let moved = if is_output {
            let read = memory::read_bytes(address, part);
            if read.is_ok() {
                ports::write(guest.domain(), number, size, u32::from_le_bytes(bytes));
            }
            read
        } else {
            // What was read of a port is gone: the place for it has to be there before.
            memory::read_bytes(address, part).and_then(|()| {
                memory::write_bytes(address, &bytes[..usize::from(size)])?;
                let value = ports::read(guest.domain(), number, size).to_le_bytes();
                memory::write_bytes(address, &value[..usize::from(size)])
            })
        };
        if moved.is_err() {
            return fault(guest, address, !is_output);
        }
        let registers = guest.registers();
        let place = if is_output { &mut registers.rsi } else { &mut registers.rdi };
        *place = place.wrapping_add(step) & width;
        if repeats {
            registers.rcx = (registers.rcx & width) - 1;
        }
    }
    if !repeats || guest.registers().rcx & width == 0 {
        guest.registers().rip += length;
    }
}

/// The guest's own page fault, at memory that is used for it.
fn fault(guest: &mut Guest<'_>, address: u64, is_write: bool) {
    const PRESENT: u32 = 1;
    const WRITE: u32 = 2;
    let table = if guest.own.in_kernel { guest.own.kernel_table } else { guest.own.user_table };
    let leaf = tables::lookup(table, address).map(|(.., leaf)| leaf);
    let present = leaf.is_some_and(|leaf| leaf.is_present());
    let error = if present { PRESENT } else { 0 } | if is_write { WRITE } else { 0 };
    guest.raise_page_fault(address, error);
}

/// What comes of an instruction.
enum Step {
    /// It was done, and has so many bytes behind its prefixes.
    Over(u64),
    /// It takes long: it is done again when what waits has been done.
    Again,
}

/// What only kernels do.
fn kernel(guest: &mut Guest<'_>, code: &[u8], rex: u8) -> Option<Step> {
    use Step::Over;
    match *code {
        // cli, sti: the guest's own mask is what counts, and its level whether it may.
        [0xfa | 0xfb, ..] if may_use_ports(guest) => Some(Over(1)),
        [0x0f, 0x06, ..] => {
            guest.own.cr0 &= !8;
            cpu::set_task_switched(false);
            Some(Over(2))
        }
        // xsetbv, for XCR0, the only one there is
        [0x0f, 0x01, 0xd1, ..] => {
            let registers = guest.registers();
            let value = registers.rdx << 32 | registers.rax & 0xffff_ffff;
            let is_known = registers.rcx as u32 == 0 && guest.own.cr4 & policy::CR4_OSXSAVE != 0;
            (is_known && guest.own.state.set_components(value)).then_some(Over(3))
        }
        // wbinvd
        [0x0f, 0x09, ..] => Some(Over(2)),
        [0x0f, 0x30, ..] => {
            let registers = guest.registers();
            let value = registers.rdx << 32 | registers.rax & 0xffff_ffff;
            let number = registers.rcx as u32;
            policy::write_msr(guest, number, value).then_some(Over(2))
        }
        [0x0f, 0x32, ..] => {
            let number = guest.registers().rcx as u32;
            let value = policy::read_msr(guest, number)?;
            guest.registers().rax = value & 0xffff_ffff;
            guest.registers().rdx = value >> 32;
            Some(Over(2))
        }
        [0x0f, 0xa2, ..] => {
            cpuid(guest);
            Some(Over(2))
        }
        // mov to and from control registers, debug registers
        [0x0f, opcode @ 0x20..=0x23, operand, ..] if operand >> 6 == 3 => {
            let special = (operand >> 3 & 7) | (rex & 4) << 1;
            let general = (operand & 7) | (rex & 1) << 3;
            match opcode {
                0x20 => *guest.register(general) = policy::read_control(guest, special)?,
                0x21 => *guest.register(general) = *guest.own.debug.get(usize::from(special))?,
                0x22 => {
                    let value = *guest.register(general);
                    if policy::write_control(guest, special, value)? == Outcome::Again {
                        return Some(Step::Again);
                    }
                }
                _ => {
                    let value = *guest.register(general);
                    policy::write_debug(guest, special, value).ok()?;
                }
            }
            Some(Over(3))
        }
        _ => None,
    }
}
