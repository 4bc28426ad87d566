//! `xm create`: reads a guest file and has xend make the guest.

use std::path::{Path, PathBuf};

use super::console;
use super::getopt::{Opt, Parsed, flag};
use super::{Command, Outcome, Xend, XmError};
use crate::config::{self, GuestConfig};
use crate::sxp;

pub(super) const CREATE: Command = Command {
    name: "create",
    arguments: "<ConfigFile> [options] [vars]",
    help: "Create a domain based on <ConfigFile>.",
    options: &[
        flag('c', "console_autoconnect", "Connect to the console after the domain is created"),
        Opt {
            short: Some('f'),
            long: "defconfig",
            value: Some("FILE"),
            help: "The configuration file, instead of naming it as the argument",
        },
        flag('n', "dryrun", "Print the resulting configuration and create nothing"),
        flag('p', "paused", "Leave the domain paused after it is created"),
        flag('q', "quiet", "Say nothing unless something is wrong"),
    ],
    words: (0, usize::MAX),
    run: run_create,
};

fn run_create(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let say = |text: String| {
        if !parsed.has("quiet") {
            println!("{text}");
        }
    };
    let (file, variables) = arguments(parsed)?;
    let cwd = std::env::current_dir()
        .map_err(|error| XmError::Failed(format!("the current folder is gone: {error}")))?;
    let path = config::find(&file, &cwd)?;
    say(format!("Using config file \"{}\".", shown(&path, &file, &cwd).display()));
    let (guest, warnings) = config::load(&path, &variables, &cwd)?;
    warnings.iter().for_each(|warning| eprintln!("Warning: {warning}"));
    if parsed.has("dryrun") {
        println!("{}", sxp::pretty(&guest.to_sxp()));
        return Ok(());
    }
    let created = create_guest(xend, &guest, !parsed.has("paused"))?;
    say(format!("Started domain {} (id={})", created.name, created.domid));
    if parsed.has("console_autoconnect") {
        return console::attach(&created.domid);
    }
    Ok(())
}

/// The words with a `=` are variables; the other one is the file.
pub(super) fn arguments(parsed: &Parsed) -> Result<(String, Vec<String>), XmError> {
    let (variables, mut files): (Vec<String>, Vec<String>) =
        parsed.words.iter().cloned().partition(|word| word.contains('='));
    files.extend(parsed.value("defconfig").map(str::to_owned));
    match <[String; 1]>::try_from(files) {
        Ok([file]) => Ok((file, variables)),
        Err(files) if files.is_empty() => {
            Err(XmError::Usage("no configuration file is named".to_owned()))
        }
        Err(files) => {
            Err(XmError::Usage(format!("more than one file is named: {}", files.join(" "))))
        }
    }
}

/// The file as xm has always shown it: what was found in the current folder begins with a dot.
fn shown(path: &Path, given: &str, cwd: &Path) -> PathBuf {
    let is_here = !given.starts_with('/') && path == cwd.join(given);
    if is_here { Path::new(".").join(given) } else { path.to_owned() }
}

/// A guest that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its name.
    pub name: String,
    /// Its number.
    pub domid: String,
}

/// Has xend make a guest, and lets it run if `start`. One that can't run is no use to anybody.
pub fn create_guest(xend: &mut Xend, guest: &GuestConfig, start: bool) -> Result<Created, XmError> {
    let domain = xend.call("xend.domain.create", vec![guest.to_sxp()])?;
    let member = |name| sxp::text(&domain, name).unwrap_or_default();
    let created = Created { name: member("name"), domid: member("domid") };
    if start {
        let id = || created.domid.as_str().into();
        let started = xend.call("xend.domain.unpause", vec![id()]);
        if started.is_err() {
            xend.call("xend.domain.destroy", vec![id()])?;
        }
        started?;
    }
    Ok(created)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xm::getopt::parse;

    fn sorted(words: &[&str]) -> Result<(String, Vec<String>), String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        match arguments(&parse(&words, CREATE.options).unwrap()) {
            Ok(sorted) => Ok(sorted),
            Err(XmError::Usage(reason)) => Err(reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_and_variables_come_in_any_order() {
        let (file, variables) = sorted(&["memory=64", "rosaline", "-c", "vif="]).unwrap();
        assert_eq!((file.as_str(), variables.len()), ("rosaline", 2));
        assert_eq!(sorted(&["-f", "/dev/null", "name=x"]).unwrap().0, "/dev/null");
        assert!(sorted(&["memory=1"]).unwrap_err().contains("no configuration"));
        assert!(sorted(&["a", "b"]).unwrap_err().contains("more than one"));
    }

    #[test]
    fn a_file_is_shown_as_xm_showed_it() {
        let shown = |path, given, cwd| shown(Path::new(path), given, Path::new(cwd));
        assert_eq!(shown("/root/juliet", "juliet", "/root"), PathBuf::from("./juliet"));
        assert_eq!(shown("/etc/xen/juliet", "juliet", "/root"), PathBuf::from("/etc/xen/juliet"));
        assert_eq!(shown("/etc/xen/juliet", "/etc/xen/juliet", "/"), Path::new("/etc/xen/juliet"));
        assert_eq!(shown("/etc/xen/juliet", "juliet", "/"), Path::new("/etc/xen/juliet"));
    }
}
