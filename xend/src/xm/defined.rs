//! `xm new`, `start`, `delete`: guests that are defined.

use super::getopt::{Parsed, flag};
use super::{Command, Outcome, Xend, XmError};
use crate::config;

pub(super) const NEW: Command = Command {
    name: "new",
    arguments: "<ConfigFile> [vars]",
    help: "Define a guest: keep its configuration in /etc/xen.",
    options: &[],
    words: (1, usize::MAX),
    run: run_new,
};

pub(super) const START: Command = Command {
    name: "start",
    arguments: "<Domain> [-p]",
    help: "Start a guest that is defined.",
    options: &[flag('p', "paused", "Leave the domain paused after it is started")],
    words: (1, 1),
    run: |xend, parsed| {
        let params = vec![parsed.words[0].as_str().into(), parsed.has("paused").into()];
        xend.call("xend.domain.start", params).map(drop)
    },
};

pub(super) const DELETE: Command = Command {
    name: "delete",
    arguments: "<Domain>",
    help: "Remove a guest's definition; one that runs goes on.",
    options: &[],
    words: (1, 1),
    run: |xend, parsed| {
        xend.call("xend.domain.delete", vec![parsed.words[0].as_str().into()]).map(drop)
    },
};

fn run_new(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let (file, variables) = super::create::arguments(parsed)?;
    let cwd = std::env::current_dir()
        .map_err(|error| XmError::Failed(format!("the current folder is gone: {error}")))?;
    let (guest, warnings) = config::load(&config::find(&file, &cwd)?, &variables, &cwd)?;
    warnings.iter().for_each(|warning| eprintln!("Warning: {warning}"));
    xend.call("xend.domain.new", vec![guest.to_sxp()]).map(drop)
}
