//! multicall: a list of hypercalls, each with its answer (`struct multicall_entry`, xen.h).

use xen::abi::errno::Errno;
use xen::abi::hypercall as number;

use super::{Answer, Arguments, Stop, arguments_of, call};
use crate::guest::memory;
use crate::interrupts;
use crate::vcpu::Guest;

/// How a list is written down.
pub trait Form {
    /// Bytes of an entry.
    const SIZE: u64;
    /// Reads an entry: the hypercall and its arguments.
    fn read(entry: u64) -> Result<(u64, Arguments), Errno>;
    /// Writes an answer.
    fn answer(entry: u64, value: u64) -> Result<(), Errno>;
    /// Writes arguments with which the hypercall is made again.
    fn replace(entry: u64, arguments: &[u64]) -> Result<(), Errno>;
    /// Makes the hypercall.
    fn call(guest: &mut Guest<'_>, number: u64, arguments: Arguments) -> Answer;
}

/// Of guests of 64 bits.
pub struct Wide;

impl Form for Wide {
    const SIZE: u64 = 64;

    #[inline(always)]
    fn read(entry: u64) -> Result<(u64, Arguments), Errno> {
        let [number, _, arguments @ ..] = memory::read_words::<8>(entry)?;
        Ok((number, arguments))
    }

    #[inline(always)]
    fn answer(entry: u64, value: u64) -> Result<(), Errno> {
        memory::write_words(entry + 8, &[value])
    }

    fn replace(entry: u64, arguments: &[u64]) -> Result<(), Errno> {
        memory::write_words(entry + 16, arguments)
    }

    #[inline(always)]
    fn call(guest: &mut Guest<'_>, number: u64, arguments: Arguments) -> Answer {
        call(guest, number, arguments)
    }
}

/// Does them in order.
pub fn multicall<F: Form>(guest: &mut Guest<'_>, [list, count, ..]: Arguments) -> Answer {
    let count = count & 0xffff_ffff;
    for index in 0..count {
        let entry = list + F::SIZE * index;
        let again = Stop::Again([entry, count - index, 0, 0, 0, 0]);
        if index > 0 && interrupts::are_waiting() {
            return Err(again);
        }
        let (number, arguments) = F::read(entry)?;
        let answer = match number {
            number::MULTICALL | number::IRET => Err(xen::abi::errno::ENOSYS.into()),
            _ => F::call(guest, number, arguments),
        };
        match answer {
            Ok(value) => F::answer(entry, value)?,
            Err(Stop::Error(error)) => F::answer(entry, i64::from(-error.0) as u64)?,
            Err(Stop::Again(arguments)) => {
                F::replace(entry, &arguments[..arguments_of(number)])?;
                return Err(again);
            }
        }
    }
    Ok(0)
}
