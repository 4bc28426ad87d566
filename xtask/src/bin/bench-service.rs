//! The service that every supervisor of `cargo xtask bench svc` supervises: tells a pipe that it
//! runs, and waits for its end.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{ExitCode, id};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(pipe), Some(index)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: bench-service PIPE INDEX");
        return ExitCode::from(2);
    };
    // Shorter than PIPE_BUF, so lines of many writers don't mix.
    let line = format!("{index} {}\n", id());
    let told = OpenOptions::new()
        .write(true)
        .open(&pipe)
        .and_then(|mut pipe| pipe.write_all(line.as_bytes()));
    if let Err(error) = told {
        eprintln!("bench-service: {pipe}: {error}");
        return ExitCode::FAILURE;
    }
    loop {
        nix::unistd::pause();
    }
}
