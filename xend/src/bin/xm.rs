//! xm: the administrator's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    xend::end_by_sigpipe();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ExitCode::from(xend::xm::run(&arguments))
}
