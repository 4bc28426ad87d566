//! Throws random hypercalls, page tables, programs and faults at the hypervisor, and looks whether
//! all is as it should be afterwards.
//!
//! `seed=` and `calls=` on the command line say which and how many, `racers=` how many other vcpus
//! change the same tables meanwhile. What the kernel itself needs (its code, stack, first page tables)
//! is never among the arguments; everything else is.
#![no_std]
#![no_main]

mod calls;
mod code;
mod end;
mod field;
mod racers;
mod values;

use kernels::answer::line;
use kernels::hypercall::call;
use kernels::random::Random;
use kernels::traps::attempt;

use calls::Call;
use field::Field;
use racers::Racers;

/// Of the command line: `name=number`.
fn option(words: &str, name: &str) -> Option<u64> {
    let find = |word: &str| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
    words.split_whitespace().find_map(find)
}

#[unsafe(no_mangle)]
fn main(words: &'static str) {
    let seed = option(words, "seed").unwrap_or(1);
    let count = option(words, "calls").unwrap_or(100_000);
    line(format_args!("fuzz begins: seed {seed}, {count} calls"));
    let mut random = Random::new(seed);
    let mut field = Field::new();
    let before = end::Facts::now();
    let mut tally = Tally::default();
    let racers = Racers::start(option(words, "racers").unwrap_or(0), &field, seed);
    let traces = option(words, "trace").unwrap_or(u64::MAX);
    for number in 0..count {
        if number >= traces {
            line(format_args!("{number}"));
        }
        step(&mut random, &mut field, &mut tally, (number >= traces, racers.are_any()));
        if number % 100_000 == 99_999 {
            line(format_args!("{} calls", number + 1));
        }
    }
    line(format_args!("{} succeeded, {} traps", tally.succeeded, tally.traps));
    let (made, succeeded) = racers.end();
    line(format_args!("{succeeded} of {made} calls of other vcpus succeeded"));
    end::check(field, &before);
    line(format_args!("fuzz ends"));
}

/// What came of it: a run in which all fails shows nothing.
#[derive(Default)]
struct Tally {
    succeeded: u64,
    traps: u64,
}

fn step(
    random: &mut Random,
    field: &mut Field,
    tally: &mut Tally,
    (is_traced, has_racers): (bool, bool),
) {
    let ended = match random.below(16) {
        0 => code::write(random, is_traced),
        1 => code::instruction(random, field, is_traced),
        2 if random.once_in(4) => code::program(random, field, is_traced),
        // Others know the frames that there are.
        3 if random.once_in(4) && !has_racers => return field.swap_frame(random),
        4 => return field.remap(random),
        _ => {
            let made = Call::any(random, field);
            if is_traced {
                line(format_args!("{made:x?}"));
            }
            let mut answer = -1;
            let ended = attempt(|| answer = call(made.number, &made.arguments));
            tally.succeeded += u64::from(answer >= 0);
            if made.restores {
                field.restore();
            }
            ended
        }
    };
    tally.traps += u64::from(ended.is_some());
}
