//! xendomains: starts the guests that belong to this host when it comes up, and ends all guests
//! when it goes down.
//!
//! One guest that can't be started must not keep the others down, nor keep the service from
//! being online: only an online service is asked to stop, and stopping is what saves data.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::{self, GuestConfig};
use crate::rpc::Value;
use crate::sxp;
use crate::xm::{Xend, XmError, create_guest};

/// The guests that are started: files, or links to files, in order of their names.
pub const AUTO: &str = "/etc/xen/auto";
/// How long guests have to shut down before they are destroyed. Three quarters of the time that
/// the service's stop method has.
pub const TIMEOUT: Duration = Duration::from_secs(75);

/// How often to look whether guests are gone.
const LOOK: Duration = Duration::from_millis(500);

const USAGE: &str = "usage: xendomains start | stop [SECONDS] | status";

/// Runs xendomains with these arguments. Returns the exit status.
pub fn run(arguments: &[String]) -> u8 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["start"] => start(&mut Xend::default()),
        ["stop"] => stop(&mut Xend::default(), TIMEOUT),
        ["stop", seconds] => match seconds.parse() {
            Ok(seconds) => stop(&mut Xend::default(), Duration::from_secs(seconds)),
            Err(_) => return usage(),
        },
        ["status"] => status(&mut Xend::default()),
        _ => return usage(),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("xendomains: {error}");
            1
        }
    }
}

fn usage() -> u8 {
    eprintln!("{USAGE}");
    2
}

/// The files of the guests to start. A folder that isn't there has none.
fn files(auto: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(auto).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| is_wanted(&entry.file_name()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| !path.is_dir()).collect();
    files.sort();
    files
}

/// What editors and package managers leave behind is no guest.
pub(crate) fn is_wanted(name: &OsStr) -> bool {
    const LEFT_BEHIND: [&str; 6] = ["~", ".bak", ".swp", ".rpmsave", ".dpkg-old", ".dpkg-dist"];
    let name = name.to_string_lossy();
    !name.starts_with('.') && !LEFT_BEHIND.iter().any(|end| name.ends_with(end))
}

fn load(file: &Path) -> Result<GuestConfig, XmError> {
    let (guest, warnings) = config::load(file, &[], Path::new("/"))?;
    warnings.iter().for_each(|warning| eprintln!("xendomains: warning: {warning}"));
    Ok(guest)
}

fn start(xend: &mut Xend) -> Result<(), XmError> {
    let running: BTreeSet<String> = guests(xend)?.into_iter().map(|guest| guest.name).collect();
    for file in files(Path::new(AUTO)) {
        let started = load(&file).and_then(|guest| start_one(xend, &guest, &running));
        if let Err(error) = started {
            eprintln!("xendomains: {} is not started: {error}", file.display());
        }
    }
    Ok(())
}

fn start_one(
    xend: &mut Xend,
    guest: &GuestConfig,
    running: &BTreeSet<String>,
) -> Result<(), XmError> {
    let name = &guest.name;
    if running.contains(name) {
        println!("{name} is running already");
        return Ok(());
    }
    let domid = create_guest(xend, guest, true)?.domid;
    println!("started {name} (id={domid})");
    Ok(())
}

/// A guest as xend lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Guest {
    name: String,
    status: String,
}

fn guests(xend: &mut Xend) -> Result<Vec<Guest>, XmError> {
    let params = vec![true.into(), "all".into(), false.into()];
    let domains = xend.call("xend.domains_with_state", params)?;
    let guest = |domain: &Value| {
        let text = |name| sxp::text(domain, name).unwrap_or_default();
        Guest { name: text("name"), status: text("status") }
    };
    let guests = domains.as_array().unwrap_or_default().iter();
    Ok(guests.filter(|domain| is_live(domain)).map(guest).collect())
}

/// Whether it is more than defined, and not the control domain.
fn is_live(domain: &Value) -> bool {
    let there = sxp::int(domain, "domid").is_some() || sxp::text(domain, "phase").is_some();
    there && sxp::int(domain, "domid") != Some(0)
}

fn stop(xend: &mut Xend, timeout: Duration) -> Result<(), XmError> {
    let deadline = Instant::now() + timeout;
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let left = loop {
        let left = guests(xend)?;
        asked.retain(|name| {
            let there = named(&left, name);
            if !there {
                println!("{name} is shut down");
            }
            there
        });
        if left.is_empty() || Instant::now() >= deadline {
            break left;
        }
        // One that is just being made can't hear it before the next round.
        for guest in left.iter().filter(|guest| guest.status != "halted") {
            if asked.insert(guest.name.clone())
                && let Err(error) = ask_to_stop(xend, guest)
            {
                eprintln!("xendomains: {}: {error}", guest.name);
            }
        }
        std::thread::sleep(LOOK);
    };
    destroy(xend, left)
}

fn destroy(xend: &mut Xend, guests: Vec<Guest>) -> Result<(), XmError> {
    let mut still_there = Vec::new();
    for guest in guests {
        println!("{} did not shut down in time and is destroyed", guest.name);
        if let Err(error) = xend.call("xend.domain.destroy", vec![guest.name.as_str().into()]) {
            eprintln!("xendomains: {}: {error}", guest.name);
            still_there.push(guest.name);
        }
    }
    if still_there.is_empty() {
        return Ok(());
    }
    Err(XmError::Failed(format!("still there: {}", still_there.join(", "))))
}

/// Asks a guest to shut down. One that is paused could not hear it, one that has stopped and is
/// preserved has nothing to shut down.
fn ask_to_stop(xend: &mut Xend, guest: &Guest) -> Result<(), XmError> {
    let name = || guest.name.as_str().into();
    match guest.status.as_str() {
        "shutdown" | "crashed" | "suspended" => {
            return xend.call("xend.domain.destroy", vec![name()]).map(drop);
        }
        "paused" => xend.call("xend.domain.unpause", vec![name()]).map(drop)?,
        _ => {}
    }
    xend.call("xend.domain.shutdown", vec![name(), "poweroff".into()]).map(drop)
}

fn named(guests: &[Guest], name: &str) -> bool {
    guests.iter().any(|guest| guest.name == name)
}

fn status(xend: &mut Xend) -> Result<(), XmError> {
    let guests = guests(xend)?;
    for file in files(Path::new(AUTO)) {
        match load(&file) {
            Ok(guest) => {
                let not = if named(&guests, &guest.name) { "" } else { "not " };
                println!("{} is {not}running", guest.name);
            }
            Err(error) => eprintln!("xendomains: {error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_started_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20-b", "10-a", ".hidden", "a~", "x.dpkg-old"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("folder")).unwrap();
        let names: Vec<PathBuf> = files(dir.path());
        assert_eq!(names, [dir.path().join("10-a"), dir.path().join("20-b")]);
        assert_eq!(files(Path::new("/nonexistent")), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let run_with =
            |words: &[&str]| run(&words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>());
        assert_eq!(run_with(&[]), 2);
        assert_eq!(run_with(&["stop", "soon"]), 2);
        assert_eq!(run_with(&["destroy"]), 2);
    }
}
