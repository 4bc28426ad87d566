//! What an administrator has to know of the repository: said on standard error, which is the
//! console when we serve the whole machine, and kept in a log.

use std::fs::{File, create_dir_all};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use svc::clock;

/// Says `line`, and appends it to the log at `path`. That the log can't be written keeps nobody
/// from the repository.
pub fn say(path: &Path, line: &str) {
    eprintln!("svc.configd: {line}");
    if let Err(error) = append(path, line) {
        eprintln!("svc.configd: {}: {error}", path.display());
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), create_dir_all)?;
    let mut file = File::options().create(true).append(true).open(path)?;
    writeln!(file, "{}: {line}", clock::log_stamp(SystemTime::now()))
}
