//! `rcorder`: prints rc.d scripts in the order in which they start (rcorder(8)).

use std::io::{self, Write};
use std::process::ExitCode;

use svc::cli::RCORDER;
use svc::getopt;
use svc::rc::order::{self, Head};

fn main() -> ExitCode {
    let (options, files) = match getopt::parse(std::env::args().skip(1), &RCORDER.spec()) {
        Ok((_, files)) if files.is_empty() => {
            eprintln!("{}", RCORDER.usage());
            return ExitCode::FAILURE;
        }
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("rcorder: {error}\n{}", RCORDER.usage());
            return ExitCode::FAILURE;
        }
    };
    let (keep, skip): (Vec<_>, Vec<_>) =
        options.into_iter().partition(|(letter, _)| *letter == 'k');
    let words = |options: Vec<(char, Option<String>)>| -> Vec<String> {
        options.into_iter().filter_map(|(_, word)| word).collect()
    };
    list(files, &words(keep), &words(skip))
}

/// Prints what can be ordered, and complains about the rest.
fn list(files: Vec<String>, keep: &[String], skip: &[String]) -> ExitCode {
    let mut complaints = Vec::new();
    let mut scripts = Vec::new();
    for file in files {
        match std::fs::read(&file) {
            Ok(text) => scripts.push((file, Head::parse(&String::from_utf8_lossy(&text)))),
            Err(error) => complaints.push(format!("could not open {file}: {error}")),
        }
    }
    let order = order::order(&scripts);
    complaints.extend(order.problems);
    complaints.iter().for_each(|complaint| eprintln!("rcorder: {complaint}"));
    let chosen = order.order.into_iter().filter(|&n| scripts[n].1.is_chosen(keep, skip));
    let text: String = chosen.flat_map(|n| [scripts[n].0.as_str(), "\n"]).collect();
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rcorder: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}
