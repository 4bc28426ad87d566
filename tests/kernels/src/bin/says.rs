//! Says what it was given: memory, and its command line.
#![no_std]
#![no_main]

use kernels::answer::line;

#[unsafe(no_mangle)]
fn main(words: &'static str) {
    line(format_args!("memory: {} KiB", kernels::memory::pages() * 4));
    line(format_args!("command line: {words}"));
}
