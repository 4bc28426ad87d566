//! `rcorder`: prints rc.d scripts in the order in which they start (rcorder(8)).

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use nix::errno::Errno;
use svc::cli::RCORDER;
use svc::getopt;
use svc::rc::order::{self, Head};

fn main() -> ExitCode {
    let (options, files) = match getopt::parse(std::env::args().skip(1), &RCORDER.spec()) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("rcorder: {error}\n{}", RCORDER.usage());
            return ExitCode::FAILURE;
        }
    };
    let words = |wanted: char| -> Vec<String> {
        let chosen = options.iter().filter(|(letter, _)| *letter == wanted);
        chosen.filter_map(|(_, word)| word.clone()).collect()
    };
    list(files, &words('k'), &words('s'))
}

/// Prints all files in order, and complains about what can't be; those that can't be read are left
/// out, and that is no failure, as on NetBSD.
fn list(files: Vec<String>, keep: &[String], skip: &[String]) -> ExitCode {
    let mut scripts = Vec::new();
    for file in files {
        match read(&file) {
            Ok(Some(text)) => scripts.push((file, Head::parse(&text))),
            Ok(None) => {}
            Err(error) => {
                let why = Errno::from_raw(error.raw_os_error().unwrap_or_default()).desc();
                eprintln!("rcorder: could not open {file}: {why}");
            }
        }
    }
    let order = order::order(&scripts);
    let complaints = order.warnings.iter().chain(&order.problems);
    complaints.for_each(|complaint| eprintln!("rcorder: {complaint}"));
    let chosen = order.order.into_iter().filter(|&n| scripts[n].1.is_chosen(keep, skip));
    let text: String = chosen.flat_map(|n| [scripts[n].0.as_str(), "\n"]).collect();
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) if order.problems.is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rcorder: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The text of a script; nothing if it is a folder or a device.
fn read(file: &str) -> io::Result<Option<String>> {
    if !fs::metadata(file)?.is_file() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&fs::read(file)?).into_owned()))
}
