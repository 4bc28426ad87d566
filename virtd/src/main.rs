//! virtd: answers libvirt's clients.

use std::process::ExitCode;

use virtd::daemon::Arguments;

const USAGE: &str = "usage: virtd [--no-fork] [--sockets FOLDER] [--xend SOCKET] \
                     [--definitions FOLDER]";

fn main() -> ExitCode {
    let Some(arguments) = understood(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match virtd::daemon::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("virtd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn understood(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-f" | "--no-fork" => arguments.foreground = true,
            "--sockets" => arguments.sockets = Some(words.next()?.into()),
            "--xend" => arguments.xend = Some(words.next()?.into()),
            "--definitions" => arguments.definitions = Some(words.next()?.into()),
            _ => return None,
        }
    }
    Some(arguments)
}
