//! Segment descriptors of guests: which they may have.

/// Descriptors from here on are the hypervisor's (FIRST_RESERVED_GDT_ENTRY, arch-x86/xen.h).
pub const FIRST_RESERVED: u64 = 14 * 512;

const PRESENT: u64 = 1 << 47;
const CODE_OR_DATA: u64 = 1 << 44;
const RING: u64 = 3 << 45;
const TYPE: u64 = 0xf << 40;
const CALL_GATE: u64 = 0xc << 40;
/// Of a call gate: bits that are 0 in 64-bit mode.
const RESERVED: u64 = 0xff << 32;

/// A descriptor as the processor may have it, or none if a guest may not.
///
/// Code and data are for ring 3, where the guest's kernel is, too. A call gate is kept, but no ring
/// that guests have may use it; its own ring moves to the selector that it leads to. Entries that
/// are not present may be anything. Xen's `check_descriptor` decides the same.
pub fn checked(descriptor: u64) -> Option<u64> {
    if descriptor & PRESENT == 0 {
        return Some(descriptor);
    }
    if descriptor & CODE_OR_DATA != 0 {
        return Some(descriptor | RING);
    }
    match descriptor & TYPE {
        // The second half of a call gate.
        0 => Some(descriptor),
        CALL_GATE if descriptor & RESERVED == 0 && may_be_entered(descriptor >> 16) => {
            let selector = (descriptor >> 16 & 0xffff) | 3;
            Some(descriptor & !RING & !(0xffff << 16) | selector << 16)
        }
        _ => None,
    }
}

/// Whether a gate may name a selector: a guest's own, or one of the flat ones that all have.
fn may_be_entered(selector: u64) -> bool {
    let selector = selector & 0xffff;
    selector & 4 != 0 || selector >> 3 < FIRST_RESERVED || matches!(selector & !3, 0xe020 | 0xe030)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_code_and_data_is_for_ring_3() {
        // Linux's: 64-bit user code, user data, 32-bit user code.
        for good in [0x00af_fb00_0000_ffff, 0x00cf_f300_0000_ffff, 0x00cf_fb00_0000_ffff, 0] {
            assert_eq!(checked(good), Some(good), "{good:x}");
        }
        assert_eq!(checked(0x00af_9b00_0000_ffff), Some(0x00af_fb00_0000_ffff));
    }

    #[test]
    fn nothing_leads_into_the_hypervisor() {
        // A task state segment, an LDT, an interrupt gate, a call gate to the hypervisor's code.
        let bad = [0x8900_0000_0067, 0x8200_0000_0000, 0xee00_0033_0000, 0xec00_e008_0000];
        for bad in bad {
            assert_eq!(checked(bad), None, "{bad:x}");
        }
        // A call gate to the guest's own code stays, for nobody's use.
        assert_eq!(checked(0xec00_0033_1234), Some(0x8c00_0033_1234));
    }
}
