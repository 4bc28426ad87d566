//! Makes each hypercall with good and with bad arguments, raises each trap, and prints a line for
//! each answer. On two hypervisors with the same ABI the lines are the same.
#![no_std]
#![no_main]

mod calls;
mod descriptors;
mod emulation;
mod entries;
mod events;
mod linear;
mod often;
mod pointers;
mod programs;
mod queues;
mod tables;
mod time;
mod traps;
mod vcpus;

use kernels::answer::line;

/// A part of the checks, by its name on the command line; none named is all.
const PARTS: &[(&str, fn())] = &[
    ("tables", tables::check),
    ("often", often::check),
    ("linear", linear::check),
    ("descriptors", descriptors::check),
    ("traps", traps::check),
    ("emulation", emulation::check),
    ("programs", programs::check),
    ("entries", entries::check),
    ("events", events::check),
    ("queues", queues::check),
    ("time", time::check),
    ("calls", calls::check),
    ("pointers", pointers::check),
    ("vcpus", vcpus::check),
];

#[unsafe(no_mangle)]
fn main(words: &'static str) {
    let words =
        || words.split_whitespace().filter(|word| PARTS.iter().any(|(name, _)| name == word));
    line(format_args!("checks begin"));
    for (name, check) in PARTS {
        if words().next().is_none() || words().any(|word| word == *name) {
            line(format_args!("part {name}"));
            check();
        }
    }
    line(format_args!("checks end"));
}
