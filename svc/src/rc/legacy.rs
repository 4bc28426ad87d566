//! Legacy services: scripts in /etc/rc.d that stand for no instance. They are run, and noted for
//! svcs(1) to show as `lrc:` services, as smf(7) has it; nobody watches what they started.
//!
//! The notes are property groups of `svc:/smf/legacy_run` that last until the next boot.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use nix::unistd::{AccessFlags, access};

use super::conf::{Conf, ConfError, checkyesno};
use super::script::Variables;
use crate::clock;
use crate::fmri::Fmri;
use crate::repo::{Change, Repo, RepoError, View};
use crate::value::{PropType, PropertyGroup};

/// The service that the notes are attached to.
const SERVICE: &str = "svc:/smf/legacy_run";

/// Why a script can't be run, or not be noted.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// The script can't be read or started.
    #[error("{0}: {1}")]
    Script(String, std::io::Error),
    /// rc.conf can't be read.
    #[error("{0}")]
    Conf(#[from] ConfError),
    /// The repository can't be read or written.
    #[error("{0}")]
    Repo(#[from] RepoError),
}

/// A script that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// `lrc:` and the script's path, where an underscore stands for each dot.
    pub fmri: String,
    /// When it was run.
    pub since: Option<SystemTime>,
}

/// Runs a script with `start` or `stop`, unless it stands for an instance. Returns the exit
/// status; 0 for a script that is left to the framework.
pub fn run(repo: &Repo, script: &Path, verb: &str) -> Result<u8, LegacyError> {
    let path = script.display().to_string();
    let named = |error| LegacyError::Script(path.clone(), error);
    let text = std::fs::read(script).map_err(named)?;
    let variables = Variables::of(&String::from_utf8_lossy(&text));
    if variables.instance().is_some() {
        return Ok(0);
    }
    if let Some(kind) = unfit(script) {
        eprintln!("{path}: WARNING: Ignoring {kind} file {path}");
        return Ok(0);
    }
    // rc(8) tells scripts by this that nobody wants to hear of what is switched off.
    let mut command = Command::new("/bin/sh");
    command.arg(script).arg(verb).env("autoboot", "yes");
    let status = command.status().map_err(named)?;
    let status = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    if verb == "stop" {
        repo.commit(vec![Change::DelPg { fmri: service()?, pg: group_name(&path) }])?;
    } else if status == 0 && is_switched_on(&variables)? {
        repo.commit(note(service()?, &path))?;
    }
    Ok(status)
}

/// What keeps a file from being run as a script, in rc.subr's words.
fn unfit(script: &Path) -> Option<&'static str> {
    let name = script.as_os_str().as_encoded_bytes();
    let scratch: [&[u8]; 5] = [b"~", b"#", b".OLD", b".orig", b",v"];
    if scratch.iter().any(|end| name.ends_with(end)) {
        return Some("scratch");
    }
    access(script, AccessFlags::X_OK).err().map(|_| "non-executable")
}

/// The scripts that were run.
pub fn all(repo: &Repo) -> Result<Vec<Legacy>, RepoError> {
    let Ok(service) = service() else { return Ok(Vec::new()) };
    let groups = match repo.pgs(&service, &View::Direct) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        groups => groups?,
    };
    Ok(groups.values().filter_map(legacy).collect())
}

fn legacy(group: &PropertyGroup) -> Option<Legacy> {
    let fmri = format!("lrc:{}", group.first("name")?.replace('.', "_"));
    Some(Legacy { fmri, since: group.first("state_timestamp").and_then(clock::from_property) })
}

fn service() -> Result<Fmri, LegacyError> {
    let bad = || LegacyError::Script(SERVICE.to_owned(), std::io::ErrorKind::InvalidInput.into());
    Fmri::parse(SERVICE).map_err(|_| bad())
}

/// A script that only gives others something to require is no service.
fn is_switched_on(variables: &Variables) -> Result<bool, ConfError> {
    let Some(name) = variables.get("name") else { return Ok(false) };
    let Some(rcvar) = variables.get("rcvar").filter(|rcvar| !rcvar.is_empty()) else {
        return Ok(true);
    };
    let conf = Conf::load(name)?;
    Ok(conf.set(rcvar).and_then(checkyesno).unwrap_or(false))
}

/// The name of a script's note: its path below /etc, as far as a name may have its letters.
fn group_name(path: &str) -> String {
    let short = path.trim_start_matches("/etc/").trim_start_matches('/');
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    short.chars().map(letter).collect()
}

fn note(fmri: Fmri, path: &str) -> Vec<Change> {
    let pg = group_name(path);
    let set = |prop: &str, ty, value: String| Change::SetProp {
        fmri: fmri.clone(),
        pg: pg.clone(),
        prop: prop.to_owned(),
        ty,
        values: vec![value],
    };
    let (name, now) = (path.to_owned(), clock::to_property(SystemTime::now()));
    vec![
        Change::AddService(fmri.clone()),
        Change::AddPg {
            fmri: fmri.clone(),
            pg: pg.clone(),
            ty: "framework".to_owned(),
            persistent: false,
        },
        set("name", PropType::Astring, name),
        set("state_timestamp", PropType::Time, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_named_by_the_path() {
        assert_eq!(group_name("/etc/rc.d/sshd"), "rc_d_sshd");
        assert_eq!(group_name("/usr/pkg/etc/rc.d/my daemon"), "usr_pkg_etc_rc_d_my_daemon");
    }

    #[test]
    fn what_has_no_name_is_no_service() {
        assert!(!is_switched_on(&Variables::of("# PROVIDE: LOGIN\n")).unwrap());
        assert!(is_switched_on(&Variables::of("name=a\n")).unwrap());
    }
}
