//! `svccfg`: edits services, instances and their properties (svccfg(8)).

mod alternate;
mod commands;
mod complete;
mod input;
mod lexer;
mod listing;
mod session;

use std::process::ExitCode;

use svc::cli::SVCCFG;
use svc::getopt;

use session::Session;

fn main() -> ExitCode {
    let (options, operands) = match getopt::parse(std::env::args().skip(1), &SVCCFG.spec()) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("svccfg: {error}\n{}", SVCCFG.usage());
            return ExitCode::from(2);
        }
    };
    let mut session = Session::default();
    let (mut file, mut selection) = (None, None);
    for (letter, argument) in options {
        match letter {
            'f' => file = argument,
            's' => selection = argument,
            _ => session.verbose = true,
        }
    }
    if file.is_some() && !operands.is_empty() {
        eprintln!("svccfg: -f and a command exclude each other\n{}", SVCCFG.usage());
        return ExitCode::from(2);
    }
    if let Some(word) = selection {
        match session.resolve(&word) {
            Ok(fmri) => session.selection = Some(fmri),
            Err(error) => {
                eprintln!("svccfg: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let done = match file {
        Some(file) => input::run_file(&mut session, &file),
        None if operands.is_empty() => input::run_stdin(&mut session),
        None => input::run_text(&mut session, &lexer::join(&operands), None),
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
