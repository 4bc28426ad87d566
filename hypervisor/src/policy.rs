//! What a PV guest sees of the processor: CPUID, model-specific and control registers.

use core::arch::x86_64::__cpuid_count;

use hypervisor::debug;
use hypervisor::paging::Outcome;
use hypervisor::paging::entry::is_guest_address;
use xen::abi::errno::{EINVAL, ENODEV, EPERM, Errno};
use xen::abi::x86_32;

use crate::arch::cpu;
use crate::arch::memory;
use crate::arch::state;
use crate::domain::Domain;
use crate::vcpu::{Guest, TASK_SWITCHED};

/// The hypervisor's leaves (arch-x86/cpuid.h).
const XEN_LEAF: u32 = 0x4000_0000;
const VERSION: u32 = 4 << 16 | 17;

const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
const EFER: u32 = 0xc000_0080;
const APIC_BASE: u32 = 0x1b;
const PAT: u32 = 0x277;
const TSC: u32 = 0x10;
const MISC_ENABLE: u32 = 0x1a0;

/// The guest uses XSAVE.
pub const CR4_OSXSAVE: u64 = 1 << 18;

/// Features that a domain may see: words of CPUID that what the processor has is limited to.
#[derive(Debug, Clone, Copy)]
pub struct Features {
    /// Leaf 1, ECX and EDX.
    basic: [u32; 2],
    /// Leaf 7, EBX, ECX and EDX.
    structured: [u32; 3],
    /// Leaf 0x80000001, ECX and EDX.
    extended: [u32; 2],
}

impl Default for Features {
    fn default() -> Self {
        Self { basic: [!0; 2], structured: [!0; 3], extended: [!0; 2] }
    }
}

impl Features {
    /// Takes the limits from a leaf, if it is one of those.
    pub fn limit(&mut self, leaf: u32, subleaf: u32, [_, b, c, d]: [u32; 4]) {
        match (leaf, subleaf) {
            (1, _) => self.basic = [c, d],
            (7, 0) => self.structured = [b, c, d],
            (0x8000_0001, _) => self.extended = [c, d],
            _ => (),
        }
    }

    fn limited(&self, leaf: u32, subleaf: u32, [a, b, c, d]: [u32; 4]) -> [u32; 4] {
        match (leaf, subleaf) {
            (1, _) => [a, b, c & self.basic[0], d & self.basic[1]],
            (7, 0) => [a, b & self.structured[0], c & self.structured[1], d & self.structured[2]],
            (0x8000_0001, _) => [a, b, c & self.extended[0], d & self.extended[1]],
            _ => [a, b, c, d],
        }
    }
}

/// What a leaf says to a guest.
pub fn cpuid(guest: &Guest<'_>, leaf: u32, subleaf: u32) -> [u32; 4] {
    let name = |text: &[u8; 4]| u32::from_le_bytes(*text);
    match leaf {
        XEN_LEAF => return [XEN_LEAF + 2, name(b"XenV"), name(b"MMXe"), name(b"nVMM")],
        0x4000_0001 => return [VERSION, 0, 0, 0],
        // One page for hypercalls; page tables may be updated with accessed and dirty kept.
        0x4000_0002 => return [1, 0x4000_0000, 1, 0],
        0x4000_0003..=0x4000_00ff => return [0; 4],
        _ => (),
    }
    let mut answer = of_domain(guest.domain(), leaf, subleaf);
    if leaf == 1 && guest.own.cr4 & CR4_OSXSAVE != 0 {
        answer[2] |= 1 << 27;
    }
    answer
}

/// What a leaf says to a domain, apart from what its kernel turned on.
pub fn of_domain(domain: &Domain, leaf: u32, subleaf: u32) -> [u32; 4] {
    let mut visible = visible(domain.is_privileged, leaf, subleaf);
    if domain.is_narrow() && leaf == 0x8000_0001 {
        hide_long_mode(&mut visible);
    }
    domain.features.lock().limited(leaf, subleaf, visible)
}

/// Long mode is nothing for guests of 32 bits, nor, but on AMD's processors, `syscall`.
fn hide_long_mode([_, _, ecx, edx]: &mut [u32; 4]) {
    const LAHF: u32 = 1 << 0;
    const LONG_MODE: u32 = 1 << 29;
    const SYSCALL: u32 = 1 << 11;
    let is_amd = raw(0, 0)[1] == u32::from_le_bytes(*b"Auth");
    *ecx &= !LAHF;
    *edx &= !(LONG_MODE | if is_amd { 0 } else { SYSCALL });
}

/// What the processor says.
pub fn raw(leaf: u32, subleaf: u32) -> [u32; 4] {
    let raw = __cpuid_count(leaf, subleaf);
    [raw.eax, raw.ebx, raw.ecx, raw.edx]
}

/// The last leaf of those that begin with that one.
pub fn last_leaf(first: u32) -> u32 {
    raw(first, 0)[0]
}

/// What a leaf says to domains unless they are to see less.
pub fn visible(is_privileged: bool, leaf: u32, subleaf: u32) -> [u32; 4] {
    let mut answer = raw(leaf, subleaf);
    let hide = |word: &mut u32, bits: &[u32]| bits.iter().for_each(|bit| *word &= !(1 << bit));
    match leaf {
        1 => {
            // monitor, vmx, smx, est, tm2, pdcm, pcid, x2apic, deadline, osxsave
            hide(&mut answer[2], &[2, 3, 5, 6, 7, 8, 15, 17, 21, 24, 27]);
            answer[2] |= 1 << 31;
            // vme, pse, pge, mtrr, pse36, ds, acpi, tm, pbe; dom0 sees mtrr on Xen, too
            hide(&mut answer[3], &[1, 3, 13, 17, 21, 22, 29, 31]);
            if !is_privileged {
                hide(&mut answer[3], &[12]);
            }
        }
        // Only what needs no supervisor state: fsgsbase needs CR4, smep and smap ring 0.
        7 => {
            let keep = 1 << 3 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 18 | 1 << 19 | 1 << 29;
            // VERW empties buffers: kernels do that on the way to their programs.
            let md_clear = 1 << 10;
            answer = match subleaf {
                0 => [0, answer[1] & keep, 0, answer[3] & md_clear],
                _ => [0; 4],
            };
        }
        0xa | 0xb | 0x1f => answer = [0; 4],
        // State for which the processor has none of what guests may use, and xsaves, are hidden.
        0xd if subleaf == 0 => {
            // How much is turned on now is what the processor says.
            answer[0] &= state::components() as u32;
            (answer[2], answer[3]) = (state::size() as u32, 0);
        }
        0xd if subleaf == 1 => answer = [answer[0] & 7, 0, 0, 0],
        0xd if state::components() & 1_u64.checked_shl(subleaf).unwrap_or(0) == 0 => {
            answer = [0; 4]
        }
        0x8000_0001 => {
            // svm, extapic, osvw, ibs, skinit, wdt, lwp, node id, topology, perf counters
            hide(&mut answer[2], &[2, 3, 9, 10, 12, 13, 15, 19, 22, 23, 24]);
            // vme, pse, pge, mtrr, pse36, large pages of 1 GiB, rdtscp
            hide(&mut answer[3], &[1, 3, 13, 17, 26, 27]);
        }
        _ => (),
    }
    answer
}

/// The processor's features as tools print them: four words of CPUID, and no more.
pub fn capabilities() -> [u32; 8] {
    let (basic, extended) = (__cpuid_count(1, 0), __cpuid_count(0x8000_0001, 0));
    let structured = __cpuid_count(7, 0);
    [basic.edx, basic.ecx, extended.edx, extended.ecx, 0, structured.ebx, structured.ecx, 0]
}

/// What a model-specific register says; none if it isn't there.
pub fn read_msr(guest: &Guest<'_>, number: u32) -> Option<u64> {
    match number {
        FS_BASE | GS_BASE | KERNEL_GS_BASE if !guest.is_narrow() => Some(cpu::read_msr(number)),
        // Of what the processor has turned on, guests of 32 bits hear of no-execute only.
        EFER if guest.is_narrow() => Some(cpu::read_msr(EFER) & 1 << 11),
        // Long mode and no-execute are on; the rest is the hypervisor's.
        EFER => Some(cpu::read_msr(EFER) & !(1 << 12)),
        PAT | TSC => Some(cpu::read_msr(number)),
        APIC_BASE => Some(0xfee0_0800 | if guest.vcpu.number == 0 { 0x100 } else { 0 }),
        MISC_ENABLE => Some(1 | 1 << 11 | 1 << 12),
        // Microcode's version, the platform's, machine checks': nothing there.
        0x8b | 0x179 | 0x17a | 0x400..0x408 | 0xce | 0xc001_0015 | 0xc001_001f => Some(0),
        _ => None,
    }
}

/// Writes one; false if that isn't allowed.
pub fn write_msr(guest: &mut Guest<'_>, number: u32, value: u64) -> bool {
    match number {
        FS_BASE | GS_BASE | KERNEL_GS_BASE if !guest.is_narrow() => {
            let canonical = (value as i64) << 16 >> 16 == value as i64;
            if canonical {
                cpu::write_msr(number, value);
            }
            canonical
        }
        PAT => value == cpu::read_msr(PAT),
        EFER => read_msr(guest, EFER) == Some(value & !(1 << 12)),
        // Written by kernels that don't look whether it counts.
        0x179 | 0x17a | 0x400..0x408 | 0xc001_0015 | 0xc001_001f => true,
        MISC_ENABLE => guest.domain().is_privileged,
        _ => false,
    }
}

/// A control register as the guest sees it.
pub fn read_control(guest: &Guest<'_>, number: u8) -> Option<u64> {
    match number {
        0 => Some(guest.own.cr0),
        2 => Some(guest.vcpu.fault_address()),
        3 if guest.is_narrow() => Some(x86_32::mfn_to_cr3(guest.own.top_table()).into()),
        3 => Some(guest.own.kernel_table << 12),
        4 => Some(guest.own.cr4),
        _ => None,
    }
}

/// Writes one; none if that isn't allowed.
pub fn write_control(guest: &mut Guest<'_>, number: u8, value: u64) -> Option<Outcome> {
    match number {
        0 if (guest.own.cr0 ^ value) & !TASK_SWITCHED == 0 => {
            guest.own.cr0 = value;
            cpu::set_task_switched(value & TASK_SWITCHED != 0);
        }
        2 => guest.vcpu.set_fault_address(value),
        3 => {
            let mfn = match guest.is_narrow() {
                true => x86_32::cr3_to_mfn(value as u32),
                false => value >> 12,
            };
            match crate::hypercall::mmuext::new_base(guest, mfn) {
                Ok(()) => (),
                Err(None) => return Some(Outcome::Again),
                Err(Some(_)) => return None,
            }
        }
        4 => {
            // What the guest may think it turns on: the processor has what it has.
            guest.own.cr4 = value;
            memory::flush_all();
        }
        _ => return None,
    }
    Some(Outcome::Done)
}

/// The value of a debug register, if a guest may have it: addresses of the hypervisor can't be
/// watched, nor ports.
pub fn debug(number: u8, value: u64) -> Result<u64, Errno> {
    match number {
        0..=3 if is_guest_address(value) => Ok(value),
        0..=3 => Err(EPERM),
        4..=7 if value >> 32 != 0 => Err(EINVAL),
        4 | 6 => Ok(debug::status(value)),
        5 | 7 => debug::control(value).ok_or(EPERM),
        _ => Err(ENODEV),
    }
}

/// Writes a debug register.
pub fn write_debug(guest: &mut Guest<'_>, number: u8, value: u64) -> Result<(), Errno> {
    let watched = state::watches(&guest.own.debug);
    // 4 and 5 are other names of 6 and 7.
    let place = if matches!(number, 4 | 5) { number + 2 } else { number & 7 };
    guest.own.debug[usize::from(place)] = debug(number, value)?;
    if watched || state::watches(&guest.own.debug) {
        state::load_debug(&guest.own.debug);
    }
    Ok(())
}
