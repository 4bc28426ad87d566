//! A kernel's write to one of its page tables, as if it could write there.

use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::{Page, Use};
use hypervisor::writes::{Operation, Source, Write};

use super::memory;
use crate::frames;
use crate::tables;
use crate::vcpu::Guest;

/// The longest instruction.
const MAX_LENGTH: usize = 15;

/// The instruction at rip, as much of it as can be read.
pub fn code(guest: &mut Guest<'_>) -> ([u8; MAX_LENGTH], usize) {
    let mut bytes = [0; MAX_LENGTH];
    let rip = guest.registers().rip;
    if memory::read_bytes(rip, &mut bytes).is_ok() {
        return (bytes, MAX_LENGTH);
    }
    let here = (4096 - (rip & 4095)).min(MAX_LENGTH as u64) as usize;
    match memory::read_bytes(rip, &mut bytes[..here]) {
        Ok(()) => (bytes, here),
        Err(_) => (bytes, 0),
    }
}

/// Does the usual write: `xchg` of a whole entry with a register, by which kernels take pages away.
/// `None`: nothing was done, and it is for [`emulate`].
#[inline]
pub fn exchange(guest: &mut Guest<'_>, address: u64) -> Option<()> {
    const LENGTH: u64 = 3;
    if guest.is_narrow() {
        return None;
    }
    let code: u64 = memory::read(guest.registers().rip).ok()?;
    let [prefix, operation, operands, ..] = code.to_le_bytes();
    // A prefix that says 8 bytes; the address is in a register alone.
    let is_usual = prefix & 0xfa == 0x48 && operation == 0x87 && operands & 0xc0 == 0;
    if !is_usual || matches!(operands & 7, 4 | 5) || address & 7 != 0 {
        return None;
    }
    let number = operands >> 3 & 7 | (prefix & 4) << 1;
    let domain = guest.domain();
    let _lock = domain.tables.lock();
    let (_, _, leaf) = tables::lookup(guest.own.kernel_table, address)?;
    let is_table = |page: Page<'_>| page.is_table_of(Use::L1, domain.owner);
    if leaf.is_writable() || !is_table(frames::page(leaf.mfn())?) {
        return None;
    }
    let new = Entry(*guest.register(number));
    let index = (address & 4095) as usize / 8;
    let old = domain.rules().update_mapping(leaf.mfn(), index, domain.owner, |_| new).ok()?;
    *guest.register(number) = old.0;
    guest.registers().rip += LENGTH;
    Some(())
}

/// Does the write that faulted at that address; false if it is none to a page table, or one that
/// is not allowed: it is the guest's own fault then.
pub fn emulate(guest: &mut Guest<'_>, address: u64) -> bool {
    let domain = guest.domain();
    // Another vcpu may change the tables on the way.
    let _lock = domain.tables.lock();
    let Some((_, _, leaf)) = tables::lookup(guest.own.kernel_table, address) else { return false };
    let mfn = leaf.mfn();
    let is_table = |page: Page<'_>| page.is_table_of(Use::L1, domain.owner);
    // A linear page table isn't written to, as on Xen: there, what is mapped by is an entry above.
    if leaf.is_writable() || !frames::page(mfn).is_some_and(is_table) {
        return false;
    }
    let (bytes, length) = code(guest);
    let Some(write) = Write::decode(&bytes[..length], !guest.is_narrow()) else { return false };
    let offset = address & 7;
    if offset + u64::from(write.size) > 8 {
        return false;
    }
    let source = match write.source {
        Source::Register(number) => *guest.register(number),
        Source::Immediate(value) => value,
        Source::Pair => pair(guest.registers().rbx, guest.registers().rcx),
    };
    let accumulator = match write.source {
        Source::Pair => pair(guest.registers().rax, guest.registers().rdx),
        _ => guest.registers().rax,
    };
    let (shift, mask) = (8 * offset as u32, write.mask());
    let change = |old: Entry| {
        let part = write.apply(old.0 >> shift & mask, source, accumulator);
        Entry(old.0 & !(mask << shift) | part << shift)
    };
    let index = (address & 4095) as usize / 8;
    let Ok(old) = domain.rules().update_mapping(mfn, index, domain.owner, change) else {
        return false;
    };
    let old = old.0 >> shift & mask;
    match (write.operation, write.source) {
        (Operation::Exchange, Source::Register(number)) => guest.set_part(number, old, write.size),
        (Operation::CompareExchange, Source::Pair) if accumulator != old => {
            let registers = guest.registers();
            (registers.rax, registers.rdx) = (old & 0xffff_ffff, old >> 32);
        }
        (Operation::CompareExchange, _) if accumulator & mask != old => {
            guest.set_part(0, old, write.size);
        }
        _ => (),
    }
    let registers = guest.registers();
    registers.rflags = write.flags(registers.rflags, old, source, accumulator);
    registers.rip += u64::from(write.length);
    true
}

/// Two registers of 32 bits as one word.
fn pair(low: u64, high: u64) -> u64 {
    low & 0xffff_ffff | high << 32
}

impl Guest<'_> {
    /// A general register by its number in instructions.
    pub fn register(&mut self, number: u8) -> &mut u64 {
        let registers = self.registers();
        match number & 15 {
            0 => &mut registers.rax,
            1 => &mut registers.rcx,
            2 => &mut registers.rdx,
            3 => &mut registers.rbx,
            4 => &mut registers.rsp,
            5 => &mut registers.rbp,
            6 => &mut registers.rsi,
            7 => &mut registers.rdi,
            8 => &mut registers.r8,
            9 => &mut registers.r9,
            10 => &mut registers.r10,
            11 => &mut registers.r11,
            12 => &mut registers.r12,
            13 => &mut registers.r13,
            14 => &mut registers.r14,
            _ => &mut registers.r15,
        }
    }

    /// Sets a part of a register: 4 bytes clear the rest, fewer leave it.
    pub fn set_part(&mut self, number: u8, value: u64, size: u8) {
        let register = self.register(number);
        *register = match size {
            8 | 4 => value,
            _ => {
                let mask = (1 << (8 * u32::from(size))) - 1;
                *register & !mask | value & mask
            }
        };
    }
}
