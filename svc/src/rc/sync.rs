//! Keeps rc.conf and the repository in step. A variable that is set in rc.conf decides at boot;
//! what is enabled or disabled for good later is noted in rc.conf.

use std::io;

use super::conf::{self, Conf, ConfError};
use super::script;
use crate::fmri::Fmri;
use crate::repo::actions::switch;
use crate::repo::{Repo, RepoError, View};

/// Why the two can't be kept in step.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// rc.conf can't be read or written.
    #[error("{0}")]
    Conf(#[from] ConfError),
    /// The scripts can't be read.
    #[error("/etc/rc.d: {0}")]
    Scripts(#[from] io::Error),
    /// The repository can't be read or written.
    #[error("{0}")]
    Repo(#[from] RepoError),
}

/// Enables and disables for good what rc.conf decides about. A script for an instance that doesn't
/// exist, or a variable that says neither yes nor no, changes nothing. Returns the warnings.
pub fn sync(repo: &Repo) -> Result<Vec<String>, SyncError> {
    let mut warnings = Vec::new();
    let mut changes = Vec::new();
    let instances = repo.instances()?;
    for script in script::all(&crate::root(script::FOLDER))? {
        let conf = Conf::load(&script.name)?;
        let Some(value) = conf.set(&script.rcvar) else { continue };
        let Some(enabled) = conf::checkyesno(value) else {
            warnings.push(not_set_properly(&script.rcvar));
            continue;
        };
        if instances.contains(&script.fmri) && is_enabled(repo, &script.fmri)? != enabled {
            changes.extend(switch(&script.fmri, enabled, false));
        }
    }
    if !changes.is_empty() {
        repo.commit(changes)?;
    }
    Ok(warnings)
}

/// Notes in rc.conf that `fmri` was enabled or disabled for good, if rc.conf decides about it.
pub fn note_enabled(fmri: &Fmri, enabled: bool) -> Result<(), SyncError> {
    for script in script::all(&crate::root(script::FOLDER))? {
        if script.fmri == *fmri {
            Conf::load(&script.name)?.change(&script.rcvar, enabled)?;
        }
    }
    Ok(())
}

/// What checkyesno of rc.subr says of a value that means neither yes nor no.
pub(super) fn not_set_properly(rcvar: &str) -> String {
    format!("${rcvar} is not set properly - see rc.conf(5).")
}

/// Whether an instance is enabled for good.
pub(super) fn is_enabled(repo: &Repo, fmri: &Fmri) -> Result<bool, RepoError> {
    let general = repo.pg(fmri, "general", &View::Composed)?;
    Ok(general.and_then(|group| group.get("enabled")?.as_bool()).unwrap_or(false))
}
