//! What keeps guests from steering what the processor does ahead of time, as far as it is there:
//!
//! - The processor's memory of returns (RSB) is overwritten when a guest is left, unless SMEP keeps
//!   the processor from guests' instructions altogether. The part of the entry code that makes no
//!   call has no need of it.
//! - Its memory of branches is forgotten when another domain's vcpu runs (IBPB), if it can.
//! - What the hypervisor leaves in its buffers is overwritten before it goes on with a guest (VERW), if
//!   it says that this helps.
//!
//! Processors on which a program can read what it may not (Meltdown) are reported: nothing is done there.

use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicBool, Ordering};

use hypervisor::options::Speculation;
use x86_64::registers::control::{Cr4, Cr4Flags};

use super::{cpu, entry};

/// CPUID leaf 7, EBX: ring 0 can be kept from executing what ring 3 may.
const HAS_SMEP: u32 = 1 << 7;
/// Branches can be forgotten: CPUID leaf 7, EDX (Intel), and leaf 0x8000_0008, EBX (AMD).
const HAS_IBPB: u32 = 1 << 26;
const HAS_IBPB_AMD: u32 = 1 << 12;
/// The register that does it, and what is written to it.
const PREDICTION_COMMAND: u32 = 0x49;
const IBPB: u64 = 1;

/// CPUID leaf 7, EDX: VERW empties buffers, too; there is a register of what the processor does well.
const HAS_MD_CLEAR: u32 = 1 << 10;
const HAS_CAPABILITIES: u32 = 1 << 29;
/// That register, and in it: what a program may not read is not read ahead of time, either (RDCL_NO).
const CAPABILITIES: u32 = 0x10a;
const IS_SAFE_FROM_MELTDOWN: u64 = 1;

/// Whether branches are forgotten.
static FORGETS_BRANCHES: AtomicBool = AtomicBool::new(false);

/// Turns on what this processor has and is wanted. Others take the control registers over.
pub fn init(wanted: Speculation) {
    let features = if __cpuid(0).eax >= 7 { Some(__cpuid_count(7, 0)) } else { None };
    let has_smep = features.is_some_and(|leaf| leaf.ebx & HAS_SMEP != 0);
    if has_smep {
        // SAFETY: the hypervisor executes no page that guests may.
        unsafe { Cr4::update(|flags| *flags |= Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION) }
    }
    if wanted.is_steered && !has_smep {
        entry::forget_returns();
    }
    let has_amds =
        __cpuid(0x8000_0000).eax >= 0x8000_0008 && __cpuid(0x8000_0008).ebx & HAS_IBPB_AMD != 0;
    let has_ibpb = has_amds || features.is_some_and(|leaf| leaf.edx & HAS_IBPB != 0);
    FORGETS_BRANCHES.store(wanted.is_steered && has_ibpb, Ordering::Relaxed);
    let has_md_clear = features.is_some_and(|leaf| leaf.edx & HAS_MD_CLEAR != 0);
    let empties_buffers = wanted.empties_buffers.unwrap_or(has_md_clear);
    if empties_buffers {
        entry::empty_buffers();
    }
    let yes = |is_so| if is_so { "yes" } else { "no" };
    crate::note!(
        Info,
        "Speculation: SMEP {}, RSB overwritten on entry {}, IBPB between domains {}, VERW {}",
        yes(has_smep),
        yes(wanted.is_steered && !has_smep),
        yes(wanted.is_steered && has_ibpb),
        yes(empties_buffers),
    );
    if may_melt_down(features.map_or(0, |leaf| leaf.edx)) {
        crate::note!(
            Warning,
            "On this processor a program can read all memory (Meltdown), and nothing here keeps it \
             from that: run only what you trust",
        );
    }
}

/// Whether programs can read what the hypervisor maps: Intel's processors that don't say otherwise.
fn may_melt_down(structured_edx: u32) -> bool {
    let is_intel = __cpuid(0).ebx == u32::from_le_bytes(*b"Genu");
    let is_safe = structured_edx & HAS_CAPABILITIES != 0
        && cpu::read_msr(CAPABILITIES) & IS_SAFE_FROM_MELTDOWN != 0;
    is_intel && !is_safe
}

/// Another domain runs here from now on.
pub fn change_domain() {
    if FORGETS_BRANCHES.load(Ordering::Relaxed) {
        cpu::write_msr(PREDICTION_COMMAND, IBPB);
    }
}
