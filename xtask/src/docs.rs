//! `cargo xtask docs`: the manual pages and completions of the commands that `svc::cli` describes,
//! and the list of what virtd has of libvirt's protocol.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use svc::cli::{COMMANDS, completion, manual};

use crate::project;

/// Writes all of them.
pub fn write() -> Result<ExitCode> {
    for (path, text) in all() {
        let path = project::root().join(path);
        let folder = path.parent().context("a path without a folder")?;
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Each file in the project, and what is in it.
fn all() -> impl Iterator<Item = (PathBuf, String)> {
    let procedures = ("docs/libvirt-procedures.md".into(), virtd::procedures::page());
    let commands = COMMANDS.iter().flat_map(|command| {
        let page = format!("docs/man/{}.{}", command.name, command.section);
        let name = command.name;
        [
            (page.into(), manual::page(command)),
            (format!("completions/bash/{name}").into(), completion::bash::script(command)),
            (format!("completions/zsh/_{name}").into(), completion::zsh::script(command)),
        ]
    });
    commands.chain([procedures])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_pages_and_completions_are_up_to_date() {
        for (path, text) in all() {
            let written = fs::read_to_string(project::root().join(&path)).unwrap_or_default();
            assert!(written == text, "{}: cargo xtask docs makes it", path.display());
        }
    }
}
