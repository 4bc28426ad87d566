//! xend: makes guests, looks after them, answers `xm`.

use std::process::ExitCode;

const USAGE: &str = "usage: xend [--no-fork]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let foreground = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["-f" | "--no-fork"] => true,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match xend::daemon::run(foreground) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xend: {error}");
            ExitCode::FAILURE
        }
    }
}
