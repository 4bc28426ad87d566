//! Log files: one for each instance, which its methods write to as well, and one for startd. They
//! are opened for each line, so they may be renamed away at any time.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::SystemTime;

use crate::clock;
use crate::fmri::Fmri;

/// Where logs are.
const FOLDER: &str = "/var/svc/log";
/// Who may read and write them.
const MODE: u32 = 0o644;
/// Stands for our one thread in our own log, where illumos has many.
const THREAD: u32 = 1;
/// Where syslogd listens, and how a daemon's error is marked there.
const SYSLOG: &str = "/dev/log";
const DAEMON_ERROR: u32 = (3 << 3) | 3;

/// The path of an instance's log as the commands show it, without a private root.
pub(crate) fn shown_path(fmri: &Fmri) -> String {
    crate::root(&format!("{FOLDER}/{}", fmri.log_name())).display().to_string()
}

fn open(name: &str) -> io::Result<File> {
    let path = crate::root(FOLDER).join(name);
    match OpenOptions::new().append(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path),
        opened => opened,
    }
}

fn create(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    // Whatever our umask is: everybody may read why a service doesn't run.
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// An instance's log, for appending.
pub(crate) fn of_instance(fmri: &Fmri) -> io::Result<File> {
    open(&fmri.log_name())
}

/// Writes a line of ours to an instance's log. A full disk keeps no service from running.
pub(crate) fn write(fmri: &Fmri, line: &str) {
    let stamp = clock::log_stamp(SystemTime::now());
    if let Ok(mut file) = of_instance(fmri) {
        // At once, or what methods write there could come in between.
        let _ = file.write_all(format!("[ {stamp} {line} ]\n").as_bytes());
    }
}

/// Writes a line to startd's own log, and says it on standard error.
pub(crate) fn global(line: &str) {
    write_global("", line);
    eprintln!("svc.startd: {line}");
}

/// Writes a line to an instance's log, and tells the administrator.
pub(crate) fn warn(fmri: &Fmri, line: &str) {
    write(fmri, line);
    let name = fmri.to_string();
    failure(&format!("{}: {line}", name.trim_start_matches("svc:/")));
}

/// Says that a service has failed: in startd's own log, on the console, and to syslogd.
pub(crate) fn failure(line: &str) {
    write_global(" ERROR", line);
    eprintln!("svc.startd: {line}");
    // In a private root it is nothing that concerns the host.
    if crate::root("/") == Path::new("/")
        && let Ok(socket) = UnixDatagram::unbound()
        && socket.set_nonblocking(true).is_ok()
    {
        let pid = std::process::id();
        let message = format!("<{DAEMON_ERROR}>svc.startd[{pid}]: {line}");
        let _ = socket.send_to(message.as_bytes(), SYSLOG);
    }
}

fn write_global(kind: &str, line: &str) {
    let stamp = clock::log_stamp(SystemTime::now());
    if let Ok(mut file) = open("svc.startd.log") {
        let _ = file.write_all(format!("{stamp}/{THREAD}{kind}: {line}\n").as_bytes());
    }
}
