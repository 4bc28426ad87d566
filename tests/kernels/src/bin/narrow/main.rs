//! A guest of 32 bits that says on its console what comes of hypercalls, exceptions and programs.
#![no_std]
#![no_main]

use core::fmt::Write;

use kernels::ring::Channel;
use kernels::start;

#[unsafe(no_mangle)]
fn main(_: &'static str) {
    let mut console = Channel::console(start::console());
    let _ = write!(console, "narrow ends\r\n");
}
