//! Resetting the machine.

use x86_64::instructions::port::Port;

use super::cpu;

/// Resets by the chipset's register, then by the keyboard controller.
pub fn reset() -> ! {
    // SAFETY: a write to the reset control register (Intel PCH, CF9h) or to the keyboard
    // controller ends everything that could be unsound.
    unsafe {
        let mut control = Port::<u8>::new(0xcf9);
        control.write(0x02);
        control.write(0x06);
        Port::<u8>::new(0x64).write(0xfe);
    }
    cpu::halt()
}
