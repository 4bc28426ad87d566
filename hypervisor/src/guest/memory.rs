//! The memory of the guest that runs, at the addresses that it gave.

use core::mem::MaybeUninit;

use hypervisor::paging::entry::is_guest_address;
use xen::abi::Plain;
use xen::abi::errno::{EFAULT, Errno};

use crate::arch::copy;

/// Whether a range is a guest's alone. It can't end behind the hypervisor's space without passing
/// through it: copies go up and stop at the first fault.
#[inline(always)]
fn is_usable(address: u64, length: u64) -> bool {
    match length {
        0 => true,
        _ => {
            let Some(last) = address.checked_add(length - 1) else { return false };
            is_guest_address(address) && is_guest_address(last) && length < 1 << 32
        }
    }
}

/// Reads a value. Small ones are read word by word.
#[inline(always)]
pub fn read<T: Plain>(address: u64) -> Result<T, Errno> {
    match size_of::<T>() {
        4 => half(address),
        8 => words::<T, 1>(address),
        16 => words::<T, 2>(address),
        24 => words::<T, 3>(address),
        _ => read_any(address),
    }
}

/// Reads a value of half a word.
#[inline(always)]
fn half<T: Plain>(address: u64) -> Result<T, Errno> {
    assert!(size_of::<T>() == 4);
    if !is_usable(address, 4) {
        return Err(EFAULT);
    }
    // SAFETY: the address is the guest's.
    let value = unsafe { copy::read_half(address) }.ok_or(EFAULT)?;
    // SAFETY: any bytes make a `T`, and there are as many.
    Ok(unsafe { core::ptr::from_ref(&value).cast::<T>().read_unaligned() })
}

/// Reads a value of that many words.
#[inline(always)]
fn words<T: Plain, const N: usize>(address: u64) -> Result<T, Errno> {
    assert!(size_of::<T>() == 8 * N);
    let words = read_words::<N>(address)?;
    // SAFETY: any bytes make a `T`, and there are as many.
    Ok(unsafe { core::ptr::from_ref(&words).cast::<T>().read_unaligned() })
}

fn read_any<T: Plain>(address: u64) -> Result<T, Errno> {
    let mut value = MaybeUninit::<T>::zeroed();
    let length = size_of::<T>();
    if !is_usable(address, length as u64) {
        return Err(EFAULT);
    }
    // SAFETY: any bytes make a `T`, and the address is the guest's.
    unsafe {
        let bytes = core::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), length);
        if copy::read(address, bytes) { Ok(value.assume_init()) } else { Err(EFAULT) }
    }
}

/// Writes a value.
pub fn write<T: Plain>(address: u64, value: &T) -> Result<(), Errno> {
    // SAFETY: plain data has no padding that must not be read, and the slice is as long as it is.
    let bytes = unsafe {
        core::slice::from_raw_parts(core::ptr::from_ref(value).cast::<u8>(), size_of::<T>())
    };
    write_bytes(address, bytes)
}

/// Reads bytes.
pub fn read_bytes(address: u64, to: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: the address is the guest's.
    let copied = is_usable(address, to.len() as u64) && unsafe { copy::read(address, to) };
    if copied { Ok(()) } else { Err(EFAULT) }
}

/// Writes bytes.
pub fn write_bytes(address: u64, from: &[u8]) -> Result<(), Errno> {
    // SAFETY: the address is the guest's.
    let copied = is_usable(address, from.len() as u64) && unsafe { copy::write(address, from) };
    if copied { Ok(()) } else { Err(EFAULT) }
}

/// Writes words upwards from an address.
#[inline(always)]
pub fn write_words(address: u64, words: &[u64]) -> Result<(), Errno> {
    if !is_usable(address, 8 * words.len() as u64) {
        return Err(EFAULT);
    }
    for (index, word) in words.iter().enumerate() {
        // SAFETY: the address is the guest's.
        if !unsafe { copy::write_word(address + 8 * index as u64, *word) } {
            return Err(EFAULT);
        }
    }
    Ok(())
}

/// Writes three pieces of words one above the other.
#[inline(always)]
pub fn write_frame<const A: usize, const B: usize, const C: usize>(
    address: u64,
    first: [u64; A],
    second: [u64; B],
    third: [u64; C],
) -> Result<(), Errno> {
    if !is_usable(address, 8 * (A + B + C) as u64) {
        return Err(EFAULT);
    }
    // SAFETY: the addresses are the guest's.
    let written = unsafe {
        put(address, first)
            && put(address + 8 * A as u64, second)
            && put(address + 8 * (A + B) as u64, third)
    };
    if written { Ok(()) } else { Err(EFAULT) }
}

/// Writes words one above the other, without a loop.
///
/// # Safety
/// The addresses are none of the hypervisor's.
#[inline(always)]
unsafe fn put<const N: usize>(address: u64, words: [u64; N]) -> bool {
    let mut index = 0;
    while index < N {
        // SAFETY: the caller says so.
        if !unsafe { copy::write_word(address + 8 * index as u64, words[index]) } {
            return false;
        }
        index += 1;
    }
    true
}

/// Reads words upwards from an address.
#[inline(always)]
pub fn read_words<const N: usize>(address: u64) -> Result<[u64; N], Errno> {
    if !is_usable(address, 8 * N as u64) {
        return Err(EFAULT);
    }
    // SAFETY: the addresses are the guest's.
    unsafe { copy::read_words(address) }.ok_or(EFAULT)
}
