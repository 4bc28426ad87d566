//! A guest of 32 bits that says on its console what comes of hypercalls, exceptions and programs.
//!
//! There is no peer to compare with: what it should say is in `tests/tests/domains/narrow.txt`.
#![no_std]
#![no_main]

mod calls;
mod events;
mod grants;
mod pointers;
mod random;
mod segments;
mod tables;
mod traps;
mod vcpus;

use kernels::answer::line;

#[unsafe(no_mangle)]
fn main(_: &'static str) {
    calls::all();
    events::all();
    vcpus::all();
    tables::all();
    grants::all();
    segments::all();
    traps::all();
    pointers::all();
    random::all();
    line(format_args!("narrow ends"));
}
