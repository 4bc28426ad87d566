//! The two 8259 interrupt controllers (Intel 8259A data sheet): moved out of the exceptions' way
//! and masked for good.

use hypervisor::vectors::LEGACY;
use x86_64::instructions::port::Port;

/// The command ports; data is behind each.
const CONTROLLERS: [u16; 2] = [0x20, 0xa0];
/// Edge triggered, cascaded, with a fourth command word.
const ICW1: u8 = 0x11;
/// The second controller is at input 2 of the first.
const ICW3: [u8; 2] = [1 << 2, 2];
/// As in an 8086: the end of interrupts is said.
const ICW4: u8 = 0x01;

/// Has them report nothing but their own noise, at vectors that nobody else has.
pub fn silence() {
    for (index, command) in CONTROLLERS.into_iter().enumerate() {
        let (mut command, mut data) = (Port::<u8>::new(command), Port::<u8>::new(command + 1));
        // SAFETY: the controllers have no effect on memory, and interrupts are off.
        unsafe {
            data.write(0xff);
            command.write(ICW1);
            data.write(LEGACY.start + 8 * index as u8);
            data.write(ICW3[index]);
            data.write(ICW4);
            data.write(0xff);
        }
    }
}
