//! Segment descriptors of guests: which they may have.

use crate::paging::shape::Shape;

/// Descriptors from here on are the hypervisor's (FIRST_RESERVED_GDT_ENTRY, arch-x86/xen.h).
pub const FIRST_RESERVED: u64 = 14 * 512;

const PRESENT: u64 = 1 << 47;
const CODE_OR_DATA: u64 = 1 << 44;
const RING: u64 = 3 << 45;
const RING_1: u64 = 1 << 45;
/// Of code: it is of 64 bits.
const LONG: u64 = 1 << 53;
const TYPE: u64 = 0xf << 40;
const CALL_GATE: u64 = 0xc << 40;
/// Of a call gate: bits that are 0 in 64-bit mode.
const RESERVED: u64 = 0xff << 32;

/// A selector as a guest may have it: of ring 3, or, with 32 bits, of ring 1 to 3.
pub fn selector(selector: u16, shape: Shape) -> u16 {
    match shape {
        Shape::Wide => selector | 3,
        Shape::Pae if selector & 3 == 0 => selector | 1,
        Shape::Pae => selector,
    }
}

/// A descriptor as the processor may have it, or none if a guest may not.
///
/// Code and data are for ring 3, where the guest's kernel is, too. A kernel of 32 bits is in ring 1,
/// and may map pages that ring 3 can't use, so that none of its code may be of 64 bits: that would
/// reach the hypervisor's addresses. A call gate is kept, but no ring that guests have may use it; its
/// own ring moves to the selector that it leads to. Entries that are not present may be anything.
/// Xen's `check_descriptor` decides the same.
pub fn checked(descriptor: u64, shape: Shape) -> Option<u64> {
    if descriptor & PRESENT == 0 {
        return Some(descriptor);
    }
    if descriptor & CODE_OR_DATA != 0 {
        return match shape {
            Shape::Wide => Some(descriptor | RING),
            Shape::Pae if descriptor & LONG != 0 => None,
            Shape::Pae if descriptor & RING == 0 => Some(descriptor | RING_1),
            Shape::Pae => Some(descriptor),
        };
    }
    match descriptor & TYPE {
        // The second half of a call gate.
        0 => Some(descriptor),
        CALL_GATE if descriptor & RESERVED == 0 && may_be_entered(descriptor >> 16, shape) => {
            let selector = (descriptor >> 16 & 0xffff) | 3;
            Some(descriptor & !RING & !(0xffff << 16) | selector << 16)
        }
        _ => None,
    }
}

/// Whether a gate may name a selector: a guest's own, or one of the flat ones that all have.
fn may_be_entered(selector: u64, shape: Shape) -> bool {
    let selector = selector & 0xffff;
    let is_flat = match shape {
        Shape::Wide => matches!(selector & !3, 0xe020 | 0xe030),
        Shape::Pae => matches!(selector & !3, 0xe018 | 0xe028),
    };
    selector & 4 != 0 || selector >> 3 < FIRST_RESERVED || is_flat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_code_and_data_is_for_ring_3() {
        // Linux's: 64-bit user code, user data, 32-bit user code.
        for good in [0x00af_fb00_0000_ffff, 0x00cf_f300_0000_ffff, 0x00cf_fb00_0000_ffff, 0] {
            assert_eq!(checked(good, Shape::Wide), Some(good), "{good:x}");
        }
        assert_eq!(checked(0x00af_9b00_0000_ffff, Shape::Wide), Some(0x00af_fb00_0000_ffff));
    }

    #[test]
    fn kernels_of_32_bits_are_in_ring_1() {
        // Linux's: kernel code and data in ring 0 and 1, user code, a base for the thread.
        for (given, checked_as) in [
            (0x00cf_9a00_0000_ffff, Some(0x00cf_ba00_0000_ffff)),
            (0x00cf_b200_0000_ffff, Some(0x00cf_b200_0000_ffff)),
            (0x00cf_fa00_0000_ffff, Some(0x00cf_fa00_0000_ffff)),
            (0xb7cf_f3c1_8000_ffff, Some(0xb7cf_f3c1_8000_ffff)),
            // Code of 64 bits, for any ring.
            (0x00af_9a00_0000_ffff, None),
            (0x00af_fa00_0000_ffff, None),
        ] {
            assert_eq!(checked(given, Shape::Pae), checked_as, "{given:x}");
        }
        assert_eq!(
            [0xe018, 0xe019, 0xe01a, 7].map(|it| selector(it, Shape::Pae)),
            [0xe019, 0xe019, 0xe01a, 7]
        );
        assert_eq!(selector(0xe030, Shape::Wide), 0xe033);
    }

    #[test]
    fn nothing_leads_into_the_hypervisor() {
        // A task state segment, an LDT, an interrupt gate, a call gate to the hypervisor's code.
        let bad = [0x8900_0000_0067, 0x8200_0000_0000, 0xee00_0033_0000, 0xec00_e008_0000];
        for bad in bad {
            assert_eq!(checked(bad, Shape::Wide), None, "{bad:x}");
            assert_eq!(checked(bad, Shape::Pae), None, "{bad:x}");
        }
        // A call gate to the guest's own code stays, for nobody's use.
        assert_eq!(checked(0xec00_0033_1234, Shape::Wide), Some(0x8c00_0033_1234));
        assert_eq!(checked(0xec00_0033_1234, Shape::Pae), Some(0x8c00_0033_1234));
    }
}
