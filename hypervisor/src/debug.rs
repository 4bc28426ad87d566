//! Debug registers: what guests may set (AMD64 Architecture Programmer's Manual, volume 2, section
//! 13.1).

/// Of DR6: these are always 1.
const STATUS_ONES: u64 = 0xffff_0ff0;
/// Of DR6: this is always 0.
const STATUS_ZERO: u64 = 1 << 12;
/// Of DR7: this is always 1.
const CONTROL_ONE: u64 = 1 << 10;
/// Of DR7: these are always 0.
const CONTROL_ZEROS: u64 = 0xd800;
/// Of DR7: access to debug registers traps.
const DETECT: u64 = 1 << 13;
/// Of DR7: any of the four is on.
const ON: u64 = 0xff;
/// One of four kinds of access: to ports, which a guest's are not.
const PORTS: u64 = 2;

/// DR6 as it is when that is written; the upper half is 0.
pub fn status(value: u64) -> u64 {
    value & !STATUS_ZERO & 0xffff_ffff | STATUS_ONES
}

/// DR7 as it is when that is written, if it may be.
pub fn control(value: u64) -> Option<u64> {
    let value = value & !CONTROL_ZEROS & 0xffff_ffff | CONTROL_ONE;
    let watches_ports = value & ON != 0 && (16..32).step_by(4).any(|at| value >> at & 3 == PORTS);
    (value & DETECT == 0 && !watches_ports).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_bits_are_as_the_processor_has_them() {
        assert_eq!(status(0x1234), 0xffff_0ff4);
        assert_eq!(status(!0), 0xffff_efff);
        assert_eq!(control(0), Some(0x400));
        assert_eq!(control(0x1234), Some(0x634));
    }

    #[test]
    fn neither_ports_nor_debug_registers_are_watched() {
        assert_eq!(control(0x0002_0402), None);
        assert_eq!(control(0x2000_0480), None);
        assert_eq!(control(0x2400), None);
        // What is off is not looked at.
        assert_eq!(control(0x0002_0400), Some(0x0002_0400));
        assert_eq!(control(0x000d_0402), Some(0x000d_0402));
    }
}
