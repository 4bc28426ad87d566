//! virtd: answers libvirt's clients.

use std::process::ExitCode;

const USAGE: &str = "usage: virtd [--no-fork]";

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
    match virtd::daemon::run(foreground) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("virtd: {error}");
            ExitCode::FAILURE
        }
    }
}
