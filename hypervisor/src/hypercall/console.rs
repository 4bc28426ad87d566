//! console_io: dom0's console is the hypervisor's serial line (CONSOLEIO_*, xen.h).

use xen::abi::console as op;
use xen::abi::errno::{ENOSYS, EPERM};

use super::{Answer, Stop};
use crate::arch::console;
use crate::guest::memory;
use crate::interrupts;
use crate::vcpu::Guest;

const PIECE: u64 = 128;

/// Writes, or reads what was typed.
pub fn operation(guest: &mut Guest<'_>, command: u32, length: u32, place: u64) -> Answer {
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    let length = u64::from(length);
    let mut piece = [0; PIECE as usize];
    let mut done = 0;
    match u64::from(command) {
        op::WRITE => {
            while done < length {
                if done > 0 && interrupts::are_waiting() {
                    return Err(Stop::Again([op::WRITE, length - done, place + done, 0, 0, 0]));
                }
                let part = &mut piece[..PIECE.min(length - done) as usize];
                memory::read_bytes(place + done, part)?;
                done += part.len() as u64;
                for text in part.utf8_chunks() {
                    console::write_text(text.valid());
                    if !text.invalid().is_empty() {
                        console::write_bytes(text.invalid());
                    }
                }
            }
            Ok(0)
        }
        op::READ => {
            let typed = console::read_typed(&mut piece[..PIECE.min(length) as usize]);
            memory::write_bytes(place, &piece[..typed])?;
            Ok(typed as u64)
        }
        _ => Err(ENOSYS.into()),
    }
}
