//! multicall: a list of hypercalls, each with its answer (`struct multicall_entry`, xen.h).

use xen::abi::hypercall as number;

use super::{Answer, Arguments, Stop, arguments_of, call};
use crate::guest::memory;
use crate::interrupts;
use crate::vcpu::Guest;

const SIZE: u64 = 64;

/// Does them in order.
pub fn multicall(guest: &mut Guest<'_>, [list, count, ..]: Arguments) -> Answer {
    let count = count & 0xffff_ffff;
    for index in 0..count {
        let entry = list + SIZE * index;
        let again = Stop::Again([entry, count - index, 0, 0, 0, 0]);
        if index > 0 && interrupts::are_waiting() {
            return Err(again);
        }
        let [number, _, a, b, c, d, e, f] = memory::read_words::<8>(entry)?;
        let answer = match number {
            number::MULTICALL | number::IRET => Err(xen::abi::errno::ENOSYS.into()),
            _ => call(guest, number, [a, b, c, d, e, f]),
        };
        match answer {
            Ok(value) => memory::write_words(entry + 8, &[value])?,
            Err(Stop::Error(error)) => {
                memory::write_words(entry + 8, &[i64::from(-error.0) as u64])?
            }
            Err(Stop::Again(arguments)) => {
                memory::write_words(entry + 16, &arguments[..arguments_of(number)])?;
                return Err(again);
            }
        }
    }
    Ok(0)
}
