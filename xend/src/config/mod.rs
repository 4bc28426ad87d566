//! Guest configuration files: the syntax that users of xm and xl write, and what it means.
//!
//! `lexer` and `parser` make variables of a text, `reader` hands them out typed, `model` makes a
//! [`GuestConfig`] of them. Nothing here touches anything but the file itself.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub mod cpus;
pub mod disk;
mod error;
mod lexer;
mod model;
mod overrides;
mod parser;
mod reader;
mod sxpr;
mod value;
pub mod vdev;
pub mod vif;
mod writer;

#[cfg(test)]
mod tests;

pub use cpus::CpuSet;
pub use disk::{Backing, Disk};
pub use error::{ConfigError, Pos, Problem, Source};
pub use model::{Action, GuestConfig, Notes, check_name};
pub use sxpr::{NewDevice, device_from_sxp, vbd as vbd_sxp, vif as vif_sxp};
pub use vdev::Vdev;
pub use vif::{Mac, Vif};

/// Where `xm create NAME` looks for a file, after the current folder.
pub const CONFIG_DIR: &str = "/etc/xen";

/// No guest file is anywhere near this long; a device or a log given by mistake is.
const MAX_FILE: u64 = 1 << 20;

/// Finds the file that `xm create NAME` means: `NAME` itself, else `NAME` in /etc/xen.
pub fn find(name: &str, cwd: &Path) -> Result<PathBuf, ConfigError> {
    let candidates = [cwd.join(name), Path::new(CONFIG_DIR).join(name)];
    // A folder can't be meant: `xm create guests` in a directory that has a folder of that name.
    let found = candidates.into_iter().find(|path| path.exists() && !path.is_dir());
    found.ok_or_else(|| {
        let places =
            if name.starts_with('/') { String::new() } else { format!(" in . or {CONFIG_DIR}") };
        Problem::general(format!("no such guest file{places}")).within(&Source::File(name.into()))
    })
}

/// Reads the file at `path`, with `overrides` of the form `key=value` over it. Returns the guest
/// and warnings, each naming its place.
pub fn load(
    path: &Path,
    overrides: &[String],
    cwd: &Path,
) -> Result<(GuestConfig, Vec<String>), ConfigError> {
    let source = Source::File(path.to_owned());
    let text = read(path).map_err(|problem| problem.within(&source))?;
    let default_name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    parse(&text, source, overrides, default_name, cwd)
}

/// Reads a guest from `text`, which messages call `source`.
pub fn parse(
    text: &str,
    source: Source,
    overrides: &[String],
    default_name: &str,
    cwd: &Path,
) -> Result<(GuestConfig, Vec<String>), ConfigError> {
    let overrides = overrides::parse(overrides)?;
    let variables = parser::parse(text).map_err(|problem| problem.within(&source))?;
    model::build(reader::Reader::new(source, variables, overrides), default_name, cwd)
}

fn read(path: &Path) -> Result<String, Problem> {
    let failed = |error: io::Error| Problem::general(format!("can't be read: {error}"));
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Problem::general("is too long for a guest file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count() as u32;
        let column = 1 + valid.iter().rev().take_while(|byte| **byte != b'\n').count() as u32;
        Problem::at(Pos { line, column }, "is not UTF-8 text")
    })
}

/// Checks a value that goes into the store or to a script: printable, and not too long for either.
fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > 1024 {
        return Err(format!("{what} is longer than 1024 bytes"));
    }
    match text.chars().find(|char| char.is_control()) {
        Some(char) => Err(format!("{what} contains an unprintable character, {char:?}")),
        None => Ok(()),
    }
}
