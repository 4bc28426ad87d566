//! Hypercalls whose argument is a structure.

use xen::abi::Plain;

use crate::hypercall::call;

/// The address of an argument that a hypercall reads or writes.
pub fn place<T: Plain>(argument: &mut T) -> u64 {
    core::ptr::from_mut(argument) as u64
}

/// What is there now, whoever wrote it.
pub fn volatile<T: Plain>(place: &mut T) -> T {
    // SAFETY: a reference to plain data.
    unsafe { core::ptr::from_mut(place).read_volatile() }
}

/// Makes a hypercall with a command and a structure.
pub fn operation<T: Plain>(number: u64, command: u64, argument: &mut T) -> i64 {
    call(number, &[command, place(argument)])
}
