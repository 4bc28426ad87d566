//! Log lines of a daemon, through `tracing`.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::detach::Error;

/// Where a daemon's log lines go.
#[derive(Debug, Clone)]
pub enum LogTo {
    /// Standard error; under startd that is the instance's own log.
    Stderr,
    /// A file, appended to; its folder is made if it is missing.
    File(PathBuf),
}

pub(crate) fn init(to: &LogTo, level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_target(false);
    match to {
        LogTo::Stderr => builder.with_writer(std::io::stderr).init(),
        LogTo::File(path) => {
            let failed = |source| Error::File { path: path.clone(), source };
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            let file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
            builder.with_writer(Mutex::new(file)).init();
        }
    }
    Ok(())
}
