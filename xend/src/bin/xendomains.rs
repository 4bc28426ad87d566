//! xendomains: starts and ends the guests of this host; the method of the service `domains`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ExitCode::from(xend::xendomains::run(&arguments))
}
