//! `xm console`: the terminal that a guest's console is on.

use super::getopt::{Parsed, flag};
use super::{Command, Outcome, Xend, XmError};
use crate::sxp;

pub(super) const CONSOLE: Command = Command {
    name: "console",
    arguments: "[-q|--quiet] <Domain>",
    help: "Attach to <Domain>'s console.",
    options: &[flag('q', "quiet", "Do not print an error message if the domain does not exist")],
    words: (1, 1),
    run: run_console,
};

fn run_console(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let quiet = |error| if parsed.has("quiet") { XmError::Silent } else { error };
    let domain = xend.call("xend.domain", vec![parsed.words[0].as_str().into()]).map_err(quiet)?;
    attach(&sxp::text(&domain, "domid").unwrap_or_default())
}

/// Attaches the terminal to the console of the domain with this number.
pub(super) fn attach(domid: &str) -> Outcome {
    let domid =
        domid.parse().map_err(|_| XmError::Failed(format!("'{domid}' is no domain's id")))?;
    console::client::attach(domid).map_err(|error| XmError::Failed(error.to_string()))
}
