//! Settings that are properties of the daemon's service: group `config` of
//! `svc:/system/xvm/console`.

use svc::fmri::Fmri;
use svc::repo::{Repo, View};
use tracing::warn;

/// The daemon's service instance.
const FMRI: &str = "svc:/system/xvm/console:default";

/// The size of a log where nobody sets one, in bytes.
const LOG_LIMIT: u64 = 1 << 20;

/// The size in bytes at which a log is put aside, 0 for never: the property `config/log-limit`.
/// Where there is no repository (a plain host) it is 1 MiB.
pub fn log_limit() -> u64 {
    let Ok(fmri) = Fmri::parse(FMRI) else { return LOG_LIMIT };
    let group = Repo::connect().and_then(|repo| repo.pg(&fmri, "config", &View::Running));
    let Some(property) =
        group.ok().flatten().and_then(|group| group.props.get("log-limit").cloned())
    else {
        return LOG_LIMIT;
    };
    match property.first().map(str::parse) {
        None => LOG_LIMIT,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => {
            warn!("config/log-limit: {:?} is no number of bytes; 1 MiB it is", property.values);
            LOG_LIMIT
        }
    }
}
