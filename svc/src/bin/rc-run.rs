//! `rc-run`: does the verb of an rc.d script; rc.subr hands over to it.
//! `rc-run -n NAME -r RCVAR -f FMRI -c COMMAND -p PIDFILE SCRIPT [VERB]`, where all but the name
//! may be empty.

use std::process::ExitCode;

use svc::getopt;
use svc::rc::verbs::{self, Call};

fn main() -> ExitCode {
    let call = match call(std::env::args().skip(1)) {
        Ok(call) => call,
        Err(error) => {
            eprintln!("rc-run: {error}: it is for rc.subr to call");
            return ExitCode::from(3);
        }
    };
    match verbs::run(&call) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{}: ERROR: {error}", call.script);
            ExitCode::FAILURE
        }
    }
}

fn call(args: impl Iterator<Item = String>) -> Result<Call, String> {
    let (options, operands) = getopt::parse(args, "n:r:f:c:p:")?;
    let mut call = Call::default();
    for (letter, argument) in options {
        let field = match letter {
            'n' => &mut call.name,
            'r' => &mut call.rcvar,
            'f' => &mut call.fmri,
            'c' => &mut call.command,
            _ => &mut call.pidfile,
        };
        *field = argument.unwrap_or_default();
    }
    let mut operands = operands.into_iter();
    call.script = operands.next().ok_or("no script is given")?;
    call.verb = operands.next().filter(|verb| !verb.is_empty());
    // Set by rc(8) for the scripts that it runs.
    call.boots = std::env::var("autoboot").is_ok_and(|value| !value.is_empty());
    if call.name.is_empty() {
        return Err("the script has no name".to_owned());
    }
    Ok(call)
}
