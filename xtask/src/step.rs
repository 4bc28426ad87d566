//! Progress: a line for each step, with its time, on standard error.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Does `work`, and says on standard error that it is being done and how long it took.
pub fn step<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let started = Instant::now();
    let mut stderr = std::io::stderr();
    let terminal = stderr.is_terminal();
    if terminal {
        let _ = write!(stderr, "  {what} ...");
    }
    let result = work();
    let word = if result.is_ok() { "done" } else { "FAILED" };
    let rewind = if terminal { "\r\x1b[K" } else { "" };
    let took = started.elapsed().as_secs_f32();
    let _ = writeln!(stderr, "{rewind}  {what:<46} {word:>6} {took:6.1} s");
    result
}
