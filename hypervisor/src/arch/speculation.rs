//! What keeps guests from steering what the processor does ahead of time, as far as it is there:
//!
//! - The processor's memory of returns (RSB) is overwritten when a guest is left, unless SMEP keeps
//!   the processor from guests' instructions altogether. The part of the entry code that makes no
//!   call has no need of it.
//! - Its memory of branches is forgotten when another domain's vcpu runs (IBPB), if it can.

use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicBool, Ordering};

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

/// Whether branches are forgotten.
static FORGETS_BRANCHES: AtomicBool = AtomicBool::new(false);

/// Turns on what this processor has, if `is_wanted`. Others take the control registers over.
pub fn init(is_wanted: bool) {
    let features = if __cpuid(0).eax >= 7 { Some(__cpuid_count(7, 0)) } else { None };
    let has_smep = features.is_some_and(|leaf| leaf.ebx & HAS_SMEP != 0);
    if has_smep {
        // SAFETY: the hypervisor executes no page that guests may.
        unsafe { Cr4::update(|flags| *flags |= Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION) }
    }
    if is_wanted && !has_smep {
        entry::forget_returns();
    }
    let has_amds =
        __cpuid(0x8000_0000).eax >= 0x8000_0008 && __cpuid(0x8000_0008).ebx & HAS_IBPB_AMD != 0;
    let has_ibpb = has_amds || features.is_some_and(|leaf| leaf.edx & HAS_IBPB != 0);
    FORGETS_BRANCHES.store(is_wanted && has_ibpb, Ordering::Relaxed);
    let yes = |is_so| if is_so { "yes" } else { "no" };
    crate::note!(
        Info,
        "Speculation: SMEP {}, RSB overwritten on entry {}, IBPB between domains {}",
        yes(has_smep),
        yes(is_wanted && !has_smep),
        yes(is_wanted && has_ibpb),
    );
}

/// Another domain runs here from now on.
pub fn change_domain() {
    if FORGETS_BRANCHES.load(Ordering::Relaxed) {
        cpu::write_msr(PREDICTION_COMMAND, IBPB);
    }
}
