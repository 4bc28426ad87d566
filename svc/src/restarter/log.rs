//! Log files: one for each instance, which its methods write to as well, and one for startd.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::clock;
use crate::fmri::Fmri;

/// Where logs are.
const FOLDER: &str = "/var/svc/log";

/// The path of an instance's log as the commands show it, without a private root.
pub(crate) fn shown_path(fmri: &Fmri) -> String {
    crate::root(&format!("{FOLDER}/{}", fmri.log_name())).display().to_string()
}

fn open(name: &str) -> io::Result<File> {
    let folder: PathBuf = crate::root(FOLDER);
    std::fs::create_dir_all(&folder)?;
    OpenOptions::new().append(true).create(true).open(folder.join(name))
}

/// An instance's log, for appending.
pub(crate) fn of_instance(fmri: &Fmri) -> io::Result<File> {
    open(&fmri.log_name())
}

/// Writes a line of ours to an instance's log. A full disk keeps no service from running.
pub(crate) fn write(fmri: &Fmri, line: &str) {
    let stamp = clock::log_stamp(SystemTime::now());
    if let Ok(mut file) = of_instance(fmri) {
        let _ = writeln!(file, "[ {stamp} {line} ]");
    }
}

/// Writes a line to startd's own log, and says it on standard error.
pub(crate) fn global(line: &str) {
    let stamp = clock::log_stamp(SystemTime::now());
    if let Ok(mut file) = open("svc.startd.log") {
        let _ = writeln!(file, "{stamp}: {line}");
    }
    eprintln!("svc.startd: {line}");
}
